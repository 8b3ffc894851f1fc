"""What is looked at, what is selected, what is asked, and what each key leads to."""

from collections.abc import Callable
from functools import partial
from typing import Final

from hyperhive.cli.screen import Line
from hyperhive.cli.watch import asking
from hyperhive.cli.watch.events_page import EventsPage
from hyperhive.cli.watch.help_page import HelpPage
from hyperhive.cli.watch.inbox_page import InboxPage
from hyperhive.cli.watch.journal_page import JournalPage
from hyperhive.cli.watch.keys import Key
from hyperhive.cli.watch.look import look
from hyperhive.cli.watch.matter_page import MatterPage, brief
from hyperhive.cli.watch.page import Page
from hyperhive.cli.watch.prompt import Act, Choose, Confirm, Move, Prompt, Write
from hyperhive.cli.watch.selection import Selection
from hyperhive.core import operations, wishes
from hyperhive.core.errors import Conflict, HyperhiveError, Invalid
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, OperationState
from hyperhive.core.pending import Pending, PendingKind

# How many of an agent's events are read for the first screen.
_BRIEF_EVENTS: Final = 60
_GOOD, _BAD = "bold green", "bold red"


class Desk:
    """The operator's, on one screen."""

    def __init__(self, hive: Hive, name: AgentName | None = None) -> None:
        self.look = look(hive)
        self.selection = Selection(name)
        self.page: Page | None = None
        self.prompt: Prompt | None = None
        # What became of the last key, with its style; it stays until the next one.
        self.notice: tuple[str, str] | None = None
        self.is_left = False
        self._hive = hive
        self._story: EventsPage | None = None
        self._brief: tuple[tuple[int, int], list[Line]] | None = None
        self._cancelling: tuple[int, str] | None = None
        # The page is there only for what is asked.
        self._is_page_asked = False
        self._select()

    # ---- looking ----

    def see(self) -> None:
        """Look at everything again. Raises what the database raises."""
        self.look = look(self._hive)
        self._brief = None
        self._select()
        if isinstance(self.page, MatterPage) and self.page.waits and self.look.one_waiting(self.page.number) is None:
            self._try(self.page.look_again)
        elif isinstance(self.page, InboxPage):
            self._try(self.page.refresh)
        self._see_the_end_of_a_turn()

    def glance(self) -> None:
        """Read what agents did since."""
        for page in (self._story, self.page):
            if isinstance(page, EventsPage) or (isinstance(page, JournalPage) and not page.filenos()):
                self._try(page.refresh)

    def hear(self) -> None:
        """The page has heard of something."""
        if self.page is not None:
            self._try(self.page.heard)

    def detail(self, columns: int, height: int) -> list[Line]:
        """What is known of the selected one, as far as it fits."""
        selected = self.selection.selected
        try:
            match selected:
                case int():
                    if self._brief is None or self._brief[0] != (selected, columns):
                        self._brief = (selected, columns), brief(self._hive, selected, columns)
                    return self._brief[1][:height]
                case str():
                    if self._story is None or self._story.name != selected:
                        self._story = EventsPage(self._hive, AgentName(selected), newest=_BRIEF_EVENTS)
                    return self._story.seen(columns, height)
                case None:
                    return []
        except HyperhiveError as error:
            return [[(error.whole, "red")]]

    @property
    def waiting(self) -> Pending | None:
        """What waits and a key would be about."""
        selected = self.selection.selected if self.page is None else None
        number = self.page.number if isinstance(self.page, MatterPage) else selected
        return self.look.one_waiting(number) if isinstance(number, int) else None

    @property
    def agent(self) -> AgentName | None:
        """The agent that a key would be about."""
        match self.page:
            case EventsPage(name=name) | JournalPage(name=name) | MatterPage(agent=name):
                return name
            case Page():
                return None
            case None:
                pass
        if self.waiting is not None:
            return AgentName(self.waiting.agent)
        selected = self.selection.selected
        return AgentName(selected) if isinstance(selected, str) else None

    # ---- keys ----

    def press(self, key: Key) -> bool:
        """Do what a key says. Says whether something is asked now that must be seen before it is answered."""
        self.notice = None
        before = self.prompt
        if self.prompt is not None:
            self._go_on(self.prompt.press(key))
        elif self.page is None or not self.page.press(key):
            self._press(key)
        return self.prompt is not before and isinstance(self.prompt, Confirm | Choose)

    def _press(self, key: Key) -> None:
        match key.name:
            case "q" | "escape" | "left" if self.page is not None:
                self.open(None)
            case "q":
                self.is_left = True
            case "?":
                self.open(HelpPage)
            case "i":
                self.open(partial(InboxPage, self._hive))
            case "a" if self.waiting is not None:
                self._decide(self.waiting.number)
            case "d" if self.waiting is not None:
                self._deny(self.waiting)
            case "c" if self.waiting is not None:
                self._cancel(self.waiting)
            case "c" if self.agent is not None:
                self._cancel_turn(self.agent)
            case "l" if (name := self.agent) is not None:
                self.open(partial(JournalPage, self._hive, name))
            case "e" if (name := self.agent) is not None:
                self.open(partial(EventsPage, self._hive, name))
            case "enter" | "right" if self.page is None and self.waiting is not None:
                self.open(partial(MatterPage, self._hive, self.waiting.number))
            case "enter" | "right" if self.page is None and (name := self.agent) is not None:
                self.open(partial(EventsPage, self._hive, name))
            case _ if self.page is None:
                self._move(key)
            case _:
                pass

    def _move(self, key: Key) -> None:
        match key.name:
            case "j" | "down":
                self.selection.move(1)
            case "k" | "up":
                self.selection.move(-1)
            case "pagedown" | " " | "ctrl-f" | "ctrl-d":
                self.selection.move(10)
            case "pageup" | "b" | "ctrl-b" | "ctrl-u":
                self.selection.move(-10)
            case "g" | "home":
                self.selection.to_end(last=False)
            case "G" | "end":
                self.selection.to_end(last=True)
            case "tab" | "backtab":
                self.selection.to_other_kind()
            case _:
                pass

    def open(self, make: Callable[[], Page] | None) -> None:
        """Show another page, or the first screen."""
        page = None
        if make is not None:
            try:
                page = make()
            except HyperhiveError as error:
                self.tell(error)
                return
        self.close()
        self.page = page
        self._is_page_asked = False

    def close(self) -> None:
        """Close what the page has opened."""
        if self.page is not None:
            self.page.close()
            self.page = None

    # ---- what is asked ----

    def _decide(self, number: int) -> None:
        """Ask for the decision about what waits, shown whole."""
        if not isinstance(self.page, MatterPage):
            self.open(partial(MatterPage, self._hive, number))
            self._is_page_asked = self.page is not None
        if isinstance(self.page, MatterPage):
            self.prompt = asking.about_decision(self._hive, self.page)

    def _deny(self, one: Pending) -> None:
        if one.kind is PendingKind.QUESTION:
            self.notice = ("a question is answered with a, or cancelled with c", "yellow")
        else:
            self.prompt = asking.about_denial(self._hive, one)

    def _cancel(self, one: Pending) -> None:
        if one.kind is PendingKind.QUESTION:
            self.prompt = asking.about_cancelled_question(self._hive, one)
        else:
            self.notice = ("what is asked for is approved with a, or denied with d", "yellow")

    def _cancel_turn(self, name: AgentName) -> None:
        def asked(operation: int) -> None:
            self._cancelling = operation, name

        try:
            turn = wishes.running_turn(self._hive, name)
        except HyperhiveError as error:
            self.tell(error)
        else:
            self.prompt = asking.about_cancelled_turn(self._hive, name, turn, asked=asked)

    def _go_on(self, to: "Prompt | Act | Move") -> None:
        match to:
            case Move.STAY:
                pass
            case Move.BACK:
                self.prompt = None
                if self._is_page_asked:
                    # It was there for this.
                    self.open(None)
            case Confirm() | Write() | Choose():
                self.prompt = to
            case _ if callable(to):
                self._do(to)
            case _:
                pass

    def _do(self, act: Act) -> None:
        try:
            self.notice = act(), _GOOD
        except HyperhiveError as error:
            self.tell(error)
            if isinstance(error, Invalid):
                # What was typed can be mended.
                return
            if isinstance(error, Conflict) and isinstance(self.page, MatterPage):
                # It is another thing than what was shown.
                self._try(self.page.look_again)
        else:
            if isinstance(self.page, MatterPage):
                # The next one waits there.
                self.open(None)
        self.prompt = None
        self._try(self.see)

    # ---- what is told ----

    def _see_the_end_of_a_turn(self) -> None:
        if self._cancelling is None:
            return
        number, name = self._cancelling
        asked = operations.get(self._hive, number)
        if asked.ended_at is None:
            return
        self._cancelling = None
        if asked.state is OperationState.DONE:
            self.notice = f"the turn of {name} is cancelled", _GOOD
        else:
            self.notice = f"the turn of {name} was not cancelled: {asked.error}", _BAD

    def _select(self) -> None:
        self.selection.update([*(one.number for one in self.look.waiting), *(agent.name for agent in self.look.agents)])

    def _try(self, act: Callable[[], object]) -> None:
        """What cannot be read is told, and ends nothing."""
        try:
            act()
        except HyperhiveError as error:
            self.tell(error)

    def tell(self, error: HyperhiveError) -> None:
        """Say what went wrong."""
        self.notice = f"error: {error.whole}", _BAD
