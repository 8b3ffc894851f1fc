"""Who holds what on this machine: locks that end with the process that took them."""

import fcntl
import os
import struct
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from hyperhive.core.errors import Unavailable

# struct flock of fcntl(2) on 64-bit Linux: type, whence, start, length, pid.
_FLOCK: Final = "hhqqi4x"


class Lock:
    """An open-file-description lock on a file that is never unlinked.

    Open-file-description locks belong to the descriptor, so a second `Lock` in the same process is refused too, and
    closing another descriptor of the same file releases nothing (fcntl(2), F_OFD_SETLK).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def take(self) -> bool:
        """Take it if it is free, and write down who did. Says whether it was taken."""
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Unavailable(f"{self._path} cannot be opened: {error.strerror}", hint="hyperhive doctor") from None
        try:
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        except (BlockingIOError, PermissionError):
            os.close(fd)
            return False
        try:
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"pid {os.getpid()} since {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}".encode(), 0)
        except OSError:
            # The note is for people; on a full disk the lock holds all the same.
            pass
        self._fd = fd
        return True

    def release(self) -> None:
        """Give it back; nothing happens if it was not held."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    @property
    def is_mine(self) -> bool:
        """This object holds it."""
        return self._fd is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()


def is_held(path: Path) -> bool:
    """Somebody holds the lock. Asks without taking, so that nobody who comes at this moment is refused."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        asked = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        return bool(struct.unpack(_FLOCK, asked)[0] != fcntl.F_UNLCK)
    finally:
        os.close(fd)


def holder(path: Path) -> str:
    """What the one who holds the lock wrote down: `pid 812 since …`."""
    try:
        return path.read_text(encoding="utf-8") or "somebody"
    except OSError:
        return "somebody"
