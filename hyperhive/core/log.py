"""What hyperhive's own processes say about themselves, a line each."""

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

# A process' log is started anew, keeping one old part, when it grows beyond this many bytes.
MOST: Final = 2 * 1024 * 1024
# Stands before each further line of a text, so that none of them passes for a line of its own.
ON: Final = "  "


class Log:
    """A process' journal: to a file where one is given, and to standard error.

    With `boot`, which start of the machine this is, the file says so before what is first written in it.
    """

    def __init__(self, who: str, path: Path | None = None, *, quiet: bool = False, boot: str | None = None) -> None:
        self._who = who
        self._path = path
        self._quiet = quiet
        self._boot = boot
        self._is_marked = False

    def __call__(self, text: str) -> None:
        """Write one line. A full disk or a missing folder never stops the process that speaks."""
        self.lines([text])

    def lines(self, texts: Sequence[str]) -> None:
        """Write several, a line each."""
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z "
        if not self._quiet:
            # ValueError: standard error has been closed.
            with suppress(OSError, ValueError):
                # journald knows the time itself.
                sys.stderr.write(self._said(texts, "" if goes_to_journald() else now))
                sys.stderr.flush()
        if self._path is not None:
            with suppress(OSError):
                self._keep(self._path, self._said(texts, now), f"{now}boot {self._boot}\n")

    def exception(self, text: str) -> None:
        """Write a line and the traceback of the exception that is being handled."""
        self(f"{text}\n{traceback.format_exc().rstrip()}")

    def _said(self, texts: Sequence[str], before: str) -> str:
        written = "".join(f"{before}{self._who}: " + text.replace("\n", f"\n{ON}") + "\n" for text in texts)
        return written.encode("utf-8", "backslashreplace").decode()

    def _keep(self, path: Path, written: str, mark: str) -> None:
        size = path.stat().st_size if path.exists() else 0
        if size > MOST:
            path.replace(path.with_suffix(".1"))
            size = 0
        is_marked = self._boot is None or (self._is_marked and size)
        with path.open("a", encoding="utf-8") as file:
            file.write(written if is_marked else mark + written)
        self._is_marked = True


def goes_to_journald() -> bool:
    """Standard error is read by journald (systemd.exec(5), JOURNAL_STREAM)."""
    try:
        state = os.fstat(2)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{state.st_dev}:{state.st_ino}"
