"""What is asked before something is done: the number is said, and what is shown is what is decided about."""

from collections.abc import Callable

from hyperhive.cli.watch import acts
from hyperhive.cli.watch.matter_page import MatterPage
from hyperhive.cli.watch.prompt import Act, Choose, Confirm, Prompt, Write
from hyperhive.core import question_limits
from hyperhive.core.approvals import NOTE_MOST
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName
from hyperhive.core.pending import Pending
from hyperhive.core.questions import Question


def about_decision(hive: Hive, page: MatterPage) -> Prompt:
    """Whether to approve what a page shows, or what to answer."""
    if isinstance(page.matter, Question):
        return _about_answer(hive, page.matter)
    act: tuple[str, Act] = ("yes", lambda: acts.approve(hive, page))
    return Confirm(f"approve {page.number}, for {page.agent}?", {"y": act}, page=page)


def about_denial(hive: Hive, one: Pending) -> Prompt:
    """Why something is denied."""
    return Write(
        f"deny {one.number}, for {one.agent}: why? {one.asker} reads it; it may stay empty",
        lambda note: acts.deny(hive, one.number, note),
        enter="denies",
        most=NOTE_MOST,
        may_be_empty=True,
    )


def about_cancelled_question(hive: Hive, one: Pending) -> Prompt:
    """Whether a question is to end without an answer."""
    act: tuple[str, Act] = ("yes", lambda: acts.cancel_question(hive, one.number))
    return Confirm(f"cancel question {one.number} of {one.agent}, without an answer?", {"y": act})


def about_cancelled_turn(hive: Hive, name: AgentName, turn: int, *, asked: Callable[[int], None]) -> Prompt:
    """Whether a turn is to end, and what becomes of its messages; `asked` is told the number of the operation."""

    def cancel(*, retry: bool) -> str:
        asked(acts.cancel_turn(hive, name, turn, retry=retry))
        return f"the turn of {name} is being cancelled"

    ways: dict[str, tuple[str, Act]] = {
        "y": ("yes, its messages too", lambda: cancel(retry=False)),
        "r": ("yes, its messages come again", lambda: cancel(retry=True)),
    }
    return Confirm(f"cancel turn {turn} of {name}?", ways)


def _about_answer(hive: Hive, asked: Question) -> Prompt:
    what = f"answer {asked.number}, to {asked.asker}"

    def act(text: str) -> str:
        return acts.answer(hive, asked.number, text)

    own = Write(f"{what}: your answer", act, enter="answers", most=question_limits.TEXT_MOST)
    if not asked.choices:
        return own
    return Choose(what, asked.choices, act, own=None if asked.choices_only else own)
