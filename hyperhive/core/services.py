"""Services of an agent's own: unit files of its configuration, read by what is allowed in them, written anew."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from hyperhive.core.errors import Invalid

FOLDER: Final = "units/"
# Of one agent, and of one unit in bytes.
MOST: Final = 20
BYTES_MOST: Final = 16 * 1024
_LINE_MOST: Final = 4_000
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,40}\.service")
# The system's own in the container, and hyperhive's.
_TAKEN: Final = ("systemd", "dbus", "hyperhive", "user", "init")
_HEADER: Final = re.compile(r"\[(Unit|Service|Install)\]")
_KEY: Final = re.compile(r"([A-Za-z]+)[ \t]*=[ \t]*(.*)")
# A program by its path or its name, after what says how it is started. `+` and `!` would start it as root.
_PROGRAM: Final = re.compile(r"[-@:]*[A-Za-z0-9_./][^\s\"'%]*(?:\s|$)")
_TARGET: Final = re.compile(r"[a-z][a-z-]*\.target")

_EXEC: Final = ("ExecCondition", "ExecStartPre", "ExecStart", "ExecStartPost", "ExecReload", "ExecStop", "ExecStopPost")
# What starts, stops or needs others names services of the agent's own: the system has many more that could be started.
OWN: Final = (
    "Before", "BindsTo", "Conflicts", "PartOf", "Requires", "Requisite", "Upholds", "Wants", "OnFailure", "OnSuccess",
)  # fmt: skip
# What a program of the agent's user could do by itself, or how systemd looks after one. Nothing for which systemd itself
# would read, write or give away a file, and nothing that chooses another user.
ALLOWED: Final[Mapping[str, tuple[str, ...]]] = {
    "Unit": (
        "Description", "Documentation", "After", *OWN, "StartLimitBurst", "StartLimitIntervalSec",
        "ConditionPathExists", "ConditionFileIsExecutable", "ConditionFileNotEmpty", "ConditionPathIsDirectory",
    ),
    "Service": (
        "Type", *_EXEC, "Environment", "WorkingDirectory", "UMask", "Nice", "RemainAfterExit", "NotifyAccess",
        "Restart", "RestartSec", "RestartPreventExitStatus", "RestartForceExitStatus", "SuccessExitStatus", "OOMPolicy",
        "TimeoutSec", "TimeoutStartSec", "TimeoutStopSec", "RuntimeMaxSec", "WatchdogSec",
        "KillMode", "KillSignal", "SendSIGHUP", "SendSIGKILL",
        "CPUQuota", "CPUWeight", "IOWeight", "MemoryHigh", "MemoryMax", "TasksMax", "LimitNOFILE",
        "SyslogIdentifier", "SyslogLevel",
    ),
    # What stands there is left out: every unit runs when the container has booted.
    "Install": ("Alias", "Also", "DefaultInstance", "RequiredBy", "UpheldBy", "WantedBy"),
}  # fmt: skip


def is_unit(path: str) -> bool:
    """A file of a commit is one of these units: all that lies in `units/`."""
    return path.startswith(FOLDER)


def read(files: Mapping[str, bytes]) -> dict[str, str]:
    """The units in files that anybody may have written, by their path, as they are to be installed.

    Raises `Invalid`, which names the file, the line and what was meant.
    """
    if len(files) > MOST:
        raise Invalid(f"{FOLDER} holds {len(files)} files; {MOST} are the most", hint="one service can start several programs")
    names = {path: _name(path) for path in sorted(files)}
    return {name: _read(path, files[path], names.values()) for path, name in names.items()}


def check(services: Mapping[str, str]) -> None:
    """Refuse units that were not written by `read`. Raises `Invalid`."""
    if read({f"{FOLDER}{name}": text.encode(errors="replace") for name, text in services.items()}) != services:
        raise Invalid("the units are not as they were written", hint="deploy the agent's configuration again")


def spelled(text: str) -> str:
    """What a unit runs, in the order in which it does, for people."""
    keys = [line.partition("=") for line in text.splitlines()]
    return "; ".join(value if key == "ExecStart" else f"{key}: {value}" for key, _, value in keys if key in _EXEC and value)


def _name(path: str) -> str:
    name = path.removeprefix(FOLDER)
    if not _NAME.fullmatch(name):
        raise Invalid(
            f"{_shown(path)} cannot be a unit", hint=f"{FOLDER}matrix-bridge.service: lower-case letters, digits, dashes"
        )
    if name.startswith(_TAKEN):
        raise Invalid(f"{path}: that name is the system's own", hint=f"{FOLDER}my-{name}")
    return name


def _read(path: str, data: bytes, own: Collection[str]) -> str:
    if len(data) > BYTES_MOST:
        raise Invalid(f"{path} is longer than {BYTES_MOST // 1024} KiB", hint="put what is long into a script of its own")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise Invalid(f"{path} is not UTF-8: see its byte {error.start}", hint=f"edit {path}") from None
    found: dict[str, list[str]] = {"Unit": [], "Service": [], "Install": []}
    keys: set[str] = set()
    section = ""
    for number, line in _lines(path, text):
        at = f"{path}, line {number}"
        if header := _HEADER.fullmatch(line):
            section = header[1]
            continue
        entry = _KEY.fullmatch(line)
        if entry is None or not section:
            raise Invalid(
                f"{at}: {_shown(line)} is neither a section nor a setting", hint="[Service], then ExecStart=/opt/agent/run"
            )
        key, value = entry.groups()
        if key not in ALLOWED[section]:
            raise Invalid(f"{at}: {_shown(key)} may not stand in [{section}]", hint=_meant(key, section))
        _check_value(at, key, value, own)
        if value:
            keys.add(key)
        found[section].append(f"{key}={value}")
    if "ExecStart" not in keys:
        raise Invalid(f"{path} starts nothing", hint="[Service], then ExecStart=/opt/agent/run")
    if "WorkingDirectory" not in keys:
        found["Service"].append("WorkingDirectory=/workspace")
    # Not its [Install]: which units run is said by there being a file.
    return "\n".join(["[Unit]", *found["Unit"], "", "[Service]", *found["Service"], ""])


def _lines(path: str, text: str) -> Iterator[tuple[int, str]]:
    """The settings with the numbers of their lines, what goes on in the next line joined (systemd.syntax(7))."""
    whole = ""
    for number, line in enumerate([*text.split("\n"), ""], 1):
        line = line.removesuffix("\r")
        if line.lstrip()[:1] in ("#", ";"):
            continue
        if line.endswith("\\"):
            whole += f"{line[:-1]} "
            continue
        line, whole = f"{whole}{line}".strip(), ""
        at = f"{path}, line {number}"
        if len(line) > _LINE_MOST:
            raise Invalid(f"{at} is too long", hint=f"{_LINE_MOST} characters are the most; use a script of its own")
        if any((ord(sign) < 0x20 and sign != "\t") or ord(sign) == 0x7F for sign in line):
            raise Invalid(f"{at} holds a control character", hint=f"edit {path}")
        # Written anew it would take the next line with it.
        if line.endswith("\\"):
            raise Invalid(f"{at} ends with a backslash", hint="leave it out")
        if line:
            yield number, line


def _check_value(at: str, key: str, value: str, own: Collection[str]) -> None:
    if key in _EXEC and value:
        if not _PROGRAM.match(value):
            hint = "begin with the program's path, or with -, @ or : before it"
            raise Invalid(f"{at}: {key} cannot begin with {_shown(value[:20])}", hint=hint)
        # A word that is a semicolon alone begins another command.
        if re.search(r"(?:^|\s);(?:\s|$)", value):
            raise Invalid(f"{at}: {key} holds more than one command", hint=f"a line {key}=… for each")
    if key in OWN and not set(value.split()) <= set(own):
        raise Invalid(f"{at}: {key} names what is no service of this agent's own", hint=f"{key}={next(iter(own))}")
    if key == "After" and not all(word in own or _TARGET.fullmatch(word) for word in value.split()):
        raise Invalid(f"{at}: After names no target and no service of this agent's own", hint="After=network.target")


def _meant(key: str, section: str) -> str:
    import difflib

    near = [known for known in ALLOWED[section] if known.lower() == key.lower()]
    near = near or difflib.get_close_matches(key, ALLOWED[section], n=1, cutoff=0.8)
    other = next((name for name, keys in ALLOWED.items() if key in keys), None)
    if near:
        return f"did you mean `{near[0]}`?"
    if other:
        return f"it stands in [{other}]"
    if key in ("User", "Group", "DynamicUser", "SupplementaryGroups"):
        return "leave it out: a service runs as the agent's user"
    return "docs/reference/agent-toml.md names what may"


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 80 else text[:80] + "…")
