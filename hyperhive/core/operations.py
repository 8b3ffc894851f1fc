"""Operations: what is asked for, under way, or over, one row each."""

from collections.abc import Collection
from contextlib import suppress
from datetime import timedelta
from typing import Final

from hyperhive.core import doorbell
from hyperhive.core.db import next_number
from hyperhive.core.errors import Conflict, HyperhiveError, NotFound
from hyperhive.core.hive import Hive
from hyperhive.core.locks import is_held
from hyperhive.core.model import OPERATOR, AgentName, Operation, OperationState, Verb, parse_name
from hyperhive.core.tables import OperationRow

# Nobody took it for so long: it will not happen any more.
PENDING_MOST: Final = timedelta(minutes=10)
FOR_HARNESS: Final = tuple(verb for verb in Verb if verb.is_for_harness)
# What is asked of the harness that lives now, and of no later one.
OF_THIS_HARNESS: Final = (Verb.CANCEL, Verb.LEAVE)
# So many operations of one agent's asking may wait at a time, and so many may it ask for in an hour. The operator is no
# flood, and what the hive itself asks for must not be refused to whoever decides.
WAITING_MOST: Final = 20
HOURLY_MOST: Final = 300
HIVE: Final = "hive"
# How long a tool waits for the operation that it asked for: for one that proposes, and for any other, in seconds.
ANSWER_MOST: Final = 30.0
QUICK_MOST: Final = 5.0
# How much of an error is written down, in characters.
ERROR_MOST: Final = 2000


def ask(hive: Hive, name: AgentName, verb: Verb, *, by: str, argument: str | None = None) -> int:
    """Ask for something to be done to an agent: of its harness, or of `operate`. Within a write. Gives back the number.

    The same that waits already is not asked twice by the same one. Ring for it after the commit. Raises `Conflict` for
    one who has asked for too much already.
    """
    same = OperationRow.get_or_none(
        OperationRow.agent == name,
        OperationRow.verb == verb,
        OperationRow.state == OperationState.PENDING,
        # A harness is told its newest wish; what `operate` does is another thing with another argument, or for another.
        True
        if verb.is_for_harness
        else (OperationRow.asked_by == by)
        & (OperationRow.argument.is_null() if argument is None else OperationRow.argument == argument),
    )
    if same is None and not verb.is_for_harness and by not in (OPERATOR, HIVE):
        waiting = OperationRow.select().where(OperationRow.asked_by == by, OperationRow.state == OperationState.PENDING).count()
        if waiting >= WAITING_MOST:
            raise Conflict(f"{waiting} operations that {by} asked for wait already", hint="`hyperhive operations`")
        _check_pace(hive, by)
    if same is not None:
        OperationRow.update(argument=argument, asked_at=hive.now()).where(OperationRow.number == same.number).execute()
        return int(same.number)
    number = next_number()
    OperationRow.insert(
        number=number, agent=name, verb=verb, argument=argument, asked_by=by, state=OperationState.PENDING, asked_at=hive.now()
    ).execute()
    return number


def take(hive: Hive, name: AgentName, *verbs: Verb) -> list[tuple[int, Verb, str | None]]:
    """What an agent's harness is asked for, now running in it: number, verb, argument."""
    with hive.db.read():
        waiting = (
            OperationRow.select()
            .where(OperationRow.agent == name, OperationRow.verb.in_(verbs), OperationRow.state == OperationState.PENDING)
            .exists()
        )
    if not waiting:
        return []
    now = hive.now()
    with hive.db.write():
        OperationRow.update(state=OperationState.EXPIRED, error="nobody took it in time", ended_at=now).where(
            OperationRow.agent == name,
            # What others are to do waits for them, however long.
            OperationRow.verb.in_(FOR_HARNESS),
            OperationRow.state == OperationState.PENDING,
            OperationRow.asked_at < now - PENDING_MOST,
        ).execute()
        rows = list(
            OperationRow.select()
            .where(OperationRow.agent == name, OperationRow.verb.in_(verbs), OperationRow.state == OperationState.PENDING)
            .order_by(OperationRow.number)
        )
        OperationRow.update(state=OperationState.RUNNING, started_at=now).where(
            OperationRow.number.in_([row.number for row in rows])
        ).execute()
    return [(row.number, row.verb, row.argument) for row in rows]


def finish(hive: Hive, number: int, *, error: str | None = None) -> None:
    """The operation is over: done, or failed with a reason. Nothing happens to one that is over already."""
    state = OperationState.DONE if error is None else OperationState.FAILED
    with hive.db.write():
        OperationRow.update(state=state, error=error and error[:ERROR_MOST], ended_at=hive.now()).where(
            OperationRow.number == number, OperationRow.state == OperationState.RUNNING
        ).execute()
        # A purge takes its own row along.
        row = OperationRow.get_or_none(OperationRow.number == number)
    if row is not None:
        ring_asker(hive, row.asked_by)


def refuse(hive: Hive, number: int, *, error: str) -> None:
    """An operation that waits cannot even begin."""
    with hive.db.write():
        OperationRow.update(state=OperationState.FAILED, error=error[:ERROR_MOST], ended_at=hive.now()).where(
            OperationRow.number == number, OperationRow.state == OperationState.PENDING
        ).execute()
        # A purge may have taken it along.
        row = OperationRow.get_or_none(OperationRow.number == number)
    if row is not None:
        ring_asker(hive, row.asked_by)


def ring_asker(hive: Hive, asked_by: str) -> None:
    """Wake the call of an agent that waits for the end of what it asked for."""
    with suppress(HyperhiveError):
        doorbell.ring(hive.paths, parse_name(asked_by))


