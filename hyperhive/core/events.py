"""Each agent's history: what its turns said and did, in a store that its container never sees."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec
from peewee import IntegerField, Model, PeeweeException, TextField
from playhouse.apsw_ext import APSWDatabase

from hyperhive.core.columns import from_milliseconds, to_milliseconds
from hyperhive.core.doorbell import say_changed
from hyperhive.core.errors import Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, Event, EventKind
from hyperhive.core.paths import Paths

# Old events go in one sweep each time so many came.
SWEEP: Final = 200
# The longest text of one event, in characters; the rest of it is cut, and says so.
TEXT_MOST: Final = 64 * 1024
# How deep the data of one event may be nested; what lies deeper is left out.
DEEPEST: Final = 20
_TEMPORARY: Final = "hyperhive-events-"
# How a store fails.
FAULTS: Final = (PeeweeException, apsw.Error, OSError)
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS event "
    "(number INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, kind TEXT NOT NULL, data TEXT NOT NULL) STRICT"
)


class EventRow(Model):
    """One event; which agent's is said by the file."""

    number = IntegerField(primary_key=True)
    at = IntegerField()
    kind = TextField()
    data = TextField()

    class Meta:
        table_name = "event"


class EventLog:
    """Where a harness writes its agent's events.

    When the agent's store cannot be opened or written, they go to a store in a temporary folder of the harness, so that
    the turn goes on and can still be watched; `keeps` then says that nothing is kept. One that writes `beside` the
    harness leaves such things to it, and is silent instead.
    """

    def __init__(self, hive: Hive, name: AgentName, *, beside: bool = False) -> None:
        self._paths = paths = hive.paths
        self._most = hive.settings.keep.events
        self._name = name
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._since_sweep = SWEEP
        self._database: APSWDatabase | None = None
        self.keeps = True
        self._beside = beside
        if not beside:
            self._forget_earlier()
        try:
            self._database = _open(paths.agent_events(name))
        except FAULTS:
            self._go_on_elsewhere()

    def add(self, kind: EventKind, data: dict[str, Any], *, at: datetime) -> None:
        """Write one event. Never fails: an agent whose history cannot be written works on."""
        row = {"at": to_milliseconds(at), "kind": str(kind), "data": msgspec.json.encode(_shorten(data, DEEPEST)).decode()}
        for _ in range(2):
            if self._database is None:
                return
            try:
                EventRow.insert(row).execute(self._database)
                self._sweep()
            except FAULTS:
                if not self.keeps:
                    return
                self._go_on_elsewhere()
                continue
            say_changed(self._paths)
            return

    def close(self) -> None:
        """Close the store; a temporary one goes."""
        if self._database is not None:
            self._database.close()
            self._database = None
        if self._temporary is not None:
            with suppress(OSError):
                live_pointer(self._paths, self._name).unlink(missing_ok=True)
            self._temporary.cleanup()
            self._temporary = None

    def _sweep(self) -> None:
        self._since_sweep += 1
        if self._since_sweep < SWEEP or self._database is None:
            return
        self._since_sweep = 0
        EventRow.delete().where(EventRow.number <= beyond(self._database, self._most)).execute(self._database)

    def _forget_earlier(self) -> None:
        """Remove the temporary store of a harness that was killed."""
        pointer = live_pointer(self._paths, self._name)
        with suppress(OSError):
            folder = Path(pointer.read_text(encoding="utf-8")).parent
            if folder.name.startswith(_TEMPORARY) and folder.stat(follow_symlinks=False).st_uid == os.geteuid():
                shutil.rmtree(folder, ignore_errors=True)
            pointer.unlink()

    def _go_on_elsewhere(self) -> None:
        self.keeps = False
        if self._database is not None:
            self._database.close()
            self._database = None
        if self._beside:
            return
        try:
            self._temporary = tempfile.TemporaryDirectory(prefix=_TEMPORARY)
            file = Path(self._temporary.name) / "events.sqlite"
            self._database = _open(file)
            live_pointer(self._paths, self._name).write_text(str(file), encoding="utf-8")
        except FAULTS:
            # Not even a temporary folder: the turn still goes on, unwatched, and `ps` says so.
            self._database = None


class Place(msgspec.Struct, frozen=True):
    """Where an agent's events are now. Within one `store` numbers are never given twice; `touched` changes with each event."""

    file: Path
    store: str
    touched: tuple[int, ...]


