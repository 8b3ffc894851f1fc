"""What can be done from the screen: each is one call of the core, and says what was done."""

from hyperhive.cli import notes
from hyperhive.cli.watch.matter_page import MatterPage
from hyperhive.core import approvals, doorbell, questions, wishes
from hyperhive.core.hive import Hive
from hyperhive.core.locks import is_held
from hyperhive.core.model import OPERATOR, AgentName
from hyperhive.core.reviews import Review


def approve(hive: Hive, page: MatterPage) -> str:
    """Approve what the page shows, and no other. A configuration is left to the hive to be built."""
    if not isinstance(page.matter, Review):
        approvals.approve(hive, page.number, by=OPERATOR)
        return f"{page.number} is approved"
    shown = page.matter
    approvals.approve(hive, page.number, by=OPERATOR, commit=shown.commit.id, compared_with=shown.against)
    doorbell.ring_hive(hive.paths)
    if is_held(hive.paths.lock("hub")):
        return f"{page.number} is approved; the hive builds it, see the events of {page.agent}"
    return f"{page.number} is approved; it waits for `{notes.how_to_start()}`, ten minutes at most"


def deny(hive: Hive, number: int, note: str) -> str:
    """Deny what an agent asked for. The tag that says so is left to the hive."""
    approvals.deny(hive, number, by=OPERATOR, note=note)
    return f"{number} is denied"


def answer(hive: Hive, number: int, text: str) -> str:
    """Answer a question."""
    questions.answer(hive, number, by=OPERATOR, text=text)
    return f"question {number} is answered"


def cancel_question(hive: Hive, number: int) -> str:
    """End a question without an answer."""
    questions.cancel(hive, number, by=OPERATOR)
    return f"question {number} is cancelled"


def cancel_turn(hive: Hive, name: AgentName, turn: int, *, retry: bool) -> int:
    """Ask for the end of a turn. Gives back the operation's number: how it went is seen later."""
    return wishes.ask_to_cancel(hive, name, turn=turn, by=OPERATOR, retry=retry)
