"""The least that a durable wake-up costs here: a row on disk, a file, a process that waits for it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
from inotify_simple import INotify, flags

ROOT = Path(__file__).parents[2]


class Floor:
    """A table of one column, and a process that answers a byte as soon as a file has appeared."""

    def __init__(self, folder: Path, sleeper: "subprocess.Popen[bytes]") -> None:
        self._bell = folder / "bells" / "bell"
        self._sleeper = sleeper
        self._database = apsw.Connection(str(folder / "floor.sqlite"))
        for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "CREATE TABLE message (body TEXT)"):
            self._database.execute(statement).fetchall()

    def wake(self) -> float:
        """Seconds from before the commit to the answer of the process that slept."""
        assert self._sleeper.stdout is not None
        began = time.perf_counter()
        with self._database:
            self._database.execute("INSERT INTO message VALUES ('good morning')")
        os.close(os.open(self._bell, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        assert self._sleeper.stdout.read(1), "the process that waits for the file has ended"
        return time.perf_counter() - began

    def close(self) -> None:
        """Close the database."""
        self._database.close()


@contextmanager
def floor(folder: Path) -> Iterator[Floor]:
    """The floor, in a folder on the same disk as the hive."""
    (folder / "bells").mkdir()
    with subprocess.Popen(
        [sys.executable, "-m", "tests.bench.floor", str(folder / "bells")],
        cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, bufsize=0,
    ) as sleeper:  # fmt: skip
        assert sleeper.stdout is not None
        assert sleeper.stdout.read(1), "the process that waits for the file did not begin"
        found = Floor(folder, sleeper)
        try:
            yield found
        finally:
            found.close()
            sleeper.kill()


def sleep(folder: Path) -> None:
    """Wait for files in a folder, remove each, and say so."""
    bells = INotify()
    bells.add_watch(os.fspath(folder), flags.CREATE)
    os.write(1, b"r")
    while True:
        for event in bells.read():
            (folder / event.name).unlink()
            os.write(1, b"w")


if __name__ == "__main__":
    sleep(Path(sys.argv[1]))
