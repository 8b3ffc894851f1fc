"""Room on the disk that is kept for ending what was begun."""

import os
from contextlib import suppress
from errno import ENOSPC
from pathlib import Path
from typing import Final

# More than the writes of a hive take until it has room again, in bytes.
SIZE: Final = 4 * 1024 * 1024
# With less room than this a write may fail, in bytes.
FULL: Final = 1024 * 1024


class Reserve:
    """A file that is in the way of everybody else. On a full disk it goes, so that what is under way can still end."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self) -> bool:
        """Keep the room, again where it was given up. Says whether it is kept."""
        if self._path.exists():
            return True
        new = self._path.with_suffix(".new")
        try:
            if _free(self._path.parent) < SIZE + FULL:
                return False
            fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(fd, 0, SIZE)
            finally:
                os.close(fd)
            new.replace(self._path)
        except FileNotFoundError:
            # Another process has just done it.
            pass
        except OSError as error:
            with suppress(OSError):
                new.unlink()
            # Whatever else is wrong with the disk, the write itself will tell.
            return error.errno != ENOSPC
        return True

    def give_up(self) -> bool:
        """Give the room up if the disk is full. Says whether there is more room now."""
        try:
            if _free(self._path.parent) >= FULL:
                return False
            self._path.unlink()
        except OSError:
            return False
        return True


def _free(folder: Path) -> int:
    """How many bytes this process may still write: root also what is kept for root."""
    disk = os.statvfs(folder)
    return (disk.f_bfree if os.geteuid() == 0 else disk.f_bavail) * disk.f_frsize
