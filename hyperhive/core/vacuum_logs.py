"""Logs that nobody has written to for long, removed from a folder."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from hyperhive.core import beneath
from hyperhive.core.errors import Unavailable


def sweep(folder: Path, *, before: datetime) -> Iterator[int]:
    """Remove the files of a folder that were last written to before an instant; what is no plain file stays.

    Gives 1 for each. Whoever writes a log opens it anew for each line, and makes it again. Raises `Unavailable` for what cannot
    be removed; a folder that is missing has none.
    """
    try:
        with beneath.opened(folder) as fd:
            for name in sorted(os.listdir(fd)):
                with suppress(FileNotFoundError):
                    known = os.stat(name, dir_fd=fd, follow_symlinks=False)
                    if stat.S_ISREG(known.st_mode) and known.st_mtime <= before.timestamp():
                        os.unlink(name, dir_fd=fd)
                        yield 1
    except FileNotFoundError:
        return
    except OSError as error:
        raise Unavailable(f"old logs in {folder} cannot be removed: {error.strerror}", hint=f"ls -la {folder}") from None
