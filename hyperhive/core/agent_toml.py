"""The text of `agent.toml`, in which an agent's configuration is written and reviewed."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final

import msgspec

from hyperhive.core.agent_config import (
    OWN_SERVER,
    OWN_SERVER_SAID,
    SERVERS_MOST,
    AgentConfig,
    AgentLimits,
    McpServer,
    Mount,
    Tools,
    check,
    check_rule,
)
from hyperhive.core.config import convert, plain_toml
from hyperhive.core.errors import Invalid

FILE: Final = "agent.toml"
# In bytes: four of the longest roles.
FILE_MOST: Final = 256 * 1024
_MESSAGE_MOST: Final = 300
_LINE_MOST: Final = 110
# Strings and comments, also those that do not end: no character is looked at twice.
_STRING: Final = re.compile(
    r"""
      \"{3} (?: [^"\\]++ | \\(?:.|\Z) | "(?!"") )*+ (?: "{3,5} | \Z )
    | '{3} (?: [^']++ | '(?!'') )*+ (?: '{3,5} | \Z )
    | " (?: [^"\\\n]++ | \\. )*+ "?
    | ' [^'\n]*+ '?
    | \# [^\n]*+
    """,
    re.VERBOSE | re.DOTALL,
)
# tomllib's time grows with the square of a dotted key's parts: one that fills the file would take minutes.
_LONG_KEY: Final = re.compile(r"(?<![\w-])(?:[\w-]++[ \t]*+\.[ \t]*+){32}")
_TOOLS_HEADER: Final = re.compile(r"^[ \t]*\[[ \t]*tools[ \t]*\][ \t]*(?:#[^\n]*)?\n", re.MULTILINE)


# What is written where something else was found; the first that fits.
_MEANT: Final = {
    "role": 'role = "You look after the blog."',
    "model": 'model = "sonnet"',
    "send_to": 'send_to = ["operator", "ada"]',
    "network": 'network = "open", or "none"',
    "restart": 'restart = "manager", or "always"',
    "tools": 'tools = { allow = ["Bash", "Read"], deny = ["WebSearch"] }',
    "env": 'env = { TZ = "UTC" }',
    "limits.memory": 'memory = "512M", or "4G"',
    "limits.tasks": "tasks = 512",
    "limits.turn_minutes": "turn_minutes = 120, at most a week",
    "limits": 'limits = { memory = "4G", tasks = 512, turn_minutes = 120 }',
    "mounts": 'mounts = [{ source = "/home/me/blog", target = "/workspace/blog", mode = "rw" }]',
    "build": 'build = ["npm ci --prefix /opt/agent"]',
    "mcp_servers": '[mcp_servers.matrix], and below it command = "/opt/agent/bin/matrix-mcp"',
}


def read(data: bytes, *, source: str = FILE) -> tuple[AgentConfig, list[str]]:
    """Read a file that anybody may have written, with warnings about what was left out.

    Raises `Invalid`, which names `source`, the key and what was meant, and nothing else, whatever comes in.
    """
    try:
        return _read(data, source)
    except Invalid as error:
        message, hint = _short(error.message), error.hint
        if hint is None or hint == f"edit {source}":
            hint = next((meant for key, meant in _MEANT.items() if message.startswith(f"{source}: {key}")), hint)
        raise Invalid(message, hint=None if hint is None else _short(hint)) from None


def write(config: AgentConfig) -> bytes:
    """A file that says all of it: a comment for each key, and what is as by default only as an example.

    Raises `Invalid` for a configuration that could not be read again.
    """
    check(config)
    try:
        data = "\n".join([_HEAD, *_sections(config)]).encode()
    except UnicodeEncodeError as error:
        raise Invalid(f"{error.object[error.start : error.end]!a} in the configuration is no text", hint="UTF-8") from None
    if len(data) > FILE_MOST:
        raise _too_long(FILE)
    return data


def allow_tool(data: bytes, rule: str, *, source: str = FILE) -> bytes:
    """The same file with one more rule in `tools.allow`, its comments and layout kept. Raises `Invalid` as `read` does."""
    config, _ = read(data, source=source)
    check_rule(rule)
    if rule in config.tools.allow:
        return data
    for text in _with_allowed(data.decode(), config.tools.allow, rule):
        try:
            found, _ = read(text.encode(), source=source)
        except Invalid:
            continue
        # An edit counts when it says the same but for the one rule, which may stand first.
        tools = Tools(allow=found.tools.allow, deny=config.tools.deny)
        if found == msgspec.structs.replace(config, tools=tools) and sorted(tools.allow) == sorted([*config.tools.allow, rule]):
            return text.encode()
    raise Invalid(f"{source}: tools.allow cannot take one more rule as the file is written", hint=f"add {rule!a} by hand")


def _read(data: bytes, source: str) -> tuple[AgentConfig, list[str]]:
    if len(data) > FILE_MOST:
        raise _too_long(source)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise Invalid(f"{source} is not UTF-8: see its byte {error.start}", hint=f"edit {source}") from None
    if _LONG_KEY.search(_STRING.sub("q", text)):
        raise Invalid(f"{source}: a key has too many parts", hint=f"edit {source}")
    found = plain_toml(text, source=source)
    warnings = []
    servers = found.get("mcp_servers")
    if isinstance(servers, dict):
        if servers.pop(OWN_SERVER, None) is not None:
            warnings.append(OWN_SERVER_SAID)
        # Each alone, for its name in what is said. More than are allowed are refused below.
        for name, server in list(servers.items())[:SERVERS_MOST]:
            if isinstance(server, dict):
                convert(server, McpServer, source=source, at=f"mcp_servers.{_short(name)}")
    if "services" in found:
        raise Invalid(f"{source}: services stand in files of their own", hint="units/matrix-bridge.service")
    config = convert(found, AgentConfig, source=source)
    try:
        check(config)
    except Invalid as error:
        raise Invalid(f"{source}: {error.message}", hint=error.hint) from None
    return config, warnings


def _too_long(source: str) -> Invalid:
    return Invalid(f"{source} is longer than {FILE_MOST // 1024} KiB", hint="put what is long into a file of its own")


def _short(text: str) -> str:
    """On one line and not too long, with what cannot be printed as its escape."""
    shown = text if len(text) <= _MESSAGE_MOST else text[: _MESSAGE_MOST - 1] + "…"
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in shown)


def _with_allowed(text: str, allowed: Sequence[str], rule: str) -> Iterator[str]:
    """Ways to add the rule to the file, the best first. Not each is right for each file."""
    line = f"allow = {_value([*allowed, rule])}\n"
    # Below its header, for tomlkit would put it behind the comment of the next table. Roles may hold such lines too.
    for header in islice(_TOOLS_HEADER.finditer(text), 5):
        yield text[: header.end()] + line + text[header.end() :]
    # At the front where a comment after the last rule would swallow the comma.
    for first in (False, True):
        edited = _edited(text, allowed, rule, first=first)
        if edited is not None:
            yield edited


def _edited(text: str, allowed: Sequence[str], rule: str, *, first: bool) -> str | None:
    import tomlkit

    try:
        document: Any = tomlkit.parse(text)
        if "tools" not in document:
            document["tools"] = tomlkit.table()
        tools = document["tools"]
        if "allow" not in tools:
            tools["allow"] = list(allowed)
        tools["allow"].insert(0 if first else len(tools["allow"]), rule)
        return tomlkit.dumps(document)
    except Exception:
        # A second reader of what a stranger wrote: where it stumbles, this is no way.
        return None


# ---- the text ----

_HEAD: Final = """\
# What this agent is and may do. Behind a # stands the default, or an example.
"""
_ROLE: Final = "# What the agent is for. It is added to the prompt that every agent gets."
_MODEL: Final = "# The model: opus, sonnet, haiku, or a full name. Without it the agent CLI chooses."
_SEND_TO: Final = '# Whom it may write to: names of agents, "operator", or "*" for everybody.'
_NETWORK: Final = '# What its container reaches: "open" is everything, "none" only the API of the model.'
_RESTART: Final = (
    '# Whether a container of its own system that crashed is started again: by its "manager", who is told, or "always".'
)
_BUILD: Final = "# Commands that are run in its container, once for each version of this file. They install below /opt/agent."
_TOOLS: Final = """\
# Which tools it uses without asking, and which not at all. The operator is asked about the others.
# A rule is a tool, or a tool with what it may do: "Read", "Bash(npm test:*)"."""
_ENV: Final = "# Variables for the agent and whatever it runs. No place for secrets: this file is kept for ever."
_LIMITS: Final = "# How much it may use: memory as 512M or 4G, tasks (processes and threads), minutes for each turn."
_MOUNTS: Final = """\
# Folders of the host that it sees, below /workspace, /mnt, /srv or /opt: "ro" to read, "rw" to write too."""
_SERVERS: Final = """\
# MCP servers, programs in its container that give it more tools: mcp__matrix__send_message.
# allowed_tools are those that it uses without asking; "*" is all of them."""

