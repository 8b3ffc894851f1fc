"""The screen that shows what an agent's turns said and did."""

from collections.abc import Iterable
from typing import Final

from hyperhive.cli import screen, story
from hyperhive.cli.screen import Line
from hyperhive.cli.watch.page import LINES_MOST, Page, fitted
from hyperhive.core import events, follow
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, Event
from hyperhive.core.overrides import override

# How many of the newest are read at first.
NEWEST: Final = 300


class EventsPage(Page):
    """One agent's events; it goes on with what comes."""

    def __init__(self, hive: Hive, name: AgentName, *, newest: int = NEWEST) -> None:
        """Raises `Unavailable` when they cannot be read."""
        super().__init__(f"{name}: events", grows=True)
        self.name = name
        self._hive = hive
        self._newest = newest
        self._events: list[Event] = []
        self._store = ""
        self.refresh()

    @override
    def refresh(self) -> None:
        store = follow.store_of(self._hive, self.name)
        if store != self._store:
            self._store, self._events = store, []
            self._anew()
        after = self._events[-1].number if self._events else 0
        came = events.history(self._hive, self.name, after=after, limit=self._newest)
        self._events = (self._events + came)[-LINES_MOST:]
        if came and self._columns:
            self._add(_lines(came, self._columns))

    @override
    def _all(self, columns: int) -> list[Line]:
        return _lines(self._events, columns) if self._events else [[(f"{self.name} has done nothing yet", "dim")]]


def _lines(found: Iterable[Event], columns: int) -> list[Line]:
    with screen.gathered(columns) as lines:
        for event in found:
            story.show(event, full=False)
    return fitted(lines, columns)