def place(hive: Hive, name: AgentName) -> Place:
    """Where the harness of an agent writes its events now, also while there are none."""
    # Most only write.
    import hashlib

    file = hive.paths.agent_events(name)
    with suppress(OSError):
        # One that a killed harness has left behind leads nowhere.
        elsewhere = Path(live_pointer(hive.paths, name).read_text(encoding="utf-8"))
        file = elsewhere if elsewhere.exists() else file
    found = [_stat(one) for one in (file, file.with_name(f"{file.name}-wal"))]
    # A store that was purged and made anew is another one of the same name.
    inode = 0 if found[0] is None else found[0].st_ino
    store = hashlib.blake2b(f"{file}\n{inode}".encode("utf-8", "surrogateescape"), digest_size=6).hexdigest()
    return Place(
        file, store, tuple(part for one in found if one is not None for part in (one.st_ino, one.st_size, one.st_mtime_ns))
    )


def history(hive: Hive, name: AgentName, *, after: int = 0, before: int | None = None, limit: int | None = None) -> list[Event]:
    """The newest `limit` events of an agent, or all, oldest first; from where its harness writes them now.

    Only those beyond number `after`, and below number `before`. Raises `Unavailable` when the store cannot be read.
    """
    file = place(hive, name).file
    try:
        with existing(file) as database:
            if database is None:
                return []
            query = EventRow.select().where(EventRow.number > after).order_by(EventRow.number.desc())
            if before is not None:
                query = query.where(EventRow.number < before)
            if limit is not None:
                query = query.limit(limit)
            return [_event_from(name, row) for row in query.execute(database)][::-1]
    except (PeeweeException, apsw.Error, ValueError, msgspec.DecodeError) as error:
        raise Unavailable(f"the events of {name} cannot be read: {error}", hint=f"ls -l {file}") from None


@contextmanager
def existing(file: Path) -> Iterator[APSWDatabase | None]:
    """A store that was made before, or None where there is none yet. Raises one of `FAULTS` for what cannot be opened."""
    if not file.exists():
        yield None
        return
    database = _connect(file)
    try:
        # Without the table, its harness is making it at this moment.
        yield database if database.table_exists("event") else None
    finally:
        database.close()


def beyond(database: APSWDatabase, newest: int) -> int:
    """The number of the newest event that is not among the `newest`, or 0 where there are no more than these."""
    query = EventRow.select(EventRow.number).order_by(EventRow.number.desc()).offset(newest).limit(1)
    # To its end: a statement that is left open holds its view of the file, and what comes after could not write.
    return next(iter([row.number for row in query.execute(database)]), 0)


def live_pointer(paths: Paths, name: AgentName) -> Path:
    """The file that names the temporary store while an agent's own cannot be used."""
    return paths.run / f"{name}.events"


def _stat(file: Path) -> os.stat_result | None:
    try:
        return file.stat()
    except OSError:
        return None


def _event_from(name: AgentName, row: EventRow) -> Event:
    return Event(
        number=row.number, agent=name, at=from_milliseconds(row.at), kind=EventKind(row.kind), data=msgspec.json.decode(row.data)
    )


def _open(file: Path) -> APSWDatabase:
    # Made before SQLite makes it, for its companions get the mode that it has: readable by nobody else.
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    database = _connect(file)
    try:
        database.execute_sql("PRAGMA journal_mode = WAL").fetchone()
        database.execute_sql(_SCHEMA)
        database.execute_sql("SELECT count(*) FROM (SELECT number FROM event LIMIT 1)").fetchone()
    except BaseException:
        database.close()
        raise
    return database


def _connect(file: Path) -> APSWDatabase:
    # A history may lose its last lines in a power cut, so a commit need not wait for the disk.
    # Nor is one made: one that was purged meanwhile must not come back.
    database = APSWDatabase(str(file), timeout=5, flags=apsw.SQLITE_OPEN_READWRITE, pragmas={"synchronous": "NORMAL"})
    database.connect()
    return database


def _shorten(data: dict[str, Any], deep: int) -> dict[str, Any]:
    return {_text(str(key)): _shorten_value(value, deep) for key, value in data.items()}


def _shorten_value(value: Any, deep: int) -> Any:
    match value:
        case str() if len(value) > TEXT_MOST:
            return _text(value[:TEXT_MOST]) + f"… ({len(value) - TEXT_MOST} characters more)"
        case str():
            return _text(value)
        case dict() | list() if deep == 0:
            return "…"
        case dict():
            return _shorten(value, deep - 1)
        case list():
            return [_shorten_value(inner, deep - 1) for inner in value]
        case None | bool() | int() | float():
            return value
        case _:
            return _text(str(value))


def _text(text: str) -> str:
    """A lone surrogate, which no encoding has, becomes a question mark."""
    return text.encode("utf-8", "replace").decode()
