"""An agent's journal: what its harness wrote about itself, as lines."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from inotify_simple import flags

from hyperhive.core.errors import Invalid, Unavailable
from hyperhive.core.follow import Watch
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName

LINES: Final = 200
LINES_MOST: Final = 5000
FILE: Final = "harness.log"
# More than a journal grows to before it is started anew, in bytes.
_READ_MOST: Final = 4 * 1024 * 1024


def tail(hive: Hive, name: AgentName, *, lines: int = LINES) -> list[str]:
    """The last `lines` lines of an agent's journal. Raises `Invalid` for more than 5000, `Unavailable` when it cannot be read."""
    check_lines(lines)
    file = hive.paths.agent_log(name) / FILE
    data = _end_of(_open(file.with_suffix(".1"))) + _end_of(_open(file))
    return _last(data, lines)


def follow(hive: Hive, name: AgentName, *, lines: int = LINES) -> Iterator[list[str]]:
    """The last lines of an agent's journal, then those that come. Raises as `tail` does."""
    check_lines(lines)
    path = hive.paths.agent_log(name) / FILE
    # The watch begins before the first look, so nothing falls between a look and the wait after it.
    with Watch(path.parent, flags.MODIFY | flags.CREATE | flags.MOVED_TO) as watch:
        data = _end_of(_open(path.with_suffix(".1")))
        file = _open(path)
        try:
            data += _end_of(file, close=False)
            whole, _, rest = data.rpartition(b"\n")
            yield _last(whole, lines)
            while True:
                watch.wait()
                # First where it is now, then what came: what the old one was given last is read when the new one is there.
                newer = _open(path)
                data = rest + (file.read() if file is not None else b"")
                if newer is not None and (file is None or not os.path.sameopenfile(newer.fileno(), file.fileno())):
                    data += newer.read()
                    newer, file = file, newer
                if newer is not None:
                    newer.close()
                whole, _, rest = data.rpartition(b"\n")
                if whole:
                    yield _last(whole, None)
        finally:
            if file is not None:
                file.close()


def check_lines(lines: int) -> None:
    """Refuse more lines than a journal shows. Raises `Invalid`."""
    if not 0 <= lines <= LINES_MOST:
        raise Invalid(f"a journal shows 0 to {LINES_MOST} lines", hint=f"-n {LINES_MOST}")


def _last(data: bytes, lines: int | None) -> list[str]:
    # Only a line break ends a line here: what an agent's program printed may hold others.
    found = data.decode("utf-8", "replace").removesuffix("\n").split("\n") if data else []
    return found if lines is None else found[len(found) - min(lines, len(found)) :]


def _end_of(file: BinaryIO | None, *, close: bool = True) -> bytes:
    if file is None:
        return b""
    file.seek(max(0, os.fstat(file.fileno()).st_size - _READ_MOST))
    data = file.read()
    if close:
        file.close()
    return data


def _open(path: Path) -> BinaryIO | None:
    try:
        return os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW), "rb")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unavailable(f"{path} cannot be read: {error.strerror}", hint=f"ls -l {path}") from None
