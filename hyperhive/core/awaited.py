"""Which numbers wait for the operator's decision, for a list that has to come at once."""

from hyperhive.core.columns import rows
from hyperhive.core.hive import Hive
from hyperhive.core.model import ApprovalState
from hyperhive.core.tables import ApprovalRow, QuestionRow


def numbers(hive: Hive) -> dict[str, list[int]]:
    """The numbers by agent, the oldest first; without what has expired and was not looked at yet."""
    now = hive.now()
    found: list[tuple[int, str]] = []
    with hive.db.read():
        for table, name, is_open in (
            (ApprovalRow, ApprovalRow.agent, ApprovalRow.state == ApprovalState.PENDING),
            (QuestionRow, QuestionRow.asker, QuestionRow.outcome.is_null()),
        ):
            due = table.deadline.is_null() | (table.deadline > now)
            found += rows(table.select(table.number, name).where(is_open, due))
    waiting: dict[str, list[int]] = {}
    for number, agent in sorted(found):
        waiting.setdefault(agent, []).append(number)
    return waiting
