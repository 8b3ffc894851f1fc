"""A hive: its paths, its settings, its database, its clock."""

import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Final

from hyperhive.core import process
from hyperhive.core.config import Settings, read_settings
from hyperhive.core.db import Store
from hyperhive.core.errors import Unavailable
from hyperhive.core.paths import Paths, find_paths

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
# What systemd tells its units of it, 32 digits. On a machine that is a container itself, units that are closed off see a
# /proc of their own, which shows the start of the machine around it.
BOOT_TOLD: Final = "HYPERHIVE_BOOT"
_TOLD: Final = re.compile(r"([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})")


class Hive:
    """Everything that a use-case takes first. Nothing else is injected."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.db = Store(paths)

    @cached_property
    def settings(self) -> Settings:
        """What `hive.toml` says. Raises `Invalid` for what is wrong in it."""
        return read_settings(self.paths.settings)

    def now(self) -> datetime:
        """The time, UTC, in whole milliseconds as the database keeps it."""
        now = datetime.now(UTC)
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def boot(self) -> str | None:
        """Which start of the machine this is, or None where it does not tell (random(4), boot_id)."""
        told = _TOLD.fullmatch(os.environ.get(BOOT_TOLD, ""))
        if told is not None:
            return "-".join(told.groups())
        try:
            return _BOOT.read_text(encoding="ascii").strip() or None
        except (OSError, UnicodeDecodeError):
            return None

    def run(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, timeout: float = 60.0) -> process.Completed:
        """Run a program to its end; see `process.run`."""
        return process.run(argv, env=env, timeout=timeout)

    def close(self) -> None:
        """Close the database; the next use opens it again."""
        self.db.close()


def open_hive(environment: "os._Environ[str] | dict[str, str] | None" = None) -> Hive:
    """The hive that this process is to use, its folders made where they are missing.

    Raises `Unavailable` when they cannot be made, `Invalid` when their path is too long.
    """
    paths = find_paths(os.environ if environment is None else environment)
    make_folders(paths)
    return Hive(paths)


def make_folders(paths: Paths) -> None:
    """Make the folders of a hive, closed to others but for what agents of other users must walk through."""
    walked = 0o711 if os.geteuid() == 0 else 0o700
    # The last is closed as it is made: where all are there, none was left half-made.
    folders = {
        paths.state: walked,
        paths.run: walked,
        paths.run / "agents": walked,
        paths.agents: walked,
        paths.programs: 0o755,
        paths.applied_folder: 0o755 if walked == 0o711 else 0o700,
        paths.proposed_folder: walked,
        paths.log: 0o700,
        paths.builds_folder: walked,
        paths.groups: 0o700,
        paths.locks: 0o700,
        paths.wake: 0o700,
    }
    if all(folder.is_dir() for folder in folders):
        return
    try:
        paths.config.mkdir(mode=0o755, parents=True, exist_ok=True)
        paths.state.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        for folder, mode in folders.items():
            folder.mkdir(mode=0o700, exist_ok=True)
            folder.chmod(mode)
    except OSError as error:
        raise Unavailable(
            f"{error.filename or paths.state} cannot be made: {error.strerror}",
            hint="choose a folder that you may write: HYPERHIVE_HOME=DIR",
        ) from None
