"""How systemd is spoken to: its programs' words, and what a unit's own process tells it."""

import os
import signal
import socket
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Final

from hyperhive.core import process
from hyperhive.core.errors import Unavailable

# Says whose systemd the hub's unit belongs to: it then starts harnesses and operations as units beside itself.
UNITS: Final = "HYPERHIVE_UNITS"
# How long systemd may take to answer, in seconds; a unit that is started or stopped may take longer than its own limits.
ANSWER_MOST: Final = 10.0
CHANGE_MOST: Final = 900.0
_SYSTEM: Final = Path("/run/systemd/system")
_GROUPS: Final = Path("/proc/self/cgroup")
# One that ends is not counted: what is asked of it now is queued.
_LIVING: Final = "--state=active,activating,reloading"


class Manager(StrEnum):
    """The systemd of the machine, or that of an ordinary user."""

    SYSTEM = "system"
    USER = "user"

    @property
    def target(self) -> str:
        """What is reached at its start."""
        return "multi-user.target" if self is Manager.SYSTEM else "default.target"

    def words(self, *words: str) -> list[str]:
        """The words of `systemctl` that speak to it."""
        return ["systemctl", *(["--user"] if self is Manager.USER else []), *words]

    def environment(self) -> dict[str, str]:
        """What `systemctl` needs to find it."""
        return {"XDG_RUNTIME_DIR": str(_runtime())} if self is Manager.USER else {}

    def check(self) -> None:
        """Raises `Unavailable` unless it runs (sd_booted(3); for a user's, its own socket answers)."""
        if not _SYSTEM.is_dir():
            raise Unavailable(
                "no systemd runs on this machine", hint="`hyperhive up` in a terminal, or `hyperhive cron` for a crontab"
            )
        if self is Manager.USER and not _answers(_runtime() / "systemd/private"):
            raise Unavailable("no systemd of this user answers", hint=f"sudo loginctl enable-linger {os.geteuid()}")

    def run(self, *words: str, timeout: float = CHANGE_MOST, check: bool = True) -> process.Completed:
        """Run `systemctl` to its end; see `process.run`."""
        return process.run(self.words(*words), env=self.environment(), timeout=timeout, check=check)

    def living(self, pattern: str) -> set[str]:
        """The names of the units that run, or begin to. Raises what `process.run` does."""
        return units_in(self.run(*living_words(pattern), timeout=ANSWER_MOST).stdout)


def living_words(pattern: str) -> tuple[str, ...]:
    """The words of `systemctl` that list the units that run, or begin to."""
    return ("list-units", "--no-pager", "--plain", "--no-legend", "--full", _LIVING, pattern)


def units_in(listing: bytes) -> set[str]:
    """The names of the units in such a list."""
    return {line.split()[0] for line in listing.decode("utf-8", "replace").splitlines() if line.strip()}


def own_manager(environment: Mapping[str, str]) -> Manager | None:
    """Whose unit this process was started for, or None when it is no unit of hyperhive's."""
    told = environment.get(UNITS)
    return Manager(told) if told in list(Manager) else None


def is_of_unit(name: str) -> bool:
    """This process belongs to the unit of that name (proc_pid_cgroup(5))."""
    try:
        groups = _GROUPS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return any(name in line.split("/") for line in groups.splitlines())


def notify(state: str, environment: Mapping[str, str]) -> None:
    """Tell the systemd that started this process how it stands (sd_notify(3)); nothing happens where none did."""
    address = environment.get("NOTIFY_SOCKET")
    if not address:
        return
    # A service manager that cannot be told must not end the service.
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.sendto(state.encode(), f"\0{address[1:]}" if address.startswith("@") else address)


def exit_code(status: str) -> int:
    """What EXIT_STATUS of systemd.exec(5) means: a code, or a signal's name, which gives its negative number."""
    if status.isdecimal():
        return int(status)
    number = signal.Signals.__members__.get(f"SIG{status}")
    return -number if number is not None else 1


def _runtime() -> Path:
    return Path("/run/user") / str(os.geteuid())


def _answers(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(ANSWER_MOST)
            line.connect(os.fspath(path))
    except OSError:
        return False
    return True