_MOUNT: Final = Mount(source="/home/me/blog", target="/workspace/blog", mode="rw")
_SERVER: Final = McpServer(
    command="/opt/agent/bin/matrix-mcp",
    args=("--room", "blog"),
    env={"MATRIX_URL": "http://127.0.0.1:8008"},
    allowed_tools=("send_message", "join_room"),
)


def _sections(config: AgentConfig) -> Iterator[str]:
    usual = AgentConfig()
    yield _keys(_ROLE, [_key("role", config.role, usual.role, "You look after the blog.")])
    yield _keys(_MODEL, [_key("model", config.model, usual.model, "sonnet")])
    yield _keys(_SEND_TO, [_key("send_to", config.send_to, usual.send_to)])
    yield _keys(_NETWORK, [_key("network", config.network.value, usual.network.value)])
    yield _keys(_RESTART, [_key("restart", config.restart.value, usual.restart.value)])
    yield _keys(_BUILD, [_key("build", config.build, usual.build, ("npm ci --prefix /opt/agent",))])
    allow = _key("allow", config.tools.allow, usual.tools.allow)
    yield _keys(_TOOLS, ["[tools]", allow, _key("deny", config.tools.deny, usual.tools.deny, ("WebSearch",))])
    variables = [f"{name} = {_value(value)}" for name, value in config.env.items()] or ['# TZ = "UTC"']
    yield _keys(_ENV, ["[env]", *variables])
    limits = [_key(name, getattr(config.limits, name), getattr(usual.limits, name)) for name in AgentLimits.__struct_fields__]
    yield _keys(_LIMITS, ["[limits]", *limits])
    yield _keys(_MOUNTS, ["\n\n".join(map(_mount, config.mounts)) or _commented(_mount(_MOUNT))])
    servers = [_server(name, server) for name, server in config.mcp_servers.items()]
    yield _keys(_SERVERS, ["\n\n".join(servers) or _commented(_server("matrix", _SERVER))])


