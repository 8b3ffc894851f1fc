"""What the hive's database holds that ended long ago, removed a few rows at a time."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from hyperhive.core.columns import to_milliseconds
from hyperhive.core.hive import Hive
from hyperhive.core.tables import MessageRow, OperationRow

# So many go in one transaction: for as long as that takes, everybody who writes waits.
BATCH: Final = 200
# Both times count: one of them may have been written while the clock was wrong.
_MESSAGES: Final = """
    SELECT number FROM message
    WHERE ended_at <= ? AND sent_at <= ? AND state NOT IN ('pending', 'delivered') ORDER BY ended_at LIMIT ?
"""
# An agent's newest `publish` tells whether git has followed the rows.
_OPERATIONS: Final = """
    SELECT number FROM operation AS one
    WHERE ended_at <= ? AND asked_at <= ? AND state NOT IN ('pending', 'running') AND NOT (verb = 'publish' AND NOT EXISTS (
        SELECT 1 FROM operation WHERE verb = 'publish' AND agent = one.agent AND number > one.number
    )) ORDER BY ended_at LIMIT ?
"""


def messages(hive: Hive, *, before: datetime) -> Iterator[int]:
    """Remove the messages that were sent, and ended in whatever way, before an instant; one that has not ended stays.

    Gives after each transaction how many it removed. Raises `Unavailable` when the disk is full, or fails.
    """
    return _remove(hive, MessageRow, _MESSAGES, before)


def operations(hive: Hive, *, before: datetime) -> Iterator[int]:
    """Remove the operations that were asked for, and ended, before an instant. As `messages` does."""
    return _remove(hive, OperationRow, _OPERATIONS, before)


def _remove(hive: Hive, table: type[MessageRow] | type[OperationRow], find: str, before: datetime) -> Iterator[int]:
    instant = to_milliseconds(before)
    while True:
        with hive.db.read():
            # What has ended stays as it is, so it can be looked for before anybody has to wait.
            numbers = [number for (number,) in hive.db.ask(find, instant, instant, BATCH)]
        if not numbers:
            return
        # The room that is kept for a full disk is for what ends turns: this can wait.
        with hive.db.write(brings_new=True):
            removed = table.delete().where(table.number.in_(numbers)).execute()
        yield removed
