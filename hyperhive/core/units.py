"""The units under which systemd keeps a hive, as texts."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from hyperhive.core import doorbell, systemd
from hyperhive.core.errors import Invalid
from hyperhive.core.hive import BOOT_TOLD
from hyperhive.core.paths import Paths
from hyperhive.core.runtimes import nspawn
from hyperhive.core.systemd import Manager

PREFIX: Final = "hyperhive-"
# What every text begins with: only a file that does is ever overwritten or removed.
MARK: Final = "# Written by `hyperhive install`"
# Longer than a harness or an operation needs to end in order, in seconds.
STOP_MOST: Final = 20
# What is needed to give agents' sockets to their groups, and to remove what agents' users have made.
_RIGHTS: Final = "CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER"
# Also to read the journal of a booted container as the user that owns it, and not as root.
_READER_RIGHTS: Final = f"{_RIGHTS} CAP_SETGID CAP_SETUID"
# What nothing in a container needs of the host, nor who makes one.
_NEVER: Final = (
    "~CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_BOOT CAP_SYS_TIME CAP_WAKE_ALARM CAP_SYS_PACCT CAP_SYSLOG CAP_MAC_ADMIN "
    "CAP_MAC_OVERRIDE CAP_AUDIT_CONTROL CAP_AUDIT_READ CAP_AUDIT_WRITE CAP_LINUX_IMMUTABLE CAP_BLOCK_SUSPEND"
)

Lines = Sequence[tuple[str, str]]


class Ground(msgspec.Struct, frozen=True):
    """What the texts are made for: whose systemd, which interpreter, which hive.

    `variables` are what every unit is given; `touch` is the program of that name, which rings; `cli` is what the agent
    CLI's unit is called in a container that is booted.
    """

    manager: Manager
    version: str
    python: Path
    paths: Paths
    variables: Mapping[str, str]
    touch: Path
    cli: str


class Unit(msgspec.Struct, frozen=True):
    """One file. `is_kept_up` means: it begins with the machine, and `hyperhive install` starts it."""

    name: str
    text: str
    is_kept_up: bool


def of_agent(name: str) -> str:
    """The unit in which an agent's harness runs."""
    return f"{PREFIX}agent@{name}.service"


def units(ground: Ground, commands: Collection[str]) -> list[Unit]:
    """Every unit whose command is among these, in the order in which they are started.

    Raises `Invalid` for a path or a variable that no unit file can hold.
    """
    made = {
        "hub": [_hub(ground)],
        "harness": [_agent(ground)],
        "operate": [_operation(ground)],
        "crash-watch": [_pass(ground, "crash-watch", "Look after the agents"), _timer(ground, "crash-watch", first=5, every=10)],
        "vacuum": [_pass(ground, "vacuum", "Remove what is too old"), _timer(ground, "vacuum", first=10, every=3600)],
        "web": [_web(ground)],
    }
    return [unit for command, found in made.items() if command in commands for unit in found]


def _hub(ground: Ground) -> Unit:
    return _unit(
        ground,
        "hub.service",
        about="Serve the agents of hyperhive",
        service=[
            ("Type", "notify"),
            ("ExecStart", _command(ground, "hub")),
            ("Environment", f"{systemd.UNITS}={ground.manager}"),
            ("Restart", "always"),
            ("RestartSec", "1s"),
            # What its children need takes seconds to load, on a slow machine minutes.
            ("TimeoutStartSec", "10min"),
            # Its own children end with it; harnesses and operations are units of their own.
            ("KillMode", "mixed"),
            ("TimeoutStopSec", f"{STOP_MOST}s"),
            # A socket for each agent, and some for each connection.
            ("LimitNOFILE", "65536"),
            *_hardened(ground, rights=_READER_RIGHTS),
            *_without_network(ground),
        ],
        wanted_by=ground.manager.target,
    )


