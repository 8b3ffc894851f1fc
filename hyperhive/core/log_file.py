"""A log as it is read back: its end, then what comes, each line with its time."""

import os
import re
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from hyperhive.core.errors import Unavailable
from hyperhive.core.log import ON

# More than a log grows to before it is started anew, in bytes.
_READ_MOST: Final = 4 * 1024 * 1024
_LINE: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (?:boot (\S+)|[^:]*: (.*))", re.DOTALL)


class Written(msgspec.Struct, frozen=True):
    """A line that somebody wrote; `at` is None for what was written before any time was."""

    at: datetime | None
    text: str


class LogFile:
    """One log, and the part of it that it was begun anew from.

    With `boot`, which start of the machine is the one that counts, what is known to come from another is left out. A line
    that is not finished is left for later where it `follows`.
    """

    def __init__(self, path: Path, *, boot: str | None = None, follows: bool = False) -> None:
        self._path = path
        self._boot = boot
        self._follows = follows
        self._file: BinaryIO | None = None
        self._rest = b""
        self._at: datetime | None = None
        self._counts = True

    def newest(self) -> list[Written]:
        """What is there. Raises `Unavailable` when it cannot be read."""
        old = _open(self._path.with_suffix(".1"))
        data = b""
        if old is not None:
            with old:
                data = _end_of(old)
        self._file = _open(self._path)
        if self._file is not None:
            data += _end_of(self._file)
        if data and not self._follows and not data.endswith(b"\n"):
            data += b"\n"
        return self._whole(data)

    def more(self) -> list[Written]:
        """What came since, also where the log was begun anew meanwhile. Raises `Unavailable` as `newest` does."""
        # First where it is now, then what came: what the old one was given last is read when the new one is there.
        newer = _open(self._path)
        data = self._file.read() if self._file is not None else b""
        if newer is not None and (self._file is None or not os.path.sameopenfile(newer.fileno(), self._file.fileno())):
            data += newer.read()
            newer, self._file = self._file, newer
        if newer is not None:
            newer.close()
        return self._whole(data)

    def close(self) -> None:
        """Close what was opened."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _whole(self, data: bytes) -> list[Written]:
        # Only a line break ends a line here: what an agent's program printed may hold others.
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [found for line in lines if (found := self._written(line.decode("utf-8", "replace"))) is not None]

    def _written(self, line: str) -> Written | None:
        if (found := _LINE.fullmatch(line)) and (at := _instant(found[1])) is not None:
            self._at = at
            if found[2] is not None:
                self._counts = self._boot is None or found[2] == self._boot
                return None
            line = found[3]
        else:
            line = line.removeprefix(ON)
        return Written(self._at, line) if self._counts else None


def _instant(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _end_of(file: BinaryIO) -> bytes:
    size = os.fstat(file.fileno()).st_size
    file.seek(max(0, size - _READ_MOST))
    data = file.read()
    # Not the half of a line.
    return data if size <= _READ_MOST else data.partition(b"\n")[2]


def _open(path: Path) -> BinaryIO | None:
    try:
        return os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW), "rb")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unavailable(f"{path} cannot be read: {error.strerror}", hint=f"ls -l {path}") from None
