"""How one process tells another that there is something to look at."""

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from hyperhive.core.model import AgentName
from hyperhive.core.paths import Paths

HIVE: Final = "hive"
# No agent's name has an @.
_ENDED: Final = re.compile(r"(agent|operation)@([a-z0-9-]+)=([0-9A-Z+-]*)")


class Ended(NamedTuple):
    """A unit of systemd's that has ended; `status` is how, in systemd's words."""

    kind: str
    name: str
    status: str


def ring(paths: Paths, name: AgentName) -> None:
    """Say that something was committed for this agent. Without a hub the file waits."""
    _touch(paths.wake / name)


def ring_hive(paths: Paths) -> None:
    """Say that an operation was committed."""
    _touch(paths.wake / HIVE)


def bell_of_end(kind: str) -> str:
    """The bell that a unit of a template rings as it ends, in the words of a unit file (systemd.unit(5), systemd.exec(5))."""
    return f"{kind}@%i=${{EXIT_STATUS}}"


def ended(bell: str) -> Ended | None:
    """Which unit rang as it ended, or None for another bell."""
    found = _ENDED.fullmatch(bell)
    return Ended(*found.groups()) if found else None


def say_changed(paths: Paths) -> None:
    """Tell those who follow that something was committed."""
    try:
        os.utime(paths.changed)
    except FileNotFoundError:
        _touch(paths.changed)
    except OSError:
        # Followers look every few seconds anyhow; a commit never fails for them.
        pass


def _touch(path: Path) -> None:
    # The hub looks at the truth every 30 seconds, so a bell that cannot be rung (a full disk) delays and loses nothing.
    with suppress(OSError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
