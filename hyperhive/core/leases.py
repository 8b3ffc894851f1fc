"""Leases: which messages a turn holds, and what becomes of them at its end."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from peewee import Expression

from hyperhive.core import notices
from hyperhive.core.columns import from_milliseconds, to_milliseconds
from hyperhive.core.errors import Conflict
from hyperhive.core.hive import Hive
from hyperhive.core.messages import WAITING, message_from
from hyperhive.core.model import AgentName, Message, MessageKind, MessageState
from hyperhive.core.tables import MessageRow

# The most that one prompt or one `recv` carries, in bytes of text.
BATCH_BYTES: Final = 64 * 1024
BATCH_MOST: Final = 200
ATTEMPTS: Final = 3


def lease(hive: Hive, name: AgentName, *, epoch: int, turn: int) -> list[Message]:
    """Hand out what waits, for the prompt of this turn: at least one message, at most 64 KiB. Within a write.

    A message that failed before comes alone. The values say whether each was handed out before.
    """
    waiting = (MessageRow.recipient == name) & (MessageRow.state == MessageState.PENDING)
    return _hand_out(hive, _next_batch(waiting), epoch=epoch, turn=turn, tool_use=None)


def lease_for_tool(hive: Hive, name: AgentName, *, epoch: int, turn: int, tool_use: str) -> list[Message]:
    """Hand out what waits to a `recv` call of the turn that runs now.

    Unconfirmed until the harness has seen that the call's result reached the model. A call that is made again gets
    what it was given before; a message that failed before is left for a turn of its own. Raises `Conflict` when the
    turn is not the agent's current one any more.
    """
    with hive.db.write():
        _check_current(hive, name, epoch, turn)
        found = [_message(values) for values in hive.db.ask(_FOR_TOOL, name, epoch, turn, tool_use, BATCH_MOST)]
        # Its first result may never have reached the model, so a confirmation must speak for these and no others.
        again = [message for message in found if message.state is MessageState.DELIVERED]
        return _hand_out(hive, again or _bounded(found), epoch=epoch, turn=turn, tool_use=tool_use)


def waits_for_tool(hive: Hive, name: AgentName, *, epoch: int, turn: int, tool_use: str) -> bool:
    """There is something for this `recv` call. It needs no writer's place to look. Raises `Conflict` as `lease_for_tool`."""
    with hive.db.read():
        _check_current(hive, name, epoch, turn)
        return bool(hive.db.ask(_FOR_TOOL, name, epoch, turn, tool_use, 1))


def confirm(hive: Hive, name: AgentName, *, epoch: int, tool_use: str) -> None:
    """The model was given what this `recv` call handed out."""
    with hive.db.write():
        MessageRow.update(confirmed=True).where(
            MessageRow.recipient == name,
            MessageRow.state == MessageState.DELIVERED,
            MessageRow.epoch == epoch,
            MessageRow.tool_use == tool_use,
        ).execute()


def acknowledge(hive: Hive, name: AgentName, *, epoch: int, turn: int) -> None:
    """The turn ended well: what it was given is done, what it was not given comes again. Within a write."""
    held = _held(name, epoch, turn)
    MessageRow.update(state=MessageState.ACKNOWLEDGED, ended_at=hive.now()).where(held, MessageRow.confirmed == 1).execute()
    _put_back(held)


def give_back(name: AgentName, *, epoch: int, turn: int) -> None:
    """What the turn held comes again, marked, without counting an attempt. Within a write."""
    _put_back(_held(name, epoch, turn))


def give_back_all(name: AgentName) -> None:
    """What any earlier turn held comes again, without counting an attempt. Within a write, by the one who holds the agent."""
    _put_back((MessageRow.recipient == name) & (MessageRow.state == MessageState.DELIVERED))


def cancel(hive: Hive, name: AgentName, *, epoch: int, turn: int) -> None:
    """What the turn was given ends as cancelled; what it was not given comes again. Within a write."""
    held = _held(name, epoch, turn)
    MessageRow.update(state=MessageState.CANCELLED, reason="its turn was cancelled", ended_at=hive.now()).where(
        held, MessageRow.confirmed == 1
    ).execute()
    _put_back(held)


