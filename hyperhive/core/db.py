"""The one place where the hive's database is opened, read in one snapshot and written in one transaction."""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import apsw
from peewee import PeeweeException
from playhouse.apsw_ext import APSWDatabase

from hyperhive.core.columns import storable, to_milliseconds
from hyperhive.core.doorbell import say_changed
from hyperhive.core.errors import Conflict, HyperhiveError, Unavailable
from hyperhive.core.migrations import STEPS
from hyperhive.core.paths import Paths
from hyperhive.core.reserve import Reserve
from hyperhive.core.tables import DATABASE, CounterRow

# Every writer queues at our own lock first, so SQLite's unfair busy handler is only met by foreign programs. Seconds.
BUSY: Final = 10.0


class Store:
    """The hive's database, with a connection for each thread that uses it. Opened when first used; never carried over a fork."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._database = APSWDatabase(
            str(paths.database),
            timeout=BUSY,
            pragmas={"synchronous": "FULL", "foreign_keys": 1, "journal_size_limit": 8 * 1024 * 1024},
            autoconnect=False,
        )
        self._reserve = Reserve(paths.reserve)
        self._opening = threading.Lock()
        self._mine = threading.local()

    @contextmanager
    def read(self) -> Iterator[None]:
        """See one state of the database, whatever others write meanwhile."""
        with self._translated():
            database = self._open()
            if database.in_transaction():
                yield
                return
            with database.atomic("DEFERRED"):
                yield

    @contextmanager
    def write(self, *, brings_new: bool = False) -> Iterator[None]:
        """Change the database in one transaction that is on disk when the block has ended.

        What brings something new is refused first when the disk is full; all else goes on for a while in room that is
        kept for it. Raises `Unavailable` when the disk is full, fails, or may not be written; then nothing was changed.
        """
        if brings_new:
            self.check_room()
        if not brings_new:
            self._reserve.give_up()
        with self._translated():
            database = self._open()
            if database.in_transaction():
                raise RuntimeError("a transaction is open already")
            with self._place_in_line(), database.atomic("IMMEDIATE"):
                yield
        say_changed(self._paths)

    def check_room(self) -> None:
        """Refuse what can wait on a disk that is full. Raises `Unavailable`."""
        if not self._reserve.keep():
            raise self.full()

    def full(self) -> Unavailable:
        """The error for a disk that takes nothing."""
        return Unavailable(
            f"the disk that holds {self._paths.state} is full: nothing was changed", hint=f"df -h {self._paths.state}"
        )

    def ask(self, sql: str, *values: str | int | None) -> list[tuple[Any, ...]]:
        """What one statement finds, within a read or write: values as the file has them.

        For what somebody waits for: peewee takes a millisecond to put into words what SQLite does in ten microseconds.
        """
        connection = self._open().connection()
        try:
            return list(connection.execute(sql, values))
        except UnicodeEncodeError:
            return list(connection.execute(sql, [storable(value) if isinstance(value, str) else value for value in values]))

    def version(self) -> int:
        """A number that changes whenever another connection has committed (PRAGMA data_version)."""
        with self._translated():
            return int(self._open().execute_sql("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        """Close this thread's connection; the next use opens it again."""
        self._database.close()

    def check(self) -> str:
        """SQLite's own word about the file: `ok`, or what is wrong."""
        with self._translated():
            return str(self._open().execute_sql("PRAGMA integrity_check").fetchone()[0])

    def _open(self) -> APSWDatabase:
        database = self._database
        if database.is_closed():
            # One at a time: closing any descriptor of the file drops the locks that the process has on it
            # (https://sqlite.org/howtocorrupt.html, 2.2), and `_make` opens one.
            try:
                self._connect(database)
            except (PeeweeException, apsw.Error):
                # Even looking needs a little room, for the file that readers share.
                if not self._reserve.give_up():
                    raise
                self._connect(database)
        elif self._mine.pid != os.getpid():
            raise RuntimeError("the database was open while its process forked, and must not be used here")
        DATABASE.obj = database
        return database

    def _connect(self, database: APSWDatabase) -> None:
        with self._opening:
            self._make()
            self._reserve.keep()
            database.connect()
            self._mine.pid = os.getpid()
        try:
            self._migrate(database)
        except BaseException:
            database.close()
            raise

    def _make(self) -> None:
        """Make the file before SQLite does, for its companions get the mode that it has: readable by nobody else."""
        try:
            os.close(os.open(self._paths.database, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            pass
        except OSError as error:
            raise self._unwritable(error) from None

    def _migrate(self, database: APSWDatabase) -> None:
        if self._steps_done(database) == len(STEPS):
            return
        with self._place_in_line():
            database.execute_sql("PRAGMA journal_mode = WAL").fetchone()
            with database.atomic("IMMEDIATE"):
                # Somebody else may have done it while this process waited in line.
                have = self._steps_done(database)
                for number, (name, statements) in enumerate(STEPS[have:], have + 1):
                    for statement in statements:
                        database.execute_sql(statement)
                    now = to_milliseconds(datetime.now(UTC))
                    database.execute_sql("INSERT INTO migration (name, at) VALUES (?, ?)", (name, now))
                    database.execute_sql(f"PRAGMA user_version = {number}")

    def _steps_done(self, database: APSWDatabase) -> int:
        have = int(database.execute_sql("PRAGMA user_version").fetchone()[0])
        if have > len(STEPS):
            raise Unavailable(
                f"{self._paths.database} was written by a newer hyperhive", hint="install that version, or restore a backup"
            )
        return have

    @contextmanager
    def _place_in_line(self) -> Iterator[None]:
        try:
            fd = os.open(self._paths.lock("db"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unwritable(error) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (PeeweeException, apsw.Error) as error:
            raise self._explain(error) from error

    def _unwritable(self, error: OSError) -> Unavailable:
        return Unavailable(
            f"{error.filename or self._paths.state} cannot be written: {error.strerror}", hint=f"ls -ld {self._paths.state}"
        )

    def _explain(self, error: Exception) -> HyperhiveError:
        """Say in a person's words what SQLite means (https://sqlite.org/rescode.html)."""
        # peewee's own error stands for one of apsw, in whose handling it was raised.
        cause = error if isinstance(error, apsw.Error) else error.__cause__ or error.__context__ or error
        match type(cause).__name__:
            case "FullError":
                return self.full()
            case "IOError":
                return Unavailable(f"the disk that holds {self._paths.state} fails: nothing was changed", hint="dmesg | tail")
            case "ReadOnlyError" | "CantOpenError" | "PermissionsError" | "AuthError":
                return Unavailable(f"{self._paths.database} cannot be written", hint=f"ls -ld {self._paths.state}")
            case "BusyError" | "LockedError":
                return Conflict("another program holds the database", hint="try again; `hyperhive doctor` if it stays so")
            case "CorruptError" | "NotADBError":
                return Unavailable(f"{self._paths.database} is damaged", hint="restore a backup")
            case _:
                return HyperhiveError(f"the database said: {error}")


def next_number(counter: str = "number") -> int:
    """The next number of the counter that approvals, questions, deployments and operations share. Within a write."""
    CounterRow.update(value=CounterRow.value + 1).where(CounterRow.name == counter).execute()
    return int(CounterRow.select(CounterRow.value).where(CounterRow.name == counter).scalar())
