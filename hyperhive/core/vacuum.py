"""One sweep through the hive: what ended long ago goes, in steps that hold nobody up."""

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from hyperhive.core import vacuum_builds, vacuum_events, vacuum_logs, vacuum_rows, words
from hyperhive.core.errors import Conflict, HyperhiveError, Invalid, Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock, holder
from hyperhive.core.model import AgentName, parse_name

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
    events: int
    builds: int
    logs: int
    troubles: tuple[Trouble, ...]

    @property
    def text(self) -> str:
        """What was removed, for a person; empty when that is nothing."""
        counts = (
            (self.messages, "message"),
            (self.operations, "operation"),
            (self.events, "event"),
            (self.builds, "build"),
            (self.logs, "log"),
        )
        removed = ", ".join(words.count(number, what) for number, what in counts if number)
        return f"removed {removed}" if removed else ""


def run(hive: Hive) -> Swept:
    """Remove what `keep` in the settings lets go. What cannot be swept is told, and keeps nothing else from being swept.

    Raises `Conflict` while another pass is under way.
    """
    with Lock(hive.paths.lock("vacuum")) as lock:
        if not lock.take():
            who = holder(hive.paths.lock("vacuum"))
            raise Conflict(f"this hive is being swept already: {who}", hint="nothing to do: that one goes on")
        try:
            return _sweep(hive)
        finally:
            hive.close()


def _sweep(hive: Hive) -> Swept:
    keep, now, paths, broom = hive.settings.keep, hive.now(), hive.paths, _Broom()

    def before(days: int) -> datetime:
        return now - timedelta(days=days) - DOUBT

    # Files first: what they took of a full disk is free at once, and rows need room to go.
    agents = broom.agents_in(paths.agents)
    for folder in (paths.log, *(paths.agent_log(name) for name in agents)):
        broom.take("logs", vacuum_logs.sweep(folder, before=before(keep.log_days)))
    for name in broom.agents_in(paths.builds_folder):
        broom.take("builds", vacuum_builds.sweep(hive, name))
    broom.take("messages", vacuum_rows.messages(hive, before=before(keep.message_days)))
    broom.take("operations", vacuum_rows.operations(hive, before=before(keep.operation_days)))
    for name in agents:
        broom.take("events", vacuum_events.sweep(hive, name, before=before(keep.event_days)))
    return broom.swept()


class _Broom:
    """Takes one step after another, counts what went, and notes what did not."""

    def __init__(self) -> None:
        self._removed: Counter[str] = Counter()
        # In the order in which they came; a full disk is one trouble, not one of each agent.
        self._troubles: dict[Trouble, None] = {}

    def agents_in(self, folder: Path) -> list[AgentName]:
        """Whose folders lie there, also of agents that were destroyed."""
        found: list[AgentName] = []
        try:
            for name in sorted(os.listdir(folder)):
                with suppress(Invalid):
                    found.append(parse_name(name))
        except OSError as error:
            self._note(Unavailable(f"{folder} cannot be read: {error.strerror}", hint=f"ls -la {folder}"))
        return found

    def take(self, what: str, steps: Iterator[int]) -> None:
        """All steps, each with a rest after it, up to one that cannot be taken."""
        began = time.monotonic()
        try:
            for gone in steps:
                self._removed[what] += gone
                # A lock goes to whoever comes first: without a rest that would always be this process.
                time.sleep(min(time.monotonic() - began, REST_MOST))
                began = time.monotonic()
        except HyperhiveError as error:
            self._note(error)

    def swept(self) -> Swept:
        """All that was done."""
        return Swept(
            messages=self._removed["messages"],
            operations=self._removed["operations"],
            events=self._removed["events"],
            builds=self._removed["builds"],
            logs=self._removed["logs"],
            troubles=tuple(self._troubles),
        )

    def _note(self, error: HyperhiveError) -> None:
        self._troubles[Trouble(error.message, error.hint)] = None