def _keys(comment: str, lines: Sequence[str]) -> str:
    return "\n".join([comment, *lines, ""])


def _key(name: str, value: object, usual: object, example: object = None) -> str:
    if value != usual:
        return f"{name} = {_value(value)}"
    return _commented(f"{name} = {_value(example if example is not None else usual)}")


def _mount(mount: Mount) -> str:
    return "\n".join(["[[mounts]]", *(f"{name} = {_value(getattr(mount, name))}" for name in Mount.__struct_fields__)])


def _server(name: str, server: McpServer) -> str:
    usual = McpServer(command="")
    return "\n".join(
        [
            f"[mcp_servers.{name}]",
            *(
                _key(field, getattr(server, field), getattr(usual, field), getattr(_SERVER, field))
                for field in McpServer.__struct_fields__
            ),
        ]
    )


def _commented(text: str) -> str:
    return "\n".join(f"# {line}" for line in text.split("\n"))


def _value(value: object) -> str:
    """A value as TOML, a long list with a line for each word."""
    import tomlkit

    match value:
        case str() if "\n" in value and "\r" not in value and not value.startswith("\n"):
            # A line end after the first quotes is none of the text, and tomlkit's versions differ in who adds one; a
            # carriage return would be lost.
            return '"""\n' + tomlkit.string(value, multiline=True).as_string()[3:]
        case str():
            return tomlkit.string(value).as_string()
        case tuple() | list():
            words = [tomlkit.string(str(word)).as_string() for word in value]
            line = f"[{', '.join(words)}]"
            return line if len(line) <= _LINE_MOST else "\n".join(["[", *(f"    {word}," for word in words), "]"])
        case dict():
            pairs = [f"{name} = {tomlkit.string(str(word)).as_string()}" for name, word in value.items()]
            return "{ " + ", ".join(pairs) + " }" if pairs else "{}"
        case float() if value.is_integer():
            return str(int(value))
        case _:
            return str(value)