def fail(hive: Hive, name: AgentName, *, epoch: int, turn: int, reason: str) -> list[AgentName]:
    """What the turn was given comes again, or ends as dead after its third attempt, which is told. Within a write.

    Gives back whom to ring for after the commit.
    """
    held = _held(name, epoch, turn)
    given = held & (MessageRow.confirmed == 1)
    told: list[AgentName] = []
    for row in MessageRow.select().where(given, MessageRow.attempt >= ATTEMPTS - 1).order_by(MessageRow.number):
        MessageRow.update(state=MessageState.DEAD, attempt=row.attempt + 1, reason=reason[:500], ended_at=hive.now()).where(
            MessageRow.number == row.number
        ).execute()
        told += notices.tell_dead(hive, row, reason=reason, attempts=ATTEMPTS)
    MessageRow.update(attempt=MessageRow.attempt + 1).where(given, MessageRow.state == MessageState.DELIVERED).execute()
    _put_back(held)
    return told


def expire(hive: Hive, name: AgentName, *, reason: str) -> int:
    """End all that waits for an agent that will not read it. Within a write. Gives back how many."""
    return int(
        MessageRow.update(state=MessageState.EXPIRED, reason=reason, ended_at=hive.now())
        .where(MessageRow.recipient == name, MessageRow.state.in_(WAITING))
        .execute()
    )


# A call's earlier messages before its new ones: the words sort so. The states once more by themselves, for the index: without
# them every message that the agent ever got is looked at.
_FOR_TOOL: Final = (
    "SELECT number, sender, recipient, kind, body, state, attempt, reason, sent_at, handed_out_at, ended_at FROM message "
    "WHERE recipient = ?1 AND state IN ('pending', 'delivered') AND (state = 'pending' AND attempt = 0 "
    "OR state = 'delivered' AND epoch = ?2 AND turn = ?3 AND tool_use = ?4 AND confirmed = 0) ORDER BY state, number LIMIT ?5"
)
_HAND_OUT: Final = (
    "UPDATE message SET state = 'delivered', epoch = ?, turn = ?, tool_use = ?, confirmed = ?, "
    "handed_out_at = coalesce(handed_out_at, ?) WHERE number = ?"
)
_CURRENT: Final = (
    "SELECT 1 FROM turn JOIN agent ON agent.name = turn.agent AND agent.epoch = turn.epoch "
    "WHERE turn.number = ? AND turn.agent = ? AND turn.epoch = ? AND turn.outcome IS NULL"
)


def _message(values: Sequence[Any]) -> Message:
    """The value of what `_FOR_TOOL` finds."""
    number, sender, recipient, kind, body, state, attempt, reason, *times = values
    sent_at, handed_out_at, ended_at = (None if at is None else from_milliseconds(at) for at in times)
    assert sent_at is not None
    return Message(
        number=number,
        sender=sender,
        recipient=recipient,
        kind=MessageKind(kind),
        body=body,
        state=MessageState(state),
        attempt=attempt,
        reason=reason,
        sent_at=sent_at,
        handed_out_at=handed_out_at,
        ended_at=ended_at,
    )


def _check_current(hive: Hive, name: AgentName, epoch: int, turn: int) -> None:
    if not hive.db.ask(_CURRENT, turn, name, epoch):
        raise Conflict("the turn that asked has ended", hint="read your mail in the next turn")


def _next_batch(waiting: Expression) -> list[Message]:
    found = MessageRow.select().where(waiting).order_by(MessageRow.number).limit(BATCH_MOST)
    return _bounded(message_from(row) for row in found)


def _bounded(waiting: Iterable[Message]) -> list[Message]:
    batch: list[Message] = []
    size = 0
    for message in waiting:
        size += len(message.body.encode())
        if batch and (size > BATCH_BYTES or message.attempt > 0):
            break
        batch.append(message)
        if message.attempt > 0:
            break
    return batch


def _hand_out(hive: Hive, batch: Sequence[Message], *, epoch: int, turn: int, tool_use: str | None) -> list[Message]:
    now = to_milliseconds(hive.now())
    for message in batch:
        hive.db.ask(_HAND_OUT, epoch, turn, tool_use, tool_use is None, now, message.number)
    return list(batch)


def _held(name: AgentName, epoch: int, turn: int) -> Expression:
    return (
        (MessageRow.recipient == name)
        & (MessageRow.state == MessageState.DELIVERED)
        & (MessageRow.epoch == epoch)
        & (MessageRow.turn == turn)
    )


def _put_back(held: Expression) -> None:
    MessageRow.update(state=MessageState.PENDING, epoch=None, turn=None, tool_use=None, confirmed=False).where(held).execute()
