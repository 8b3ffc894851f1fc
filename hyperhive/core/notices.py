"""Notices: what hyperhive itself tells agents or the operator, in their inbox."""

from collections.abc import Iterable
from typing import Final

from hyperhive.core.hive import Hive
from hyperhive.core.messages import insert
from hyperhive.core.model import OPERATOR, AgentName, Flavor, MessageKind, MessageState, Operation, Verb, Wanted
from hyperhive.core.tables import AgentRow, MessageRow

SENDER: Final = "hive"
DEAD: Final = "message_dead: "


def notify(hive: Hive, recipients: Iterable[str], body: str) -> list[AgentName]:
    """Add a notice for each recipient, joined with an equal one that still waits. Within a write.

    Gives back whom to ring for after the commit.
    """
    told = []
    for recipient in dict.fromkeys(recipients):
        equal = MessageRow.get_or_none(
            MessageRow.recipient == recipient,
            MessageRow.kind == MessageKind.NOTICE,
            MessageRow.state == MessageState.PENDING,
            MessageRow.body == body,
        )
        if equal is None:
            insert(hive, sender=SENDER, recipient=recipient, kind=MessageKind.NOTICE, body=body)
        if recipient != OPERATOR:
            told.append(AgentName(recipient))
    return told


def watchers(about: str) -> list[str]:
    """Who hears of what happens to an agent: the managers; for a manager, and where there is none, the operator. In a read."""
    found = managers()
    return [OPERATOR] if about in found or not found else found


def living(names: Iterable[str]) -> list[str]:
    """Those of these agents that are there to read a notice. In a read or write."""
    there = {row.name for row in AgentRow.select(AgentRow.name).where(AgentRow.wanted != Wanted.DESTROYED)}
    return [name for name in names if name in there]


def managers() -> list[str]:
    """The managers that are there. In a read or write."""
    return [row.name for row in AgentRow.select().where(AgentRow.flavor == Flavor.MANAGER, AgentRow.wanted != Wanted.DESTROYED)]


def tell_not_done(hive: Hive, asked: Operation, why: str) -> list[AgentName]:
    """Tell an agent that what it asked for did not happen. Within a write. Gives back whom to ring for after the commit."""
    if asked.verb in (Verb.DEPLOY, Verb.PUBLISH):
        # A deployment tells of itself.
        return []
    what = f"what you asked for, to {asked.verb} {asked.agent} (operation {asked.number})"
    return notify(hive, living([asked.asked_by]), f"operation_failed: {what}, did not happen: {why}")


def tell_dead(hive: Hive, row: MessageRow, *, reason: str, attempts: int) -> list[AgentName]:
    """Tell sender, manager and operator of a message that was given up; of such a notice itself, nobody. Within a write.

    Gives back whom to ring for after the commit.
    """
    if row.kind is MessageKind.NOTICE and row.body.startswith(DEAD):
        return []
    start = row.body if len(row.body) <= 200 else row.body[:200] + "…"
    body = (
        f"{DEAD}message {row.number} from {row.sender} to {row.recipient} was given up after {attempts} attempts.\n"
        f"Why: {reason[:500]}\nIt began: {start}"
    )
    # Whoever failed to read the message would fail to read this notice too, unless it is told as a manager.
    hear = living([row.sender]) if row.sender != row.recipient else []
    return notify(hive, [*hear, *(who for who in watchers(row.recipient) if who != row.recipient), OPERATOR], body)
