"""What a proposed configuration changes, for the operator who decides about it."""

import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

import msgspec

from hyperhive.core import services
from hyperhive.core.agent_config import EVERYBODY, AgentConfig, McpServer, Mount
from hyperhive.core.model import Network, Restart

V = TypeVar("V")

TEXT_MOST: Final = 500
# The dangerous first: what opens the host, then what runs, then what is used without asking.
_ORDER: Final = (
    "mounts",
    "services",
    "mcp_servers",
    "build",
    "network",
    "tools",
    "env",
    "send_to",
    "limits",
    "restart",
    "model",
    "role",
)
_WRITABLE: Final = ", writable"
_LIMITS: Final = {"memory": "memory", "tasks": "processes and threads", "turn_minutes": "minutes for a turn"}


class Change(msgspec.Struct, frozen=True):
    """One difference: `key` as in `agent.toml`, short texts of what was and what will be, whether the agent may do more.

    The texts come from an agent: they are cut, and not made safe for a terminal. Values of variables are not in them.
    """

    key: str
    before: str | None
    after: str | None
    grows: bool


def changes(before: AgentConfig | None, after: AgentConfig) -> list[Change]:
    """All that differs, the dangerous first; without a `before`, all that is given."""
    found = [
        *_mounts(before, after),
        *_services(before, after),
        *_servers(before, after),
        *_build(before, after),
        *_plain("network", before, after, lambda config: config.network.value, grows=after.network is Network.OPEN),
        *_rules("tools.allow", before.tools.allow if before else (), after.tools.allow, new_grows=True),
        *_rules("tools.deny", before.tools.deny if before else (), after.tools.deny, new_grows=False),
        *_variables(before.env if before else {}, after.env),
        *_send_to(before, after),
        *_limits(before, after),
        *_restart(before, after),
        *_plain("model", before, after, lambda config: config.model or "the agent CLI's own", grows=False),
        *_plain("role", before, after, lambda config: config.role, grows=False),
    ]
    return sorted(found, key=_danger)


def spelled(change: Change) -> str:
    """The change as one plain sentence, without a full stop."""
    top, _, name = change.key.partition(".")
    before, after = change.before, change.after
    match top:
        case "mounts":
            return _said("mounts", before, after)
        case "services":
            return f"no longer runs the service {name}" if after is None else f"runs the service {name}: {_from(before, after)}"
        case "build" if before is not None and after is not None:
            return f"runs its build commands {after}"
        case "build":
            return f"runs {after} while it is built" if after is not None else f"no longer runs {before} while it is built"
        case "mcp_servers":
            return f"no longer has the MCP server {name}" if after is None else f"MCP server {name}: {_from(before, after)}"
        case "tools" if before is not None and after is not None:
            return f"{change.key}: {after}"
        case "tools" if name == "allow":
            return f"uses {after} without asking" if after is not None else f"no longer uses {before} without asking"
        case "tools":
            return f"never uses {after}" if after is not None else f"{before} is no longer denied"
        case "env" if before is not None and after is not None:
            return f"sets the variable {name} to another value"
        case "env":
            return _said("sets the variable", name if before is not None else None, name if after is not None else None)
        case "send_to":
            return f"writes to: {_from(before, after)}"
        case "limits":
            return f"{_LIMITS[name]}: {_from(before, after)}"
        case "restart" if after == Restart.ALWAYS:
            return "is started again by itself when its container crashes"
        case "restart":
            return "is not started again by itself when its container crashes"
        case "role":
            return f"its role is now: {after}" if after else "has no role of its own"
        case _:
            return f"{change.key}: {_from(before, after)}"


def _danger(change: Change) -> tuple[bool, int, bool]:
    writable = change.after is not None and change.after.endswith(_WRITABLE)
    return not change.grows, _ORDER.index(change.key.partition(".")[0]), not writable


def _mounts(before: AgentConfig | None, after: AgentConfig) -> Iterator[Change]:
    old = {(mount.target, mount.source): mount for mount in (before.mounts if before else ())}
    new = {(mount.target, mount.source): mount for mount in after.mounts}
    for place in {**old, **new}:
        was, will = old.get(place), new.get(place)
        if was != will:
            grows = will is not None and (was is None or will.is_writable)
            yield Change("mounts", _of(was, _mount), _of(will, _mount), grows)
    if before and before.mounts != after.mounts and old == new:
        # One below another's target hides or shows something by its turn.
        yield Change("mounts", _in_order(before.mounts), _in_order(after.mounts), True)


def _services(before: AgentConfig | None, after: AgentConfig) -> Iterator[Change]:
    old, new = before.services if before else {}, after.services
    for name in {**old, **new}:
        was, will = old.get(name), new.get(name)
        if was != will:
            said = _of(will, services.spelled)
            if was is not None and will is not None and services.spelled(was) == said:
                said = f"{said}, with other settings"
            yield Change(f"services.{name}", _of(_of(was, services.spelled), _short), _of(said, _short), will is not None)


