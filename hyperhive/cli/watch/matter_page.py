"""The screen that shows what waits for a decision, as it is decided about."""

from typing import TypeAlias

from hyperhive.cli import questions, reviews, screen
from hyperhive.cli.screen import Line
from hyperhive.cli.watch.page import Page, fitted
from hyperhive.core import reviews as core
from hyperhive.core.approvals import Approval
from hyperhive.core.errors import NotFound
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, ApprovalKind, ApprovalState
from hyperhive.core.numbers import named
from hyperhive.core.overrides import override
from hyperhive.core.questions import Question
from hyperhive.core.reviews import Review

Matter: TypeAlias = Question | Approval | Review
"""A question, the use of a tool, a proposal with all that it changes."""


class MatterPage(Page):
    """What has this number, whole."""

    def __init__(self, hive: Hive, number: int) -> None:
        """Runs git for a proposal. Raises `NotFound`, and what cannot be read."""
        self.number = number
        self.matter = _whole(hive, number)
        super().__init__(f"{number}: {self._kind} of {self.agent}")
        self._hive = hive

    @property
    def agent(self) -> AgentName:
        """Whom it is about."""
        match self.matter:
            case Question(asker=name) | Approval(agent=name) | Review(approval=Approval(agent=name)):
                return AgentName(name)

    @property
    def waits(self) -> bool:
        """It was not decided when it was looked at."""
        match self.matter:
            case Question(outcome=outcome):
                return outcome is None
            case Approval(state=state) | Review(approval=Approval(state=state)):
                return state is ApprovalState.PENDING

    def look_again(self) -> None:
        """Show it as it is now."""
        self.matter = _whole(self._hive, self.number)
        self._anew()

    @property
    def _kind(self) -> str:
        match self.matter:
            case Question():
                return "question"
            case Approval(kind=kind) | Review(approval=Approval(kind=kind)):
                return {ApprovalKind.SPAWN: "proposal", ApprovalKind.CONFIG: "proposal", ApprovalKind.TOOL: "tool"}[kind]

    @override
    def _all(self, columns: int) -> list[Line]:
        return _lines(self._hive, self.matter, columns)


def brief(hive: Hive, number: int, columns: int) -> list[Line]:
    """As much of what waits as is known at once: of a proposal not what it changes."""
    found = named(hive, number)
    if isinstance(found, Question) or (isinstance(found, Approval) and found.kind is ApprovalKind.TOOL):
        return _lines(hive, found, columns)
    with screen.gathered(columns) as lines:
        if isinstance(found, Approval):
            reviews.head(hive, found)
            screen.quote(found.reason)
            screen.line(("   enter shows what it changes", "dim"))
    return fitted(lines, columns)


def _whole(hive: Hive, number: int) -> Matter:
    found = named(hive, number)
    match found:
        case Question() | Approval(kind=ApprovalKind.TOOL):
            return found
        case Approval():
            return core.review(hive, number)
        case _:
            raise NotFound(f"{number} is nothing to decide about", hint="hyperhive pending")


def _lines(hive: Hive, matter: Matter, columns: int) -> list[Line]:
    with screen.gathered(columns) as lines:
        match matter:
            case Question():
                questions.describe(hive, matter)
            case Approval():
                reviews.show_tool(hive, matter)
            case Review():
                reviews.show(hive, matter)
    return fitted(lines, columns)
