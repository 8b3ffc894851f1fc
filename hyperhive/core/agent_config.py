"""What an agent was given: its role, tools, network, mounts, limits."""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Sized
from typing import Annotated, Final

import msgspec

from hyperhive.core.errors import HyperhiveError, Invalid
from hyperhive.core.model import OPERATOR, Network, Restart, parse_name

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
NOT_COVERED: Final = ("/opt/hyperhive/", "/opt/agent/", "/opt/source/")
OWN_VARIABLES: Final = ("HOME", "PATH", "CLAUDE_CONFIG_DIR", "TMPDIR", "NODE_OPTIONS")
# As root, `sh` and `setpriv` begin with the agent's environment before they give root up: what the dynamic loader, libc,
# locales or the shell would load from an agent's folder would run as root (ld.so(8), locale(7), bash(1)).
LOADER_VARIABLES: Final = (
    "LD_", "GLIBC_", "GCONV_", "LOCPATH", "NLSPATH", "LANGUAGE", "MALLOC_", "HYPERHIVE_", "SHELLOPTS", "BASHOPTS", "PS4",
)  # fmt: skip
OWN_SERVER: Final = "hyperhive"
OWN_SERVER_SAID: Final = f"an MCP server may not be named {OWN_SERVER}: left out"
EVERYBODY: Final = "*"
# In bytes. A program is started with words of up to 128 KiB, and with much more in all (execve(2)).
ROLE_MOST: Final = 64 * 1024
WORD_MOST: Final = 32 * 1024
ENV_MOST: Final = 64 * 1024
TOOLS_MOST: Final = 64 * 1024
PATH_MOST: Final = 4_000
RULE_MOST: Final = 200
# How many a configuration may list.
MOUNTS_MOST: Final = 100
SERVERS_MOST: Final = 100
BUILD_MOST: Final = 50
OTHERS_MOST: Final = 200
# The CLI's own, of which some are not allowed by default: only to find a name that is spelled wrongly.
_KNOWN_TOOLS: Final = (*DEFAULT_TOOLS, "Agent", "BashOutput", "KillShell", "Monitor", "Skill", "Task", "ToolSearch")
# Compiled when first used: most commands check no configuration.
_MODEL: Final = r"[A-Za-z0-9][A-Za-z0-9.:/@_\[\]-]{0,99}"
_SERVER: Final = r"(?!.*__)[A-Za-z0-9_-]{0,63}[A-Za-z0-9-]"
_SERVER_TOOL: Final = r"[A-Za-z0-9_-]{1,128}"
# Measured with claude 2.1.330: it cuts rules at commas and blanks, though not between parentheses, of which it knows one pair.
_RULE: Final = r"[A-Za-z0-9_*][A-Za-z0-9_.:*-]*(?:\([^()\x00-\x1f\x7f-\x9f\u2028\u2029]+\))?"