def _servers(before: AgentConfig | None, after: AgentConfig) -> Iterator[Change]:
    old = before.mcp_servers if before else {}
    for name in {**old, **after.mcp_servers}:
        was, will = old.get(name), after.mcp_servers.get(name)
        if was != will:
            yield Change(f"mcp_servers.{name}", _of(was, _server), None if will is None else _server(will, was), will is not None)


def _build(before: AgentConfig | None, after: AgentConfig) -> Iterator[Change]:
    old, new = before.build if before else (), after.build
    for command in Counter(old) - Counter(new):
        yield Change("build", _short(command), None, False)
    for command in Counter(new) - Counter(old):
        yield Change("build", None, _short(command), True)
    if old != new and Counter(old) == Counter(new):
        yield Change("build", "in their order", "in another order", True)


def _rules(key: str, old: tuple[str, ...], new: tuple[str, ...], *, new_grows: bool) -> Iterator[Change]:
    for rule in dict.fromkeys(old):
        if rule not in new:
            yield Change(key, _short(rule), None, not new_grows)
    for rule in dict.fromkeys(new):
        if rule not in old:
            yield Change(key, None, _short(rule), new_grows)
    if old != new and set(old) == set(new):
        yield Change(key, "the same rules", "the same rules, written otherwise", False)


def _variables(old: dict[str, str], new: dict[str, str]) -> Iterator[Change]:
    for name in {**old, **new}:
        if old.get(name) != new.get(name):
            was = "set" if name in old else None
            will = None if name not in new else "set" if was is None else "set to another value"
            yield Change(f"env.{name}", was, will, will is not None)


def _send_to(before: AgentConfig | None, after: AgentConfig) -> Iterator[Change]:
    old, new = set(before.send_to if before else ()), set(after.send_to)
    if before is None or before.send_to != after.send_to:
        grows = EVERYBODY not in old and not new <= old
        yield Change("send_to", _of(before, _whom), _whom(after), grows)


def _limits(before: AgentConfig | None, after: AgentConfig) -> Iterator[Change]:
    old, new = before.limits if before else None, after.limits
    more = [
        ("memory", old is None or new.memory_bytes > old.memory_bytes),
        ("tasks", old is None or new.tasks > old.tasks),
        ("turn_minutes", old is None or new.turn_minutes > old.turn_minutes),
    ]
    for name, grows in more:
        was = None if old is None else _number(getattr(old, name))
        yield from _plain(f"limits.{name}", was, _number(getattr(new, name)), str, grows=grows)


def _restart(before: AgentConfig | None, after: AgentConfig) -> Iterator[Change]:
    if before is not None or after.restart is not Restart.MANAGER:
        yield from _plain("restart", before, after, lambda config: config.restart.value, grows=False)


def _plain(key: str, before: V | None, after: V, say: Callable[[V], str], *, grows: bool) -> Iterator[Change]:
    was, will = _of(before, say), say(after)
    if was != will:
        yield Change(key, _of(was, _short), _short(will), grows)


def _of(value: V | None, say: Callable[[V], str]) -> str | None:
    return None if value is None else say(value)


def _mount(mount: Mount) -> str:
    # The end says what may be done, and stays.
    places = _short(f"{shlex.quote(mount.source)} at {shlex.quote(mount.target)}")
    return places + (_WRITABLE if mount.is_writable else ", read-only")


def _in_order(mounts: tuple[Mount, ...]) -> str:
    return _short("first " + ", then ".join(map(_mount, mounts)))


def _server(server: McpServer, was: McpServer | None = None) -> str:
    tools = "all its tools" if "*" in server.allowed_tools else f"tools {', '.join(server.allowed_tools)}"
    text = f"{shlex.join([server.command, *server.args])} ({tools if server.allowed_tools else 'each use is asked for'})"
    if server.env:
        text += f" with {', '.join(server.env)}"
    changed = [name for name, value in server.env.items() if was is not None and was.env.get(name, value) != value]
    return _short(text + (f", another value of {', '.join(changed)}" if changed else ""))


def _whom(config: AgentConfig) -> str:
    return "everybody" if EVERYBODY in config.send_to else _short(", ".join(config.send_to)) or "nobody"


def _said(what: str, before: str | None, after: str | None) -> str:
    if after is None:
        return f"no longer {what} {before}"
    return f"{what} {after}" + ("" if before is None or before == after else f" (until now {before})")


def _from(before: str | None, after: str | None) -> str:
    return str(after) if before is None or before == after else f"{before} → {after}"


def _number(value: str | float) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _short(text: str) -> str:
    """On one line, and cut with how much is missing: what is dangerous may stand at the end."""
    line = text.replace("\n", "\\n")
    return line if len(line) <= TEXT_MOST else f"{line[:TEXT_MOST]}… ({len(line) - TEXT_MOST} more characters)"
