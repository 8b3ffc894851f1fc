"""How one process tells another that there is something to look at."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from hyperhive.core.model import AgentName
from hyperhive.core.paths import Paths

HIVE: Final = "hive"


def ring(paths: Paths, name: AgentName) -> None:
    """Say that something was committed for this agent. Without a hub the file waits."""
    _touch(paths.wake / name)


def ring_hive(paths: Paths) -> None:
    """Say that an operation was committed."""
    _touch(paths.wake / HIVE)


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