def _agent(ground: Ground) -> Unit:
    return _unit(
        ground,
        "agent@.service",
        about="Work through the mail of %i, an agent of hyperhive",
        after="hyperhive-hub.service",
        service=[
            ("ExecStart", _command(ground, "harness", "%i")),
            *([("ExecStopPost", _end_of_cli(ground))] if ground.manager is Manager.SYSTEM else []),
            *_worker(ground, "agent"),
        ],
    )


def _operation(ground: Ground) -> Unit:
    return _unit(
        ground,
        "operation@.service",
        about="Carry out operation %i of hyperhive",
        service=[("ExecStart", _command(ground, "operate", "%i")), *_worker(ground, "operation")],
    )


def _worker(ground: Ground, kind: str) -> Lines:
    """What makes containers: it gets no namespace or filter of its own, which everything in the containers would get too."""
    return [
        ("Type", "exec"),
        # The hub hears it, also where the start of the next one was asked for too early.
        ("ExecStopPost", _bell(ground, kind)),
        ("KillMode", "mixed"),
        ("TimeoutStopSec", f"{STOP_MOST}s"),
        # The agent CLI has a group with limits of its own below this one, and the harness lives to say what has happened.
        ("Delegate", "yes"),
        ("OOMPolicy", "continue"),
        # The group below decides.
        ("TasksMax", "infinity"),
        ("KeyringMode", "private"),
        *([("CapabilityBoundingSet", _NEVER)] if ground.manager is Manager.SYSTEM else []),
    ]


def _end_of_cli(ground: Ground) -> str:
    """Ends the agent CLI where it outlives its harness, as a unit in a container of its own; nothing waits for that."""
    machine = f"{nspawn.PREFIX}%i"
    end = f"systemctl --no-block --machine={machine} stop {ground.cli}"
    return f"-/bin/sh -c '[ ! -e /run/systemd/machines/{machine} ] || {end} >/dev/null 2>&1'"


def _bell(ground: Ground, kind: str) -> str:
    # A dollar begins a variable here, and one of the folder's does not.
    folder = _plain(str(ground.paths.wake)).replace("$", "$$")
    return f"{_quoted(_plain(str(ground.touch)))} {_quoted(f'{folder}/{doorbell.bell_of_end(kind)}')}"


def _pass(ground: Ground, command: str, about: str) -> Unit:
    return _unit(
        ground,
        f"{command}.service",
        about=f"{about} of hyperhive",
        service=[
            ("Type", "oneshot"),
            ("ExecStart", _command(ground, command)),
            # What it says is kept; that it has begun and ended again is not.
            ("SyslogLevel", "notice"),
            ("LogLevelMax", "notice"),
            ("TimeoutStartSec", "10min"),
            *_hardened(ground),
            *_without_network(ground),
        ],
    )


def _timer(ground: Ground, command: str, *, first: int, every: int) -> Unit:
    """The times are in seconds: after its start, and then from one pass to the next."""
    return Unit(
        f"{PREFIX}{command}.timer",
        _text(
            ground,
            Unit=[("Description", f"Run hyperhive {command} again and again")],
            # A timer's own accuracy is a minute.
            Timer=[("OnActiveSec", f"{first}s"), ("OnUnitActiveSec", f"{every}s"), ("AccuracySec", "1s")],
            Install=[("WantedBy", "timers.target")],
        ),
        is_kept_up=True,
    )


def _web(ground: Ground) -> Unit:
    return _unit(
        ground,
        "web.service",
        about="Serve the dashboard of hyperhive",
        after="hyperhive-hub.service",
        service=[
            ("Type", "exec"),
            ("ExecStart", _command(ground, "web")),
            ("Restart", "on-failure"),
            ("RestartSec", "5s"),
            ("TimeoutStopSec", f"{STOP_MOST}s"),
            *_hardened(ground, rights=_READER_RIGHTS, families="AF_UNIX AF_INET AF_INET6"),
        ],
        wanted_by=ground.manager.target,
    )


