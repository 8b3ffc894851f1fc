"""Reads, measures and removes what lies in a folder of an agent's making, without following a link out of it."""

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count, islice
from pathlib import Path
from typing import Final

import msgspec

from hyperhive.core.errors import Denied, Invalid, NotFound, Unavailable
from hyperhive.core.safe_text import clean

FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a FIFO that nobody writes would wait for ever.
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
# How many names are held in memory at a time, and how many folders are open at a time.
_BATCH: Final = 1000
_DEEPEST: Final = 200
# How often a name may turn from a folder into something else while it is being removed.
_SWAPS: Final = 100


class Size(msgspec.Struct, frozen=True):
    """What a folder holds: bytes on disk, its newest change, and whether all of it was looked at."""

    bytes: int
    newest: datetime | None
    complete: bool


@contextlib.contextmanager
def opened(path: str | Path, flags: int = FOLDER, *, beneath: int | None = None) -> Iterator[int]:
    """A descriptor that is closed at the end."""
    fd = os.open(path, flags, dir_fd=beneath)
    try:
        yield fd
    finally:
        os.close(fd)


def read_beneath(folder: Path, relative: str, limit: int) -> bytes:
    """The content of a regular file below `folder`, reached without any link.

    `folder` itself must lie where only the host can change things. Raises `NotFound` when nothing is there, `Denied`
    for a link, a folder, a FIFO or a device, `Invalid` for a path that climbs or for more than `limit` bytes.
    """
    *above, last = parts = relative.split("/")
    if not all(parts) or "." in parts or ".." in parts or "\0" in relative:
        raise Invalid(f"{clean(relative)!r} is not a path below a folder", hint="give it without a leading slash or dots")
    shown = clean(f"{folder}/{relative}")
    try:
        with contextlib.ExitStack() as stack:
            at = stack.enter_context(opened(folder))
            for part in above:
                at = stack.enter_context(opened(part, beneath=at))
            fd = stack.enter_context(opened(last, _FILE, beneath=at))
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise Denied(f"{shown} is not a regular file")
            with open(fd, "rb", closefd=False) as file:
                data = file.read(limit + 1)
    except FileNotFoundError:
        raise NotFound(f"{shown} is not there") from None
    except OSError as error:
        # ELOOP and ENOTDIR: a link, or a file where a folder should be. ENXIO: a socket.
        raise Denied(f"{shown} cannot be read as a plain file: {error.strerror}") from None
    if len(data) > limit:
        raise Invalid(f"{shown} holds more than {limit} bytes")
    return data


def measure(folder: Path, *, seconds: float = 2.0) -> Size:
    """How much lies below a folder. Looks no longer than `seconds`, and no deeper than two hundred folders."""
    until = time.monotonic() + seconds
    total, newest, complete = 0, 0.0, True
    try:
        with opened(folder) as fd:
            for known in _below(fd, _DEEPEST):
                if known is None:
                    complete = False
                    continue
                # Blocks, not length: a file may claim a size that it does not take.
                total += known.st_blocks * 512
                newest = max(newest, known.st_mtime)
                if time.monotonic() > until:
                    complete = False
                    break
    except FileNotFoundError:
        pass
    return Size(total, _instant(newest), complete)


def remove(parent: Path, name: str) -> None:
    """Remove a folder with all that is in it, while whoever made it may still be changing it.

    It is first moved out of reach, beside itself, so that its name is free at once. `parent` must be the host's own.
    Doing it again goes on where it was interrupted. Raises `Unavailable` with what could not be removed.
    """
    try:
        left = _remove(parent, name, aside := f".{name}.purged")
    except OSError as error:
        # Also a full disk, which may not even have room for the folder beside.
        raise Unavailable(f"{clean(str(parent / name))} cannot be removed: {error.strerror}", hint=f"ls -la {parent}") from None
    if left:
        what = "; ".join(clean(text) for text in left[:5])
        raise Unavailable(
            f"{len(left)} {'thing' if len(left) == 1 else 'things'} of {name} cannot be removed: {what}",
            hint=f"lsattr -R {parent / aside}",
        )


