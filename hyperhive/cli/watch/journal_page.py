"""The screen that shows an agent's journal."""

from collections.abc import Iterable
from typing import Final

from hyperhive.cli import logs, screen
from hyperhive.cli.screen import Line
from hyperhive.cli.watch.page import LINES_MOST, Page, fitted
from hyperhive.core import journal
from hyperhive.core.hive import Hive
from hyperhive.core.journal import Journal
from hyperhive.core.model import AgentName
from hyperhive.core.overrides import override

# How many of the newest are read at first.
NEWEST: Final = 1000


class JournalPage(Page):
    """One agent's journal, of this start of the machine; it goes on with what comes."""

    def __init__(self, hive: Hive, name: AgentName) -> None:
        """Raises what reading a journal raises."""
        super().__init__(f"{name}: journal", grows=True)
        self.name = name
        self._journal = Journal(hive, name, lines=NEWEST, follows=True)
        try:
            self._found = self._journal.newest()
        except BaseException:
            self._journal.close()
            raise

    @override
    def filenos(self) -> list[int]:
        return self._journal.filenos()

    @override
    def heard(self) -> None:
        self._journal.heard()
        self.refresh()

    @override
    def refresh(self) -> None:
        came = self._journal.more()
        self._found = (self._found + came)[-LINES_MOST:]
        if came and self._columns:
            self._add(_lines(came, self._columns))

    @override
    def close(self) -> None:
        self._journal.close()

    @override
    def _all(self, columns: int) -> list[Line]:
        return _lines(self._found, columns) if self._found else [[("nothing was written since the machine was started", "dim")]]


def _lines(found: Iterable[journal.Line], columns: int) -> list[Line]:
    with screen.gathered(columns) as lines:
        for line in found:
            logs.show(line)
    return fitted(lines, columns)
