"""What hyperhive's own processes say about themselves, a line each."""

import sys
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

# A process' log is started anew, keeping one old part, when it grows beyond this many bytes.
MOST: Final = 2 * 1024 * 1024


class Log:
    """A process' journal: to a file where one is given, and to standard error."""

    def __init__(self, who: str, path: Path | None = None, *, quiet: bool = False) -> None:
        self._who = who
        self._path = path
        self._quiet = quiet

    def __call__(self, text: str) -> None:
        """Write one line. A full disk or a missing folder never stops the process that speaks."""
        line = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + f"Z {self._who}: {text}\n"
        line = line.encode("utf-8", "backslashreplace").decode()
        if not self._quiet:
            # ValueError: standard error has been closed.
            with suppress(OSError, ValueError):
                sys.stderr.write(line)
                sys.stderr.flush()
        if self._path is not None:
            with suppress(OSError):
                if self._path.exists() and self._path.stat().st_size > MOST:
                    self._path.replace(self._path.with_suffix(".1"))
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(line)

    def exception(self, text: str) -> None:
        """Write a line and the traceback of the exception that is being handled."""
        self(f"{text}\n{traceback.format_exc().rstrip()}")