def _remove(parent: Path, name: str, aside: str) -> list[str]:
    """Remove a folder by way of `aside`; gives back what stays, and why."""
    with opened(parent) as above:
        with contextlib.suppress(FileExistsError):
            os.mkdir(aside, 0o700, dir_fd=above)
        with opened(aside, beneath=above) as trash:
            numbers = count(max((int(entry) for entry in os.listdir(trash) if entry.isdecimal()), default=0) + 1)
            with contextlib.suppress(FileNotFoundError):
                os.rename(name, str(next(numbers)), src_dir_fd=above, dst_dir_fd=trash)
            left = _Trash(trash, numbers).empty()
        if not left:
            os.rmdir(aside, dir_fd=above)
    return left


class _Trash:
    """A folder of folders to remove. What is found inside them is moved up beside them, so no depth is too deep."""

    def __init__(self, fd: int, numbers: Iterator[int]) -> None:
        self._fd = fd
        self._numbers = numbers
        self._left: list[str] = []

    def empty(self) -> list[str]:
        """Remove everything; gives back what stays, and why."""
        stuck: set[str] = set()
        while tops := _names(self._fd, stuck):
            for top in tops:
                try:
                    self._take_apart(top)
                except OSError as error:
                    stuck.add(top)
                    self._note(top, error)
        return self._left

    def _take_apart(self, top: str) -> None:
        """Remove one folder of the trash; the folders in it that are not empty become folders of the trash."""
        try:
            os.unlink(top, dir_fd=self._fd)
            return
        except IsADirectoryError:
            _open_up(top, self._fd)
        with opened(top, beneath=self._fd) as fd:
            stuck: set[str] = set()
            while names := _names(fd, stuck):
                for name in names:
                    try:
                        self._drop(name, fd)
                    except OSError as error:
                        stuck.add(name)
                        self._note(name, error)
        if not stuck:
            os.rmdir(top, dir_fd=self._fd)
        else:
            raise OSError(errno.ENOTEMPTY, "it holds one of them")

    def _drop(self, name: str, fd: int) -> None:
        """Remove a name from a folder, or move it up. A link that takes a folder's place meanwhile is only unlinked."""
        for _ in range(_SWAPS):
            # Somebody who has moved it away will have moved it elsewhere in here: it is met again.
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                try:
                    os.unlink(name, dir_fd=fd)
                except IsADirectoryError:
                    self._drop_folder(name, fd)
                return
        if name in os.listdir(fd):
            raise OSError(errno.EBUSY, "somebody keeps changing it")

    def _drop_folder(self, name: str, fd: int) -> None:
        try:
            os.rmdir(name, dir_fd=fd)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            _open_up(name, fd)
            os.rename(name, str(next(self._numbers)), src_dir_fd=fd, dst_dir_fd=self._fd)

    def _note(self, name: str, error: OSError) -> None:
        if error.errno != errno.ENOTEMPTY:
            self._left.append(f"{name} ({error.strerror})")
        elif not self._left:
            self._left.append(f"{name} (it fills up again)")


def _open_up(name: str, parent: int) -> None:
    """Let its owner change a folder, which moving and emptying it needs. Nothing happens to what is no folder."""
    with contextlib.suppress(NotADirectoryError), opened(name, os.O_PATH | FOLDER, beneath=parent) as fd:
        if os.fstat(fd).st_mode & 0o700 != 0o700:
            # Through /proc, for fchmod takes no descriptor of a path; it is the folder that was opened, no other.
            os.chmod(f"/proc/self/fd/{fd}", 0o700)


def _names(fd: int, but: set[str]) -> list[str]:
    """Some of the names in a folder, in no order."""
    with os.scandir(fd) as entries:
        return list(islice((entry.name for entry in entries if entry.name not in but), _BATCH))


def _below(fd: int, deep: int) -> Iterator[os.stat_result | None]:
    """What is known of everything below a folder; None for what was not looked at."""
    with os.scandir(fd) as entries:
        for entry in entries:
            try:
                known = entry.stat(follow_symlinks=False)
                yield known
                if stat.S_ISDIR(known.st_mode):
                    if deep == 0:
                        yield None
                    else:
                        with opened(entry.name, beneath=fd) as inner:
                            yield from _below(inner, deep - 1)
            except OSError:
                yield None


def _instant(seconds: float) -> datetime | None:
    """An agent may date a file as it likes, also where no calendar reaches."""
    try:
        return datetime.fromtimestamp(seconds, UTC) if seconds > 0 else None
    except (OverflowError, ValueError, OSError):
        return None
