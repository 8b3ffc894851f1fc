"""The durable broker: what is accepted is on disk, reaches a turn that ends well, or ends visibly."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

from peewee import Expression, fn

from hyperhive.core import doorbell
from hyperhive.core.builds import config_of
from hyperhive.core.errors import Conflict, Denied, Invalid, NotFound
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, AgentName, Flavor, Mail, Message, MessageKind, MessageState, Wanted, parse_name
from hyperhive.core.tables import AgentRow, MessageRow, TurnRow, rows

# The most that one prompt or one `recv` carries, in bytes of text.
BATCH_BYTES: Final = 64 * 1024
ATTEMPTS: Final = 3
KEY_MOST: Final = 200
# The largest number that SQLite keeps.
NUMBER_MOST: Final = 2**63 - 1
WAITING: Final = (MessageState.PENDING, MessageState.DELIVERED)


def send(hive: Hive, *, sender: str, to: str, body: str, key: str | None = None) -> Message:
    """Accept a text for an agent or the operator; it is on disk when this returns.

    The same `key` from the same sender gives back the first message. Raises `Invalid` for a body that is empty or too
    long, `NotFound` for an unknown recipient, `Denied` when the sender may not write to it or writes too fast,
    `Conflict` when the inbox is full or the key was used for another message.
    """
    _check_body(hive, body)
    if key is not None and not (0 < len(key) <= KEY_MOST and key.isprintable()):
        raise Invalid(f"a key has 1 to {KEY_MOST} characters that can be printed", hint="--key order-4711")
    with hive.db.write():
        if key is not None and (first := MessageRow.get_or_none(MessageRow.sender == sender, MessageRow.key == key)):
            if (first.recipient, first.body) != (to, body):
                raise Conflict(
                    f"the key {key!a} belongs to message {first.number}, which says something else", hint="another key"
                )
            return message_from(first)
        _check_recipient(to)
        if sender != OPERATOR:
            _check_sender(hive, AgentName(sender), to)
        _check_room(hive, to)
        row = _insert(hive, sender=sender, recipient=to, kind=MessageKind.TEXT, body=body, key=key)
    if to != OPERATOR:
        doorbell.ring(hive.paths, AgentName(to))
    return message_from(row)


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
            _insert(hive, sender="hive", recipient=recipient, kind=MessageKind.NOTICE, body=body, key=None)
        if recipient != OPERATOR:
            told.append(AgentName(recipient))
    return told


def watchers(about: str) -> list[str]:
    """Who hears of what happens to an agent: the managers; for a manager, and where there is none, the operator. In a read."""
    managers = [
        row.name for row in AgentRow.select().where(AgentRow.flavor == Flavor.MANAGER, AgentRow.wanted != Wanted.DESTROYED)
    ]
    return [OPERATOR] if about in managers or not managers else managers


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
        if row.kind is MessageKind.TEXT or not row.body.startswith(DEAD_NOTICE):
            told += _tell_dead(hive, row, reason)
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


def get(hive: Hive, number: int) -> Message:
    """One message. Raises `NotFound`."""
    with hive.db.read():
        row = MessageRow.get_or_none(MessageRow.number == number) if 0 < number <= NUMBER_MOST else None
    if row is None:
        raise NotFound(f"there is no message {number}", hint="hyperhive messages")
    return message_from(row)


def inbox(hive: Hive, recipient: str, *, everything: bool = False, after: int = 0, limit: int = 1000) -> list[Message]:
    """What waits for a correspondent, oldest first; with `everything` also the newest `limit` that are done.

    Raises `NotFound` for an unknown agent.
    """
    with hive.db.read():
        if recipient != OPERATOR and AgentRow.get_or_none(AgentRow.name == recipient) is None:
            raise no_such_agent(recipient)
        query = MessageRow.select().where(MessageRow.recipient == recipient, MessageRow.number > after)
        if not everything:
            query = query.where(MessageRow.state.in_(WAITING)).order_by(MessageRow.number).limit(limit)
            return [message_from(row) for row in query]
        return [message_from(row) for row in query.order_by(MessageRow.number.desc()).limit(limit)][::-1]


def flow(hive: Hive, *, after: int = 0, limit: int = 100) -> list[Message]:
    """The newest messages between all, oldest first."""
    with hive.db.read():
        query = MessageRow.select().where(MessageRow.number > after).order_by(MessageRow.number.desc()).limit(limit)
        return [message_from(row) for row in query][::-1]


def changed_since(hive: Hive, numbers: Sequence[int]) -> list[Message]:
    """These messages as they are now."""
    with hive.db.read():
        return [message_from(row) for row in MessageRow.select().where(MessageRow.number.in_(list(numbers)))]


def read(hive: Hive, numbers: Sequence[int] | None) -> list[Message]:
    """The operator has read these messages, or all that wait with None. Gives back those that this call acknowledged.

    Raises `NotFound` for a number that is not in the operator's inbox; then nothing is acknowledged.
    """
    with hive.db.write():
        mine = MessageRow.recipient == OPERATOR
        if numbers is not None:
            possible = [number for number in numbers if 0 < number <= NUMBER_MOST]
            known = {row.number for row in MessageRow.select(MessageRow.number).where(mine, MessageRow.number.in_(possible))}
            for number in numbers:
                if number not in known:
                    raise NotFound(f"there is no message {number} in your inbox", hint="hyperhive inbox")
            mine &= MessageRow.number.in_(possible)
        waiting = [row.number for row in MessageRow.select().where(mine, MessageRow.state == MessageState.PENDING)]
        now = hive.now()
        for start in range(0, len(waiting), 500):
            MessageRow.update(state=MessageState.ACKNOWLEDGED, handed_out_at=now, ended_at=now, confirmed=True).where(
                MessageRow.number.in_(waiting[start : start + 500])
            ).execute()
        done = [
            row
            for start in range(0, len(waiting), 500)
            for row in MessageRow.select().where(MessageRow.number.in_(waiting[start : start + 500])).order_by(MessageRow.number)
        ]
    return [message_from(row) for row in done]


def counts() -> dict[str, Mail]:
    """How many messages of each agent are where. Within a read."""
    # By agent, for the index begins with the recipient, and most messages are done with.
    query = MessageRow.select(MessageRow.recipient, MessageRow.state, fn.COUNT(MessageRow.number)).where(
        MessageRow.recipient.in_(AgentRow.select(AgentRow.name)), MessageRow.state.in_((*WAITING, MessageState.DEAD))
    )
    found: dict[str, dict[MessageState, int]] = {}
    for recipient, state, count in rows(query.group_by(MessageRow.recipient, MessageRow.state)):
        found.setdefault(recipient, {})[state] = count
    return {
        name: Mail(
            pending=states.get(MessageState.PENDING, 0),
            delivered=states.get(MessageState.DELIVERED, 0),
            dead=states.get(MessageState.DEAD, 0),
        )
        for name, states in found.items()
    }


def no_such_agent(name: str) -> NotFound:
    """The error for a name that nobody bears, with the nearest that somebody does. Within a read."""
    import difflib

    # An agent may ask for a name of any length.
    start = name[:40]
    names = [row.name for row in AgentRow.select(AgentRow.name).where(AgentRow.wanted != Wanted.DESTROYED)]
    near = difflib.get_close_matches(start, [*names, OPERATOR], n=1)
    return NotFound(
        f"there is no agent {ascii(start)[1:-1]}",
        hint=f"did you mean {near[0]}?" if near else "`hyperhive ps` shows who is there",
    )


def message_from(row: MessageRow) -> Message:
    """The value of a row."""
    return Message(
        number=row.number,
        sender=row.sender,
        recipient=row.recipient,
        kind=row.kind,
        body=row.body,
        state=row.state,
        attempt=row.attempt,
        reason=row.reason,
        sent_at=row.sent_at,
        handed_out_at=row.handed_out_at,
        ended_at=row.ended_at,
    )


DEAD_NOTICE: Final = "message_dead: "


def _tell_dead(hive: Hive, row: MessageRow, reason: str) -> list[AgentName]:
    start = row.body if len(row.body) <= 200 else row.body[:200] + "…"
    body = (
        f"{DEAD_NOTICE}message {row.number} from {row.sender} to {row.recipient} was given up after {ATTEMPTS} attempts.\n"
        f"Why: {reason[:500]}\nIt began: {start}"
    )
    living = {agent.name for agent in AgentRow.select(AgentRow.name).where(AgentRow.wanted != Wanted.DESTROYED)}
    # Whoever failed to read the message would fail to read this notice too, unless it is told as a manager.
    hear = [row.sender] if row.sender in living and row.sender != row.recipient else []
    return notify(hive, [*hear, *(who for who in watchers(row.recipient) if who != row.recipient), OPERATOR], body)


def _insert(hive: Hive, *, sender: str, recipient: str, kind: MessageKind, body: str, key: str | None) -> MessageRow:
    return MessageRow.create(
        sender=sender, recipient=recipient, kind=kind, body=body, key=key, state=MessageState.PENDING, sent_at=hive.now()
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


def _check_body(hive: Hive, body: str) -> None:
    if not body.strip():
        raise Invalid("the message is empty", hint='hyperhive send NAME "…", or `-` to read it from standard input')
    try:
        size = len(body.encode())
    except UnicodeEncodeError:
        raise Invalid("the message is not valid text", hint="send UTF-8") from None
    if "\0" in body:
        raise Invalid("the message holds a NUL character", hint="send text")
    most = hive.settings.limits.message_bytes
    if size > most:
        raise Invalid(f"the message has {size} bytes, and at most {most} are taken", hint="put it into a file and send its path")


def _check_recipient(to: str) -> None:
    if to == OPERATOR:
        return
    try:
        row = AgentRow.get_or_none(AgentRow.name == parse_name(to))
    except Invalid:
        raise no_such_agent(to) from None
    if row is None:
        raise no_such_agent(to)
    if row.wanted is Wanted.DESTROYED:
        raise NotFound(f"{to} was destroyed", hint=f"`hyperhive spawn {to}` makes it anew from what is kept")


def _check_sender(hive: Hive, sender: AgentName, to: str) -> None:
    row = AgentRow.get_or_none(AgentRow.name == sender)
    if row is None or row.wanted is Wanted.DESTROYED:
        raise Denied(f"{sender} is no agent any more")
    config, _ = config_of(hive, sender, row.deployed)
    if not config.may_send_to(to):
        raise Denied(f"{sender} may not write to {to}", hint=f"it may write to: {', '.join(config.send_to) or 'nobody'}")
    now = hive.now()
    # What was sent in the future was sent before the clock was set back.
    recent = (
        MessageRow.select()
        .where(MessageRow.sender == sender, MessageRow.sent_at > now - timedelta(minutes=1), MessageRow.sent_at <= now)
        .count()
    )
    if recent >= hive.settings.limits.sends_per_minute:
        raise Denied(f"{sender} has sent {recent} messages in a minute", hint="wait a minute, and say more in fewer messages")


def _check_room(hive: Hive, to: str) -> None:
    waiting = (
        MessageRow.select()
        .where(MessageRow.recipient == to, MessageRow.kind == MessageKind.TEXT, MessageRow.state == MessageState.PENDING)
        .count()
    )
    if waiting >= hive.settings.limits.inbox:
        raise Conflict(
            f"the inbox of {to} is full: {waiting} messages wait",
            hint="`hyperhive read --all`" if to == OPERATOR else f"wait until {to} has read some; `hyperhive inbox {to}`",
        )
