"""The screen that shows the messages that the operator has not taken yet."""

from hyperhive.cli import messages, screen
from hyperhive.cli.screen import Line
from hyperhive.cli.watch.page import Page, fitted
from hyperhive.core import messages as core
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR
from hyperhive.core.overrides import override


class InboxPage(Page):
    """They stay where they are: this only shows them."""

    def __init__(self, hive: Hive) -> None:
        super().__init__("your inbox; `hyperhive read` takes messages out")
        self._hive = hive
        self._found = core.inbox(hive, OPERATOR)

    @override
    def refresh(self) -> None:
        found = core.inbox(self._hive, OPERATOR)
        if found != self._found:
            self._found = found
            # Where one was stays.
            self._columns = 0

    @override
    def _all(self, columns: int) -> list[Line]:
        if not self._found:
            return [[("nothing waits for you", "dim")]]
        with screen.gathered(columns) as lines:
            for one in self._found:
                messages.show(self._hive, one)
        return fitted(lines, columns)