def remember(number: int, result: str) -> None:
    """Write down what an operation has brought. Within a write."""
    OperationRow.update(result=result).where(OperationRow.number == number).execute()


def waiting(hive: Hive) -> set[int]:
    """The numbers of all that waits for somebody to do it."""
    with hive.db.read():
        rows = OperationRow.select(OperationRow.number).where(
            OperationRow.state == OperationState.PENDING, OperationRow.verb.not_in(FOR_HARNESS)
        )
        return {row.number for row in rows}


def waits(hive: Hive, name: AgentName) -> bool:
    """Something waits for somebody to do it to this agent."""
    with hive.db.read():
        return (
            OperationRow.select()
            .where(
                OperationRow.agent == name, OperationRow.state == OperationState.PENDING, OperationRow.verb.not_in(FOR_HARNESS)
            )
            .exists()
        )


def is_overdue(hive: Hive, *, known: Collection[int] = ()) -> bool:
    """Something has waited for too long to be taken, none of which is `known` to somebody who will."""
    with hive.db.read():
        return bool(_overdue(hive, known))


def expire(hive: Hive, *, known: Collection[int] = ()) -> list[Operation]:
    """End what has waited for too long to be taken, but for what is `known`. Within a write. Gives back what was ended.

    What waits for something else that is done to its agent is no such thing: that may take as long as a turn, or a build.
    """
    ended = [operation_from(row) for row in _overdue(hive, known)]
    if ended:
        OperationRow.update(state=OperationState.EXPIRED, error="nobody took it in time", ended_at=hive.now()).where(
            OperationRow.number.in_([one.number for one in ended])
        ).execute()
    return ended


def ready(hive: Hive) -> list[Operation]:
    """What waits for somebody to do it and can be done now: for each agent its oldest, where nothing else is done to it."""
    with hive.db.read():
        waiting = list(
            OperationRow.select()
            .where(OperationRow.state == OperationState.PENDING, OperationRow.verb.not_in(FOR_HARNESS))
            .order_by(OperationRow.number)
        )
    first = {row.agent: row for row in reversed(waiting)}
    return [
        operation_from(row)
        for row in sorted(first.values(), key=lambda row: row.number)
        if not is_held(hive.paths.operation_lock(AgentName(row.agent)))
    ]


def listed(hive: Hive, *, everything: bool = False, by: str | None = None, limit: int = 50) -> list[Operation]:
    """What waits or is under way, oldest first; with `everything` also the newest that are over. `by` picks who asked."""
    with hive.db.read():
        query = OperationRow.select()
        if not everything:
            query = query.where(OperationRow.state.in_((OperationState.PENDING, OperationState.RUNNING)))
        if by is not None:
            query = query.where(OperationRow.asked_by == by)
        rows = list(query.order_by(OperationRow.number.desc()).limit(limit))[::-1]
    return [operation_from(row) for row in rows]


def drop(hive: Hive, name: AgentName, *, reason: str) -> None:
    """End what nobody will do any more to an agent that is gone, nor to the next of its name. Within a write."""
    OperationRow.update(state=OperationState.EXPIRED, error=reason, ended_at=hive.now()).where(
        OperationRow.agent == name,
        OperationRow.verb.in_(FOR_HARNESS) & (OperationRow.state == OperationState.RUNNING)
        | (OperationRow.verb != Verb.PUBLISH) & (OperationRow.state == OperationState.PENDING),
    ).execute()


def drop_of_earlier(hive: Hive, name: AgentName) -> None:
    """End what was asked of an agent's earlier harness. Within a write, by the one who holds the agent."""
    OperationRow.update(state=OperationState.FAILED, error="its harness ended before", ended_at=hive.now()).where(
        OperationRow.agent == name,
        (OperationRow.state == OperationState.RUNNING) & OperationRow.verb.in_(FOR_HARNESS)
        | (OperationRow.state == OperationState.PENDING) & OperationRow.verb.in_(OF_THIS_HARNESS),
    ).execute()


def get(hive: Hive, number: int) -> Operation:
    """One operation. Raises `NotFound`."""
    with hive.db.read():
        row = OperationRow.get_or_none(OperationRow.number == number)
    if row is None:
        raise NotFound(f"there is no operation {number}", hint="`hyperhive operations --all`")
    return operation_from(row)


def operation_from(row: OperationRow) -> Operation:
    """The value of a row."""
    return Operation(
        number=row.number,
        agent=row.agent,
        verb=row.verb,
        argument=row.argument,
        asked_by=row.asked_by,
        state=row.state,
        error=row.error,
        result=row.result,
        asked_at=row.asked_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )


def _check_pace(hive: Hive, by: str) -> None:
    """Refuse an agent that asks without end: each operation leaves rows, and each proposal tags. Within a write."""
    now = hive.now()
    # What was asked in the future was asked before the clock was set back.
    recent = (OperationRow.asked_by == by) & (OperationRow.asked_at > now - timedelta(hours=1)) & (OperationRow.asked_at <= now)
    asked = OperationRow.select().where(recent).count()
    if asked >= HOURLY_MOST:
        raise Conflict(f"{by} has asked for {asked} operations in an hour", hint="wait, and ask for fewer")


def _overdue(hive: Hive, known: Collection[int]) -> list[OperationRow]:
    old = OperationRow.select().where(
        OperationRow.state == OperationState.PENDING,
        OperationRow.asked_at < hive.now() - PENDING_MOST,
        OperationRow.verb.not_in(FOR_HARNESS),
    )
    return [row for row in old if row.number not in known and not is_held(hive.paths.operation_lock(AgentName(row.agent)))]
