"""The one place where the hive's database is opened, read in one snapshot and written in one transaction."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from peewee import DatabaseError, InterfaceError, OperationalError
from playhouse.apsw_ext import APSWDatabase

from hyperhive.core.doorbell import say_changed
from hyperhive.core.errors import Conflict, HyperhiveError, Unavailable
from hyperhive.core.migrations import STEPS
from hyperhive.core.paths import Paths
from hyperhive.core.tables import DATABASE, CounterRow, to_milliseconds

# Every writer queues at our own lock first, so SQLite's unfair busy handler is only met by foreign programs. Seconds.
BUSY: Final = 10.0


class Store:
    """The hive's database. Opened when first used; never carried over a fork."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._database: APSWDatabase | None = None
        self._writing = False

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
    def write(self) -> Iterator[None]:
        """Change the database in one transaction that is on disk when the block has ended.

        Raises `Unavailable` when the disk is full, fails, or may not be written; then nothing was changed.
        """
        if self._writing:
            raise RuntimeError("a writing transaction is open already")
        with self._translated():
            database = self._open()
            with self._place_in_line():
                self._writing = True
                try:
                    with database.atomic("IMMEDIATE"):
                        yield
                finally:
                    self._writing = False
        say_changed(self._paths)

    def version(self) -> int:
        """A number that changes whenever another connection has committed (PRAGMA data_version)."""
        with self._translated():
            return int(self._open().execute_sql("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def check(self) -> str:
        """SQLite's own word about the file: `ok`, or what is wrong."""
        with self._translated():
            return str(self._open().execute_sql("PRAGMA integrity_check").fetchone()[0])

    def _open(self) -> APSWDatabase:
        if self._database is None:
            database = APSWDatabase(
                str(self._paths.database),
                timeout=BUSY,
                pragmas={"synchronous": "FULL", "foreign_keys": 1, "journal_size_limit": 8 * 1024 * 1024},
            )
            try:
                database.connect()
                self._migrate(database)
            except BaseException:
                database.close()
                raise
            self._database = database
        DATABASE.obj = self._database
        return self._database

    def _migrate(self, database: APSWDatabase) -> None:
        have = int(database.execute_sql("PRAGMA user_version").fetchone()[0])
        if have == len(STEPS):
            return
        if have > len(STEPS):
            raise Unavailable(
                f"{self._paths.database} was written by a newer hyperhive", hint="install that version, or restore a backup"
            )
        database.execute_sql("PRAGMA journal_mode = WAL").fetchone()
        with self._place_in_line(), database.atomic("IMMEDIATE"):
            # Somebody else may have done it while this process waited in line.
            have = int(database.execute_sql("PRAGMA user_version").fetchone()[0])
            for number, (name, statements) in enumerate(STEPS[have:], have + 1):
                for statement in statements:
                    database.execute_sql(statement)
                now = to_milliseconds(datetime.now(UTC))
                database.execute_sql("INSERT INTO migration (name, at) VALUES (?, ?)", (name, now))
                database.execute_sql(f"PRAGMA user_version = {number}")
        os.chmod(self._paths.database, 0o600)

    @contextmanager
    def _place_in_line(self) -> Iterator[None]:
        fd = os.open(self._paths.lock("db"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except HyperhiveError:
            raise
        except (OperationalError, DatabaseError, InterfaceError) as error:
            raise self._explain(error) from error
        except OSError as error:
            raise Unavailable(
                f"{error.filename or self._paths.state} cannot be written: {error.strerror}", hint="hyperhive doctor"
            ) from error

    def _explain(self, error: Exception) -> HyperhiveError:
        """Say in a person's words what SQLite means (https://sqlite.org/rescode.html)."""
        cause = type(error.__cause__ or error.__context__ or error).__name__
        match cause:
            case "FullError":
                return Unavailable(
                    f"the disk that holds {self._paths.state} is full: nothing was changed", hint=f"df -h {self._paths.state}"
                )
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
