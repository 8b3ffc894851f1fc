"""The screen that says what each key does."""

from typing import Final

from hyperhive.cli import screen
from hyperhive.cli.screen import Line
from hyperhive.cli.watch.page import Page, fitted
from hyperhive.core.overrides import override

KEYS: Final = (
    ("j k ↑ ↓", "select what waits, or an agent; on a page, a line up or down"),
    ("tab", "from what waits to the agents, and back"),
    ("g G", "the first, the last"),
    ("space b", "on a page, a page on or back"),
    ("enter", "what waits as a whole; an agent's events"),
    ("a", "approve it, or answer it"),
    ("d", "deny it, with a note that reaches the one who asked"),
    ("c", "cancel a question, or the turn that an agent is in"),
    ("e", "the agent's events, going on with what comes"),
    ("l", "the agent's journal, going on with what comes"),
    ("i", "your inbox"),
    ("q esc", "back; from the first screen q leaves, as Ctrl-C does everywhere"),
    ("ctrl-l", "draw all anew"),
)


class HelpPage(Page):
    """A line a key."""

    def __init__(self) -> None:
        super().__init__("keys")

    @override
    def _all(self, columns: int) -> list[Line]:
        room = max(len(keys) for keys, _ in KEYS)
        with screen.gathered(columns) as lines:
            for keys, what in KEYS:
                screen.hanging((f" {keys:<{room}}  ", "bold"), text=what)
        return fitted(lines, columns)
