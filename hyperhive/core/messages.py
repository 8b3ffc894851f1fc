"""The durable broker: what is accepted is on disk, reaches a turn that ends well, or ends visibly."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from peewee import fn

from hyperhive.core import doorbell
from hyperhive.core.agent_view import Mail
from hyperhive.core.builds import config_of
from hyperhive.core.columns import rows, to_milliseconds
from hyperhive.core.errors import Conflict, Denied, Invalid, NotFound
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, AgentName, Message, MessageKind, MessageState, Wanted, parse_name
from hyperhive.core.tables import AgentRow, MessageRow

KEY_MOST: Final = 200
# The largest number that SQLite keeps.
NUMBER_MOST: Final = 2**63 - 1
WAITING: Final = (MessageState.PENDING, MessageState.DELIVERED)
_INSERT: Final = (
    'INSERT INTO message (sender, recipient, kind, body, "key", state, confirmed, attempt, sent_at) '
    "VALUES (?, ?, ?, ?, ?, 'pending', 0, 0, ?) RETURNING number"
)


def send(hive: Hive, *, sender: str, to: str, body: str, key: str | None = None) -> Message:
    """Accept a text for an agent or the operator; it is on disk when this returns.

    The same `key` from the same sender gives back the first message. Raises `Invalid` for a body that is empty or too
    long, `NotFound` for an unknown recipient, `Denied` when the sender may not write to it or writes too fast,
    `Conflict` when the inbox is full or the key was used for another message.
    """
    _check_body(hive, body)
    if key is not None and not (0 < len(key) <= KEY_MOST and key.isprintable()):
        raise Invalid(f"a key has 1 to {KEY_MOST} characters that can be printed", hint="--key order-4711")
    with hive.db.write(brings_new=True):
        if key is not None and (first := MessageRow.get_or_none(MessageRow.sender == sender, MessageRow.key == key)):
            if (first.recipient, first.body) != (to, body):
                raise Conflict(
                    f"the key {key!a} belongs to message {first.number}, which says something else", hint="another key"
                )
            return message_from(first)
        _check_recipient(hive, to)
        if sender != OPERATOR:
            _check_sender(hive, AgentName(sender), to)
        _check_room(hive, to)
        message = insert(hive, sender=sender, recipient=to, kind=MessageKind.TEXT, body=body, key=key)
    if to != OPERATOR:
        doorbell.ring(hive.paths, AgentName(to))
    return message


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


def count_waiting(hive: Hive, recipient: str) -> int:
    """How many messages wait for a correspondent."""
    with hive.db.read():
        return int(MessageRow.select().where(MessageRow.recipient == recipient, MessageRow.state.in_(WAITING)).count())


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


def counts(name: str | None = None) -> dict[str, Mail]:
    """How many messages of each agent, or of one, are where. Within a read."""
    agents = AgentRow.select(AgentRow.name)
    # By agent, for the index begins with the recipient, and most messages are done with.
    query = MessageRow.select(MessageRow.recipient, MessageRow.state, fn.COUNT(MessageRow.number)).where(
        MessageRow.recipient.in_(agents if name is None else agents.where(AgentRow.name == name)),
        MessageRow.state.in_((*WAITING, MessageState.DEAD)),
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


def insert(hive: Hive, *, sender: str, recipient: str, kind: MessageKind, body: str, key: str | None = None) -> Message:
    """Put a message into an inbox. Within a write."""
    now = hive.now()
    ((number,),) = hive.db.ask(_INSERT, sender, recipient, kind.value, body, key, to_milliseconds(now))
    return Message(
        number=number,
        sender=sender,
        recipient=recipient,
        kind=kind,
        body=body,
        state=MessageState.PENDING,
        attempt=0,
        reason=None,
        sent_at=now,
        handed_out_at=None,
        ended_at=None,
    )


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


def _check_recipient(hive: Hive, to: str) -> None:
    if to == OPERATOR:
        return
    try:
        found = hive.db.ask("SELECT wanted FROM agent WHERE name = ?", parse_name(to))
    except Invalid:
        raise no_such_agent(to) from None
    if not found:
        raise no_such_agent(to)
    if found[0][0] == Wanted.DESTROYED:
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
    ((waiting,),) = hive.db.ask("SELECT count(*) FROM message WHERE recipient = ? AND state = 'pending' AND kind = 'text'", to)
    if waiting >= hive.settings.limits.inbox:
        raise Conflict(
            f"the inbox of {to} is full: {waiting} messages wait",
            hint="`hyperhive read --all`" if to == OPERATOR else f"wait until {to} has read some; `hyperhive inbox {to}`",
        )
