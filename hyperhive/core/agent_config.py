"""What an agent was given: its role, tools, network, mounts, limits."""

import re
from typing import Annotated, Final

import msgspec

from hyperhive.core.errors import HyperhiveError, Invalid
from hyperhive.core.model import OPERATOR, Network

DEFAULT_TOOLS: Final = (
    "Bash",
    "Edit",
    "Glob",
    "Grep",
    "NotebookEdit",
    "Read",
    "TodoWrite",
    "WebFetch",
    "WebSearch",
    "Write",
)
# Mounts go below these only: elsewhere they could hide what the container is made of.
MOUNT_TARGETS: Final = ("/workspace/", "/mnt/", "/srv/", "/opt/")
OWN_VARIABLES: Final = ("HOME", "PATH", "CLAUDE_CONFIG_DIR", "TMPDIR", "NODE_OPTIONS")
# As root, `sh` and `setpriv` begin with the agent's environment before they give root up: what the dynamic loader, libc,
# locales or the shell would load from an agent's folder would run as root (ld.so(8), locale(7), bash(1)).
LOADER_VARIABLES: Final = (
    "LD_", "GLIBC_", "GCONV_", "LOCPATH", "NLSPATH", "LANGUAGE", "MALLOC_", "HYPERHIVE_", "SHELLOPTS", "BASHOPTS", "PS4",
)  # fmt: skip
OWN_SERVER: Final = "hyperhive"
_MODEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:/@_\[\]-]{0,99}")


class Tools(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which of the agent CLI's tools may be used without asking, and which not at all."""

    allow: tuple[str, ...] = DEFAULT_TOOLS
    deny: tuple[str, ...] = ()


class AgentLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much an agent may use: `memory` as 512M or 4G, `tasks` are processes and threads."""

    memory: Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]{0,5}[MG]$")] = "4G"
    tasks: Annotated[int, msgspec.Meta(ge=1)] = 512
    turn_minutes: Annotated[float, msgspec.Meta(gt=0, le=10_080)] = 120.0

    @property
    def memory_bytes(self) -> int:
        """The memory in bytes."""
        return int(self.memory[:-1]) * {"M": 1024**2, "G": 1024**3}[self.memory[-1]]


class Mount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A folder of the host that the agent sees: `mode` is ro or rw."""

    source: str
    target: str
    mode: str = "ro"

    @property
    def is_writable(self) -> bool:
        """The agent may change what is in it."""
        return self.mode == "rw"


class McpServer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A program in the container that gives the agent more tools."""

    command: str
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    allowed_tools: tuple[str, ...] = ("*",)


class AgentConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`agent.json`: all that a harness needs to know of its agent."""

    role: str = ""
    model: str | None = None
    send_to: tuple[str, ...] = ("*",)
    network: Network = Network.OPEN
    tools: Tools = Tools()
    env: dict[str, str] = {}
    limits: AgentLimits = AgentLimits()
    mounts: tuple[Mount, ...] = ()
    build: tuple[str, ...] = ()
    mcp_servers: dict[str, McpServer] = {}

    def may_send_to(self, recipient: str) -> bool:
        """The allow-list names the recipient, or everybody."""
        return "*" in self.send_to or recipient in self.send_to


def parse_mount(text: str) -> Mount:
    """Read SRC:DST[:ro|rw]. Raises `Invalid`."""
    parts = text.split(":")
    if len(parts) not in (2, 3) or (len(parts) == 3 and parts[2] not in ("ro", "rw")):
        raise Invalid(f"{text!r} is not a mount", hint="--mount /home/me/blog:/workspace/blog:rw")
    mount = Mount(source=parts[0], target=parts[1], mode=parts[2] if len(parts) == 3 else "ro")
    check_mount(mount)
    return mount


def check_mount(mount: Mount) -> None:
    """Refuse a mount that is relative, climbs, or would hide what the container is made of. Raises `Invalid`."""
    if mount.mode not in ("ro", "rw"):
        raise Invalid(f"a mount is ro or rw, not {mount.mode!r}", hint="--mount /home/me/blog:/workspace/blog:rw")
    for path in (mount.source, mount.target):
        if not path.startswith("/") or "\0" in path or ".." in path.split("/"):
            raise Invalid(f"{path!r} is not an absolute path", hint="--mount /home/me/blog:/workspace/blog:rw")
    if not mount.target.startswith(MOUNT_TARGETS) or mount.target.rstrip("/") + "/" in MOUNT_TARGETS:
        raise Invalid(f"nothing can be mounted at {mount.target}", hint=f"choose a place below {', '.join(MOUNT_TARGETS)}")


def check_env(env: dict[str, str]) -> None:
    """Refuse variables that would change what the agent CLI is, or that no program can be given. Raises `Invalid`."""
    for key, value in env.items():
        if not key.replace("_", "a").isalnum() or key[:1].isdigit() or not key.isascii() or "\0" in value:
            raise Invalid(f"{key!r} cannot be the name of a variable, or its value holds a NUL", hint="--env TZ=UTC")
        if key in OWN_VARIABLES or key.startswith(LOADER_VARIABLES):
            raise Invalid(f"{key} is not an agent's to set", hint="choose another variable")


def check_model(model: str | None) -> None:
    """Refuse what cannot be a model's name. Raises `Invalid`."""
    if model is not None and not _MODEL.fullmatch(model):
        raise Invalid(f"{model!a} cannot be a model's name", hint="opus, sonnet, haiku, or a full name such as claude-sonnet-5-5")


def encode(config: AgentConfig) -> bytes:
    """The text of `agent.json`. Raises `Invalid` for what is no text."""
    try:
        return msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n"
    except UnicodeEncodeError as error:
        raise Invalid(f"{error.object[error.start : error.end]!a} in the configuration is no text", hint="UTF-8") from None


def parse(data: bytes) -> AgentConfig:
    """Read `agent.json`. Raises `Invalid` for what is damaged in it."""
    try:
        config = msgspec.json.decode(data, type=AgentConfig)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Invalid(f"agent.json is damaged: {error}") from None
    for mount in config.mounts:
        check_mount(mount)
    check_env(config.env)
    check_model(config.model)
    return config


def decode(data: bytes) -> tuple[AgentConfig, list[str]]:
    """Read `agent.json`, with warnings about what was left out.

    What is damaged means the defaults without extra servers and without a network, writing only to the operator: never
    a dead agent, and never one that may do more than it was given.
    """
    try:
        config = parse(data)
    except HyperhiveError as error:
        return AgentConfig(send_to=(OPERATOR,), network=Network.NONE), [f"its configuration is damaged and not used: {error}"]
    if OWN_SERVER in config.mcp_servers:
        others = {name: server for name, server in config.mcp_servers.items() if name != OWN_SERVER}
        return msgspec.structs.replace(config, mcp_servers=others), [f"an MCP server may not be named {OWN_SERVER}: left out"]
    return config, []
