"""Who holds what on this machine: locks that end with the process that took them."""

import fcntl
import os
import re
import signal
import struct
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from hyperhive.core.errors import Unavailable
from hyperhive.core.process import born

# struct flock of fcntl(2) on 64-bit Linux: type, whence, start, length, pid.
_FLOCK: Final = "hhqqi4x"
# What a holder writes down: for people, then what tells it from a later process of its number.
_NOTE: Final = re.compile(r"pid (\d+) since \S+\nborn (\d+)\n")


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
        fd = _open(self._path, os.O_CREAT)
        try:
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        except (BlockingIOError, PermissionError):
            os.close(fd)
            return False
        # The note is for people and for `end_holder`; on a full disk the lock holds all the same.
        with suppress(OSError):
            os.ftruncate(fd, 0)
            pid = os.getpid()
            os.pwrite(fd, f"pid {pid} since {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}\nborn {born(pid)}\n".encode(), 0)
        self._fd = fd
        return True

    def release(self) -> None:
        """Give it back; nothing happens if it was not held."""
        if self._fd is not None:
            # Said, not left to the closing: a forked process may have the same descriptor.
            fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_UNLCK, os.SEEK_SET, 0, 0, 0))
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
        fd = _open(path)
    except FileNotFoundError:
        return False
    try:
        asked = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        return bool(struct.unpack(_FLOCK, asked)[0] != fcntl.F_UNLCK)
    finally:
        os.close(fd)


def holder(path: Path) -> str:
    """What the one who holds the lock wrote down: `pid 812 since …`."""
    return _note(path).partition("\n")[0] or "somebody"


def end_holder(path: Path) -> None:
    """Send SIGKILL to the process that holds a lock; nothing happens when nobody does, or nobody knows who."""
    found = _NOTE.fullmatch(_note(path))
    if found is None:
        return
    pid, since = map(int, found.groups())
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        # The one who wrote the note may be gone, its number another's, and the lock another's who has not written yet.
        if born(pid) == since and is_held(path):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)


def _open(path: Path, flags: int = 0) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not flags:
            raise
        raise Unavailable(f"{path} cannot be opened: {error.strerror}", hint="hyperhive doctor") from None


def _note(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
