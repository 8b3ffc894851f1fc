"""Each agent's history: what its turns said and did, in a store that its container never sees."""

import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from peewee import IntegerField, Model, PeeweeException, TextField
from playhouse.apsw_ext import APSWDatabase

from hyperhive.core.doorbell import say_changed
from hyperhive.core.errors import Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, Event, EventKind
from hyperhive.core.paths import Paths
from hyperhive.core.tables import from_milliseconds, to_milliseconds

# How many events of an agent are kept.
KEPT: Final = 2000
# Old events go in one sweep each time so many came.
SWEEP: Final = 200
# The longest text of one event, in characters; the rest of it is cut, and says so.
TEXT_MOST: Final = 64 * 1024
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
    the turn goes on and can still be watched; `keeps` then says that nothing is kept.
    """

    def __init__(self, paths: Paths, name: AgentName) -> None:
        self._paths = paths
        self._name = name
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._since_sweep = SWEEP
        self._database: APSWDatabase | None = None
        self.keeps = True
        try:
            self._database = _open(paths.agent_events(name))
            live_pointer(paths, name).unlink(missing_ok=True)
        except (PeeweeException, OSError):
            self._go_on_elsewhere()

    def add(self, kind: EventKind, data: dict[str, Any], *, at: datetime) -> None:
        """Write one event. Never fails: an agent whose history cannot be written works on."""
        row = {"at": to_milliseconds(at), "kind": str(kind), "data": msgspec.json.encode(_shorten(data)).decode()}
        for _ in range(2):
            if self._database is None:
                return
            try:
                EventRow.insert(row).execute(self._database)
                self._sweep()
            except (PeeweeException, OSError):
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
            live_pointer(self._paths, self._name).unlink(missing_ok=True)
            self._temporary.cleanup()
            self._temporary = None

    def _sweep(self) -> None:
        self._since_sweep += 1
        if self._since_sweep < SWEEP or self._database is None:
            return
        self._since_sweep = 0
        newest = EventRow.select(EventRow.number).order_by(EventRow.number.desc()).limit(1).scalar(self._database)
        EventRow.delete().where(EventRow.number <= (newest or 0) - KEPT).execute(self._database)

    def _go_on_elsewhere(self) -> None:
        self.keeps = False
        if self._database is not None:
            self._database.close()
            self._database = None
        try:
            self._temporary = tempfile.TemporaryDirectory(prefix="hyperhive-events-")
            file = Path(self._temporary.name) / "events.sqlite"
            self._database = _open(file)
            live_pointer(self._paths, self._name).write_text(str(file), encoding="utf-8")
        except (PeeweeException, OSError):
            # Not even a temporary folder: the turn still goes on, unwatched, and `ps` says so.
            self._database = None


def history(hive: Hive, name: AgentName, *, after: int = 0, limit: int = KEPT) -> list[Event]:
    """The newest `limit` events of an agent beyond number `after`, oldest first; from where its harness writes them now.

    Raises `Unavailable` when the store cannot be read.
    """
    file = hive.paths.agent_events(name)
    try:
        file = Path(live_pointer(hive.paths, name).read_text(encoding="utf-8"))
    except OSError:
        pass
    if not file.exists():
        return []
    database: APSWDatabase | None = None
    try:
        database = _connect(file)
        if not database.table_exists("event"):
            # Its harness is making it at this moment.
            return []
        query = EventRow.select().where(EventRow.number > after).order_by(EventRow.number.desc()).limit(limit)
        rows = list(query.execute(database))[::-1]
    except PeeweeException as error:
        raise Unavailable(f"the events of {name} cannot be read: {error}", hint=f"ls -l {file}") from None
    finally:
        if database is not None:
            database.close()
    return [
        Event(
            number=row.number,
            agent=name,
            at=from_milliseconds(row.at),
            kind=EventKind(row.kind),
            data=msgspec.json.decode(row.data),
        )
        for row in rows
    ]


def live_pointer(paths: Paths, name: AgentName) -> Path:
    """The file that names the temporary store while an agent's own cannot be used."""
    return paths.run / f"{name}.events"


def _open(file: Path) -> APSWDatabase:
    database = _connect(file)
    try:
        database.execute_sql("PRAGMA journal_mode = WAL").fetchone()
        database.execute_sql(_SCHEMA)
        database.execute_sql("SELECT count(*) FROM (SELECT number FROM event LIMIT 1)").fetchone()
    except BaseException:
        database.close()
        raise
    file.chmod(0o600)
    return database


def _connect(file: Path) -> APSWDatabase:
    # A history may lose its last lines in a power cut, so a commit need not wait for the disk.
    database = APSWDatabase(str(file), timeout=5, pragmas={"synchronous": "NORMAL"})
    database.connect()
    return database


def _shorten(data: dict[str, Any]) -> dict[str, Any]:
    return {key: _shorten_value(value) for key, value in data.items()}


def _shorten_value(value: Any) -> Any:
    match value:
        case str() if len(value) > TEXT_MOST:
            return value[:TEXT_MOST] + f"… ({len(value) - TEXT_MOST} characters more)"
        case str():
            return value.encode("utf-8", "replace").decode()
        case dict():
            return {str(key): _shorten_value(inner) for key, inner in value.items()}
        case list():
            return [_shorten_value(inner) for inner in value]
        case _:
            return value
