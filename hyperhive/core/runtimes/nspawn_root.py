"""What the root of an agent's booted container is made of, all of it the host's own."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.runtimes import Place, Root
from hyperhive.core.runtimes.machine import shown

UNITS: Final = "/etc/systemd/system"
TARGET: Final = "hyperhive.target"
# What holds for every program of the agent's own: it is its user's, cannot become another's, and makes no namespaces, which
# would give it the kernel's less trodden paths.
CLOSED: Final = (
    "NoNewPrivileges=yes", "CapabilityBoundingSet=", "AmbientCapabilities=", "RestrictNamespaces=yes",
)  # fmt: skip
# What of /etc is not shown as it is on the machine.
OWN_ETC: Final = ("/etc/resolv.conf", "/etc/os-release")
# Users and groups of the system itself are below this number (systemd's UIDS-GIDS), and nobody is the last.
_SYSTEM_MOST: Final = 999
_NOBODY: Final = 65_534
_FOLDERS: Final = ("dev", "home", "mnt", "proc", "root", "run", "srv", "sys", "tmp")
_GENERATORS: Final = ("usr/lib/systemd/system-generators", "usr/local/lib/systemd/system-generators")

_BOOTED: Final = """\
[Unit]
Description=What runs in the container of an agent
Requires=basic.target
After=basic.target
Wants=dbus.socket
AllowIsolate=yes
"""
# A container ends within its unit's time, and programs share the limit on tasks that the container has.
_MANAGER: Final = """\
[Manager]
ShowStatus=no
DefaultTasksMax=infinity
DefaultTimeoutStopSec=5s
"""
_JOURNAL: Final = """\
[Journal]
Storage=persistent
SystemMaxUse=32M
SystemMaxFileSize=4M
"""
# Only the machine asks the container's systemd for anything: an agent could start system services of any package.
_BUS: Final = """\
[Socket]
SocketMode=0600
"""


def root(machine: Path, place: Place, targets: Iterable[str], config: AgentConfig) -> Root:
    """All of it: `targets` are the places that something is mounted on, the agent's own units stand in `config`."""
    files = {
        "/etc/hostname": f"{place.name}\n",
        # Of the agent's range, which no other agent was ever given: the journal is known by it.
        "/etc/machine-id": f"{hashlib.sha256(f'hyperhive {place.base}'.encode()).hexdigest()[:32]}\n",
        # systemd-nspawn looks for a file there before anything is mounted.
        "/etc/os-release": _text(machine, "etc/os-release") or "ID=linux\n",
        "/etc/passwd": _passwd(machine, place),
        "/etc/group": _group(machine),
        "/etc/systemd/system.conf": _MANAGER,
        "/etc/systemd/journald.conf": _JOURNAL,
        f"{UNITS}/{TARGET}": _BOOTED,
        f"{UNITS}/dbus.socket.d/hyperhive.conf": _BUS,
    }
    links = {
        # Written anew before each turn: what the machine asks may change while the container runs.
        "/etc/resolv.conf": "/run/hyperhive/resolv.conf",
        "/etc/gitconfig": "/run/hyperhive/gitconfig",
        "/etc/mtab": "../proc/self/mounts",
        f"{UNITS}/default.target": TARGET,
        **{path: target for path, target in shown(machine) if target is not None and path not in OWN_ETC},
        **{f"/etc/systemd/system-generators/{name}": "/dev/null" for name in _generators(machine)},
    }
    for name, text in config.services.items():
        files[f"{UNITS}/{name}"] = text
        files[f"{UNITS}/{name}.d/hyperhive.conf"] = _service(place, config.env)
        links[f"{UNITS}/{TARGET}.wants/{name}"] = f"../{name}"
    folders = {f"/{name}" for name in _FOLDERS}
    for target in targets:
        # What is mounted in a folder that is itself mounted finds its place there.
        if not target.startswith("/workspace/"):
            _add(machine, target, folders, files)
    return Root(folders=tuple(sorted(folders)), files=files, links=links)


def _add(machine: Path, target: str, folders: set[str], files: dict[str, str]) -> None:
    """A place to mount on: a file for what is one, else a folder."""
    is_file = target == "/opt/hyperhive/claude" or (target.startswith("/etc/") and not (machine / target[1:]).is_dir())
    if is_file:
        files[target] = ""
    elif target != "/run/hyperhive":
        folders.add(target)


def _service(place: Place, env: Mapping[str, str]) -> str:
    """What is added to each unit of the agent's own, after whatever it says itself."""
    lines = ["User=1000", "Group=1000", "SupplementaryGroups=", "PAMName=", *CLOSED, f"LimitNPROC={place.tasks}"]
    lines += [f"Environment={_quoted(f'{name}={value}')}" for name, value in env.items()]
    return "\n".join(["[Service]", *lines, ""])


def _quoted(text: str) -> str:
    """One word of a unit file (systemd.syntax(7), Quoting) in which nothing is put in the place of anything."""
    escaped = "".join(f"\\x{ord(sign):02x}" if sign in '"\\' or ord(sign) < 0x20 or sign == "\x7f" else sign for sign in text)
    return f'"{escaped.replace("%", "%%")}"'


def _passwd(machine: Path, place: Place) -> str:
    """The users of the system, which its services run as, with the agent's."""
    own = f"agent:x:1000:1000:{place.name}:/state:/bin/sh\n"
    return "".join(f"{line}\n" for line in _entries(machine, "passwd")) + own


def _group(machine: Path) -> str:
    # Without members: nobody is in another's group.
    return "".join(f"{line.rpartition(':')[0]}:\n" for line in _entries(machine, "group")) + "agent:x:1000:\n"


def _entries(machine: Path, file: str) -> list[str]:
    """The lines of a file of users or groups that are the system's own; some systems keep those in /usr (nss-altfiles)."""
    found: dict[str, str] = {}
    for folder in ("etc", "usr/lib"):
        for line in _text(machine, f"{folder}/{file}").splitlines():
            name, *words = line.split(":")
            if len(words) > 2 and words[1].isdecimal() and (int(words[1]) <= _SYSTEM_MOST or int(words[1]) == _NOBODY):
                found.setdefault(name, line)
    return list(found.values())


def _generators(machine: Path) -> list[str]:
    """Programs of the machine's packages that would add units at each boot."""
    found: set[str] = set()
    for folder in _GENERATORS:
        if (machine / folder).is_dir():
            found |= set(os.listdir(machine / folder))
    return sorted(found)


def _text(machine: Path, path: str) -> str:
    try:
        return (machine / path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
