"""One sweep through the hive: what ended long ago goes, in steps that hold nobody up."""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

import msgspec

from hyperhive.core import process, vacuum_rows
from hyperhive.core.errors import Conflict, HyperhiveError
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock, holder

# Added to every age: so far the clock may be ahead now, or may have been behind then, and nothing goes too early.
DOUBT: Final = timedelta(days=1)
# After each step others have as long as it took, but no longer than this, in seconds.
REST_MOST: Final = 0.25


class Trouble(msgspec.Struct, frozen=True):
    """What could not be swept, as the sentence and the hint of an error."""

    message: str
    hint: str | None


class Swept(msgspec.Struct, frozen=True):
    """How much one pass has removed of what, and what it could not."""

    messages: int
    operations: int
    troubles: tuple[Trouble, ...]


def run(hive: Hive) -> Swept:
    """Remove what `keep` in the settings lets go. What cannot be swept is told, and keeps nothing else from being swept.

    Raises `Conflict` while another pass is under way.
    """
    process.follow_parent()
    with Lock(hive.paths.lock("vacuum")) as lock:
        if not lock.take():
            who = holder(hive.paths.lock("vacuum"))
            raise Conflict(f"this hive is being swept already: {who}", hint="nothing to do: that one goes on")
        return _sweep(hive)


def _sweep(hive: Hive) -> Swept:
    keep, now, tally = hive.settings.keep, hive.now(), _Tally()
    messages = tally.take(vacuum_rows.messages(hive, before=_before(now, keep.message_days)))
    operations = tally.take(vacuum_rows.operations(hive, before=_before(now, keep.operation_days)))
    return Swept(messages=messages, operations=operations, troubles=tuple(tally.troubles))


def _before(now: datetime, days: int) -> datetime:
    return now - timedelta(days=days) - DOUBT


class _Tally:
    """Takes one step after another, and counts."""

    def __init__(self) -> None:
        self.troubles: list[Trouble] = []

    def take(self, steps: Iterator[int]) -> int:
        """All steps, each with a rest after it. Gives back how much they removed, up to where one could not."""
        removed = 0
        began = time.monotonic()
        try:
            for gone in steps:
                removed += gone
                # A lock goes to whoever comes first: without a rest that would always be this process.
                time.sleep(min(time.monotonic() - began, REST_MOST))
                began = time.monotonic()
        except HyperhiveError as error:
            self.troubles.append(Trouble(error.message, error.hint))
        return removed
