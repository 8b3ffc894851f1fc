"""An agent's old events, removed a few at a time while its harness may write new ones."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import apsw
from peewee import Expression
from playhouse.apsw_ext import APSWDatabase

from hyperhive.core.columns import to_milliseconds
from hyperhive.core.errors import Unavailable
from hyperhive.core.events import FAULTS, EventRow, beyond, existing
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName

# So many go in one transaction: for as long as that takes, the harness waits with its next event.
BATCH: Final = 200


def sweep(hive: Hive, name: AgentName, *, before: datetime) -> Iterator[int]:
    """Remove the events from before an instant, but for the newest `event_floor`; then all but the newest `events`.

    Gives after each transaction how many it removed. Raises `Unavailable` for a store that cannot be used, or a full disk.
    """
    keep = hive.settings.keep
    file = hive.paths.agent_events(name)
    try:
        with existing(file) as database:
            if database is not None:
                is_old = EventRow.at <= to_milliseconds(before)
                yield from _remove(hive, database, (EventRow.number <= beyond(database, keep.event_floor)) & is_old)
                yield from _remove(hive, database, EventRow.number <= beyond(database, keep.events))
    except FAULTS as error:
        # peewee's own error stands for one of apsw, in whose handling it was raised.
        if isinstance(error.__context__, apsw.FullError):
            raise hive.db.full() from None
        raise Unavailable(f"the events of {name} cannot be swept: {error}", hint=f"ls -l {file}") from None


def _remove(hive: Hive, database: APSWDatabase, which: Expression) -> Iterator[int]:
    oldest = EventRow.select(EventRow.number).where(which).order_by(EventRow.number).limit(BATCH)
    while numbers := [row.number for row in oldest.clone().execute(database)]:
        hive.db.check_room()
        yield EventRow.delete().where(EventRow.number.in_(numbers)).execute(database)