def _hardened(ground: Ground, *, rights: str = _RIGHTS, families: str = "AF_UNIX") -> Lines:
    """What holds for all that makes no container (systemd.exec(5)); `families` are the sockets that it may open.

    `rights` are the capabilities that root's has.
    """
    return [
        ("NoNewPrivileges", "yes"),
        ("LockPersonality", "yes"),
        ("MemoryDenyWriteExecute", "yes"),
        ("RestrictAddressFamilies", families),
        ("RestrictNamespaces", "yes"),
        ("RestrictRealtime", "yes"),
        ("RestrictSUIDSGID", "yes"),
        ("SystemCallArchitectures", "native"),
        ("SystemCallFilter", "@system-service"),
        ("SystemCallErrorNumber", "EPERM"),
        ("KeyringMode", "private"),
        ("UMask", "0077"),
        *(_closed(ground, rights) if ground.manager is Manager.SYSTEM else ()),
    ]


def _closed(ground: Ground, rights: str) -> Lines:
    """What only root's systemd can do: that of a user would need a user namespace, which not every machine gives it."""
    return [
        ("CapabilityBoundingSet", rights),
        ("ProtectSystem", "strict"),
        ("ReadWritePaths", _quoted(_plain(str(ground.paths.state)))),
        # Not hidden: the interpreter may lie there.
        ("ProtectHome", "read-only"),
        ("PrivateTmp", "yes"),
        ("PrivateDevices", "yes"),
        ("DevicePolicy", "closed"),
        ("ProtectClock", "yes"),
        ("ProtectControlGroups", "yes"),
        ("ProtectHostname", "yes"),
        ("ProtectKernelLogs", "yes"),
        ("ProtectKernelModules", "yes"),
        ("ProtectKernelTunables", "yes"),
    ]


def _without_network(ground: Ground) -> Lines:
    """For what speaks over sockets in folders alone."""
    return [("PrivateNetwork", "yes"), ("IPAddressDeny", "any")] if ground.manager is Manager.SYSTEM else []


def _unit(
    ground: Ground, name: str, *, about: str, service: Lines, after: str | None = None, wanted_by: str | None = None
) -> Unit:
    variables = [("Environment", _quoted(_plain(f"{key}={value}"))) for key, value in sorted(ground.variables.items())]
    # systemd.unit(5), SPECIFIERS: which start of the machine this is.
    variables.append(("Environment", f"{BOOT_TOLD}=%b"))
    text = _text(
        ground,
        Unit=[
            ("Description", about),
            *([("After", after)] if after else []),
            # Started as often as there is mail, or as it dies.
            ("StartLimitIntervalSec", "0"),
            # One that failed is nothing to be cleared away.
            ("CollectMode", "inactive-or-failed"),
        ],
        Service=[*variables, *service],
        Install=[("WantedBy", wanted_by)] if wanted_by else [],
    )
    return Unit(f"{PREFIX}{name}", text, is_kept_up=wanted_by is not None)


def _text(ground: Ground, **sections: Lines) -> str:
    written = [f"{MARK} of hyperhive {ground.version}; `hyperhive uninstall` removes it.\n"]
    for title, lines in sections.items():
        if lines:
            written.append(f"\n[{title}]\n" + "".join(f"{key}={value}\n" for key, value in lines))
    return "".join(written)


def _command(ground: Ground, *words: str) -> str:
    """The words that run a command of hyperhive. The folder they are run in lends no modules (-P)."""
    python = str(ground.python)
    if set(python) & set("'\"\\"):
        # systemd takes no program of such a name, however it is quoted.
        raise _odd(python)
    return " ".join([_quoted(_plain(python)), "-P", "-m", "hyperhive", *words])


def _quoted(text: str) -> str:
    """A word that systemd reads as one, and that has no more than its specifiers (systemd.syntax(7))."""
    return f'"{text}"' if set(text) & set(" '\"\\;") else text


def _plain(text: str) -> str:
    """A text that holds no specifier and ends no word. Raises `Invalid` for what no unit file can hold."""
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in text):
        raise _odd(text)
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")


def _odd(text: str) -> Invalid:
    return Invalid(f"{text!a} cannot stand in a unit file", hint="choose a plainer name, without quotes and backslashes")