class Tools(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which of the agent CLI's tools may be used without asking, and which not at all."""

    allow: tuple[str, ...] = DEFAULT_TOOLS
    deny: tuple[str, ...] = ()


class AgentLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much an agent may use: `memory` as 512M or 4G, `tasks` are processes and threads."""

    memory: Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]{0,5}[MG]\Z")] = "4G"
    # At most what Linux counts up to (proc(5), pid_max).
    tasks: Annotated[int, msgspec.Meta(ge=1, le=4_194_304)] = 512
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
    """`agent.json`: all that a harness needs to know of its agent.

    `services` are texts of units by their file's name, as `core/services.py` writes them; they stand in files of their own
    beside `agent.toml`.
    """

    role: str = ""
    model: str | None = None
    send_to: tuple[str, ...] = ("*",)
    network: Network = Network.OPEN
    restart: Restart = Restart.MANAGER
    tools: Tools = Tools()
    env: dict[str, str] = {}
    limits: AgentLimits = AgentLimits()
    mounts: tuple[Mount, ...] = ()
    build: tuple[str, ...] = ()
    mcp_servers: dict[str, McpServer] = {}
    services: dict[str, str] = {}

    def may_send_to(self, recipient: str) -> bool:
        """The allow-list names the recipient, or everybody."""
        return EVERYBODY in self.send_to or recipient in self.send_to


def parse_mount(text: str) -> Mount:
    """Read SRC:DST[:ro|rw]. Raises `Invalid`."""
    parts = text.split(":")
    if len(parts) not in (2, 3) or (len(parts) == 3 and parts[2] not in ("ro", "rw")):
        raise Invalid(f"{text!r} is not a mount", hint="--mount /home/me/blog:/workspace/blog:rw")
    mount = Mount(source=parts[0], target=parts[1], mode=parts[2] if len(parts) == 3 else "ro")
    check_mount(mount)
    return mount


def check(config: AgentConfig) -> None:
    """Refuse what no agent can have, wherever it was written. Raises `Invalid`, which names the key."""
    check_rest(config)
    with _at("mcp_servers"):
        _count(config.mcp_servers, SERVERS_MOST)
        # One that is named as our own is left out by whoever reads.
        others = {name: server for name, server in config.mcp_servers.items() if name != OWN_SERVER}
        _check_length(f"mcp__{name}__{tool}" for name, server in others.items() for tool in server.allowed_tools)
    for name, server in others.items():
        with _at(f"mcp_servers.{name}" if re.fullmatch(_SERVER, name) else "mcp_servers"):
            _check_server(name, server)


def check_rest(config: AgentConfig) -> None:
    """Refuse what no agent can have, its MCP servers aside. Raises `Invalid`, which names the key."""
    with _at("role"):
        _check_text(config.role, ROLE_MOST)
    with _at("model"):
        check_model(config.model)
    with _at("send_to"):
        _count(config.send_to, OTHERS_MOST)
        for recipient in config.send_to:
            if recipient not in (EVERYBODY, OPERATOR):
                parse_name(recipient)
    for key, rules in (("tools.allow", config.tools.allow), ("tools.deny", config.tools.deny)):
        with _at(key):
            _check_length(rules)
            for rule in rules:
                check_rule(rule)
    with _at("env"):
        _check_variables(config.env)
    if config.services:
        from hyperhive.core import services

        services.check(config.services)
    with _at("mounts"):
        _count(config.mounts, MOUNTS_MOST)
        for mount in config.mounts:
            check_mount(mount)
    with _at("build"):
        _count(config.build, BUILD_MOST)
        for command in config.build:
            _check_text(command, WORD_MOST)
            if not command.strip():
                raise Invalid("a command is empty", hint="leave it out")


def check_rule(rule: str) -> None:
    """Refuse what the agent CLI would not read as one rule about a tool. Raises `Invalid`."""
    if len(rule) > RULE_MOST or not re.fullmatch(_RULE, rule):
        hint = 'each rule is a word of its own: ["Read", "Bash(npm test:*)"]'
        raise Invalid(f"{_shown(rule)} is no rule about a tool", hint=hint)
    name = rule.partition("(")[0]
    for known in _KNOWN_TOOLS:
        # The CLI would take it, and it would match nothing.
        if name != known and name.lower() == known.lower():
            raise Invalid(f"there is no tool {name}", hint=f"did you mean `{known}`?")


def check_mount(mount: Mount) -> None:
    """Refuse a mount that is relative, climbs, or would hide what the container is made of. Raises `Invalid`."""
    if mount.mode not in ("ro", "rw"):
        raise Invalid(f"a mount is ro or rw, not {_shown(mount.mode)}", hint="ro only shows the folder, rw lets it be changed")
    for path in (mount.source, mount.target):
        if not path.startswith("/") or "\0" in path or ".." in path.split("/") or len(path) > PATH_MOST:
            raise Invalid(f"{_shown(path)} is not an absolute path", hint="such as /home/me/blog, or /workspace/blog")
    # As the kernel will read it: `/opt/./agent` and `/opt//agent` are `/opt/agent`.
    target = f"{os.path.normpath(mount.target)}/"
    if not target.startswith(MOUNT_TARGETS) or target in MOUNT_TARGETS or target.startswith(NOT_COVERED):
        hint = f"choose a place below {', '.join(MOUNT_TARGETS)}, outside {', '.join(NOT_COVERED)}"
        raise Invalid(f"nothing can be mounted at {_shown(mount.target)}", hint=hint)


def check_env(env: dict[str, str]) -> None:
    """Refuse variables that would change what the agent CLI is, or that no program can be given. Raises `Invalid`."""
    for key, value in env.items():
        if not key.replace("_", "a").isalnum() or key[:1].isdigit() or not key.isascii() or "\0" in value:
            raise Invalid(f"{_shown(key)} cannot be the name of a variable, or its value holds a NUL", hint="such as TZ=UTC")
        if key in OWN_VARIABLES or key.startswith(LOADER_VARIABLES):
            raise Invalid(f"{_shown(key)} is not an agent's to set", hint="choose another variable")


def check_model(model: str | None) -> None:
    """Refuse what cannot be a model's name. Raises `Invalid`."""
    if model is not None and not re.fullmatch(_MODEL, model):
        raise Invalid(
            f"{_shown(model)} cannot be a model's name", hint="opus, sonnet, haiku, or a full name such as claude-sonnet-5-5"
        )


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
    check(config)
    return config


def decode(data: bytes) -> tuple[AgentConfig, list[str]]:
    """Read `agent.json`, with warnings about what was left out.

    Damaged MCP servers mean none. Other damage means the defaults without extra servers and without a network, writing
    only to the operator: never a dead agent, and never one that may do more than it was given.
    """
    try:
        config = parse(data)
    except HyperhiveError as error:
        rest = _without_servers(data)
        if rest is not None:
            return rest, [f"its MCP servers are damaged and not used: {error}"]
        return AgentConfig(send_to=(OPERATOR,), network=Network.NONE), [f"its configuration is damaged and not used: {error}"]
    if OWN_SERVER in config.mcp_servers:
        others = {name: server for name, server in config.mcp_servers.items() if name != OWN_SERVER}
        return msgspec.structs.replace(config, mcp_servers=others), [OWN_SERVER_SAID]
    return config, []


def model_in(data: bytes) -> str | None:
    """The model that `agent.json` names, without the checks that a harness makes: for lists of many agents."""
    try:
        return msgspec.json.decode(data, type=AgentConfig).model
    except (msgspec.DecodeError, RecursionError):
        return None


def _without_servers(data: bytes) -> AgentConfig | None:
    """What else stands in an `agent.json`, or None when that is damaged too."""
    try:
        found = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        if found.pop("mcp_servers", None) is None:
            return None
        rest = msgspec.json.decode(msgspec.json.encode(found), type=AgentConfig)
        check_rest(rest)
    except (msgspec.DecodeError, RecursionError, HyperhiveError):
        return None
    return rest


def _check_server(name: str, server: McpServer) -> None:
    if not re.fullmatch(_SERVER, name):
        hint = "up to 64 letters, digits, _ and -, without two _ in a row or one at the end"
        raise Invalid(f"{_shown(name)} cannot be a server's name", hint=hint)
    if not server.command.strip():
        raise Invalid("its command is empty", hint='command = "/opt/agent/bin/matrix-mcp"')
    _count(server.args, OTHERS_MOST)
    for word in (server.command, *server.args):
        _check_text(word, WORD_MOST)
    _check_variables(server.env)
    for tool in server.allowed_tools:
        if tool != "*" and not re.fullmatch(_SERVER_TOOL, tool):
            hint = f'"*", or names without mcp__{name}__ such as "send_message"'
            raise Invalid(f"{_shown(tool)} cannot be a tool's name", hint=hint)


def _check_variables(env: dict[str, str]) -> None:
    _count(env, OTHERS_MOST)
    check_env(env)
    for value in env.values():
        _check_text(value, WORD_MOST)
    if sum(len(key) + _size(value) for key, value in env.items()) > ENV_MOST:
        raise Invalid(f"it is longer than {ENV_MOST // 1024} KiB", hint="put what is long into a file")


def _check_length(rules: Iterable[str]) -> None:
    if sum(map(_size, rules)) > TOOLS_MOST:
        raise Invalid("it names more tools than a command line holds", hint='"*" stands for all tools of a server')


def _check_text(text: str, most: int) -> None:
    if "\0" in text:
        raise Invalid("it holds a NUL, which no program can be given", hint="leave it out")
    if _size(text) > most:
        raise Invalid(f"it is longer than {most // 1024} KiB", hint="put the rest into a file")


def _size(text: str) -> int:
    return len(text.encode(errors="replace"))


def _count(found: Sized, most: int) -> None:
    if len(found) > most:
        raise Invalid(f"more than {most} are too many", hint=f"at most {most}")


def _shown(text: str) -> str:
    """A text as it was written, on one line and not too long: it may come from an agent."""
    return ascii(text if len(text) <= 80 else text[:80] + "…")


@contextlib.contextmanager
def _at(key: str) -> Iterator[None]:
    """Put the key in front of what is refused below it."""
    try:
        yield
    except Invalid as error:
        raise Invalid(f"{key}: {error.message}", hint=error.hint) from None
