"""Leases: which messages a turn holds, and what becomes of them at its end."""

from collections.abc import Sequence
from typing import Final

from peewee import Expression

from hyperhive.core import notices
from hyperhive.core.errors import Conflict
from hyperhive.core.hive import Hive
from hyperhive.core.messages import WAITING, message_from
from hyperhive.core.model import AgentName, Message, MessageState
from hyperhive.core.tables import AgentRow, MessageRow, TurnRow

# The most that one prompt or one `recv` carries, in bytes of text.
BATCH_BYTES: Final = 64 * 1024
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
    asked_before = _held(name, epoch, turn) & (MessageRow.tool_use == tool_use) & (MessageRow.confirmed == 0)
    fresh = (MessageRow.recipient == name) & (MessageRow.state == MessageState.PENDING) & (MessageRow.attempt == 0)
    with hive.db.read():
        _check_current(name, epoch, turn)
        # Most looks find nothing, and need not queue for a writer's place.
        if not MessageRow.select().where(asked_before | fresh).exists():
            return []
    with hive.db.write():
        _check_current(name, epoch, turn)
        # Its first result may never have reached the model, so a confirmation must speak for these and no others.
        again = list(MessageRow.select().where(asked_before).order_by(MessageRow.number))
        return _hand_out(hive, again or _next_batch(fresh), epoch=epoch, turn=turn, tool_use=tool_use)


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


def _check_current(name: AgentName, epoch: int, turn: int) -> None:
    agent = AgentRow.get_or_none(AgentRow.name == name)
    running = TurnRow.get_or_none(
        TurnRow.number == turn, TurnRow.agent == name, TurnRow.epoch == epoch, TurnRow.outcome.is_null()
    )
    if running is None or agent is None or agent.epoch != epoch:
        raise Conflict("the turn that asked has ended", hint="read your mail in the next turn")


def _next_batch(waiting: Expression) -> list[MessageRow]:
    batch: list[MessageRow] = []
    size = 0
    for row in MessageRow.select().where(waiting).order_by(MessageRow.number).limit(200):
        size += len(row.body.encode())
        if batch and (size > BATCH_BYTES or row.attempt > 0):
            break
        batch.append(row)
        if row.attempt > 0:
            break
    return batch


def _hand_out(hive: Hive, batch: Sequence[MessageRow], *, epoch: int, turn: int, tool_use: str | None) -> list[Message]:
    handed = [message_from(row) for row in batch]
    now = hive.now()
    for row in batch:
        MessageRow.update(
            state=MessageState.DELIVERED,
            epoch=epoch,
            turn=turn,
            tool_use=tool_use,
            confirmed=tool_use is None,
            handed_out_at=row.handed_out_at or now,
        ).where(MessageRow.number == row.number).execute()
    return handed


def _held(name: AgentName, epoch: int, turn: int) -> Expression:
    return (
        (MessageRow.recipient == name)
        & (MessageRow.state == MessageState.DELIVERED)
        & (MessageRow.epoch == epoch)
        & (MessageRow.turn == turn)
    )


def _put_back(held: Expression) -> None:
    MessageRow.update(state=MessageState.PENDING, epoch=None, turn=None, tool_use=None, confirmed=False).where(held).execute()
