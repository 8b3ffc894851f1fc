"""Operations: what is asked for, under way, or over, one row each."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Final

from hyperhive.core.db import next_number
from hyperhive.core.errors import Conflict, HyperhiveError, NotFound
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock, end_holder, is_held
from hyperhive.core.model import AgentName, Operation, OperationState, UnderWay, Verb
from hyperhive.core.tables import OperationRow

# Nobody took it for so long: it will not happen any more.
PENDING_MOST: Final = timedelta(minutes=10)
# What needs the agent's harness gone while it runs.
NEEDS_NO_HARNESS: Final = (Verb.STOP, Verb.RESTART, Verb.KILL, Verb.DESTROY, Verb.PURGE)
# What is asked of the harness that lives now, and of no later one.
OF_THIS_HARNESS: Final = (Verb.CANCEL, Verb.LEAVE)
# How long a process that was ended may take to give its lock back, in seconds.
TAKE_MOST: Final = 2.0


@contextmanager
def under_way(hive: Hive, name: AgentName, verb: Verb, *, by: str, urgent: bool = False) -> Iterator[None]:
    """Hold an agent while something is done to it, and let everybody see what and since when.

    What is `urgent` ends one that only waits for a turn's end, a stop or a restart. Raises `Conflict` when something else
    is being done to it. The lock ends with the process, so nothing stays under
    way for ever.
    """
    with Lock(hive.paths.operation_lock(name)) as lock:
        if not lock.take() and not (urgent and _ended_waiting(hive, name, lock)):
            busy = running(hive).get(name)
            what = f"{name} is {busy.what} since {busy.since:%H:%M:%S} UTC" if busy else f"something is being done to {name}"
            raise Conflict(what, hint=f"wait for it; `hyperhive show {name}`")
        now = hive.now()
        with hive.db.write():
            # Whoever wrote these rows died: it held the lock that this process holds now.
            OperationRow.update(state=OperationState.FAILED, error="its process died", ended_at=now).where(
                OperationRow.agent == name,
                OperationRow.state == OperationState.RUNNING,
                OperationRow.verb.not_in([one for one in Verb if one.is_for_harness]),
            ).execute()
            number = next_number()
            OperationRow.insert(
                number=number, agent=name, verb=verb, asked_by=by, state=OperationState.RUNNING, asked_at=now, started_at=now
            ).execute()
        try:
            yield
        except BaseException as error:
            # What went wrong is told by the error itself; a row that stays behind is dead as soon as the lock is free.
            with suppress(HyperhiveError):
                finish(hive, number, error=str(error) or type(error).__name__)
            raise
        finish(hive, number)


def _ended_waiting(hive: Hive, name: AgentName, lock: Lock) -> bool:
    """End the process that waits for the end of the agent's turn, and take its place. Says whether there was one."""
    busy = running(hive).get(name)
    if busy is None or busy.verb not in (Verb.STOP, Verb.RESTART):
        return False
    end_holder(hive.paths.operation_lock(name))
    deadline = time.monotonic() + TAKE_MOST
    while not lock.take():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def ask(hive: Hive, name: AgentName, verb: Verb, *, by: str, argument: str | None = None) -> int:
    """Ask an agent's harness for something, within a write. Gives back the operation's number.

    The same wish that waits already is not asked twice.
    """
    same = OperationRow.get_or_none(
        OperationRow.agent == name,
        OperationRow.verb == verb,
        OperationRow.state == OperationState.PENDING,
    )
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
            OperationRow.agent == name, OperationRow.state == OperationState.PENDING, OperationRow.asked_at < now - PENDING_MOST
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
        OperationRow.update(state=state, error=error and error[:2000], ended_at=hive.now()).where(
            OperationRow.number == number, OperationRow.state == OperationState.RUNNING
        ).execute()


def drop(hive: Hive, name: AgentName, *, reason: str) -> None:
    """End the wishes that nobody will fulfil any more. Within a write."""
    OperationRow.update(state=OperationState.EXPIRED, error=reason, ended_at=hive.now()).where(
        OperationRow.agent == name,
        OperationRow.state.in_((OperationState.PENDING, OperationState.RUNNING)),
        OperationRow.verb.in_([verb for verb in Verb if verb.is_for_harness]),
    ).execute()


def drop_of_earlier(hive: Hive, name: AgentName) -> None:
    """End what was asked of an agent's earlier harness. Within a write, by the one who holds the agent."""
    OperationRow.update(state=OperationState.FAILED, error="its harness ended before", ended_at=hive.now()).where(
        OperationRow.agent == name,
        (OperationRow.state == OperationState.RUNNING) & OperationRow.verb.in_([verb for verb in Verb if verb.is_for_harness])
        | (OperationRow.state == OperationState.PENDING) & OperationRow.verb.in_(OF_THIS_HARNESS),
    ).execute()


def get(hive: Hive, number: int) -> Operation:
    """One operation. Raises `NotFound`."""
    with hive.db.read():
        row = OperationRow.get_or_none(OperationRow.number == number)
    if row is None:
        raise NotFound(f"there is no operation {number}")
    return Operation(
        number=row.number,
        agent=row.agent,
        verb=row.verb,
        asked_by=row.asked_by,
        state=row.state,
        error=row.error,
        asked_at=row.asked_at,
        ended_at=row.ended_at,
    )


def running(hive: Hive) -> dict[str, UnderWay]:
    """What is being done to which agent. Running with a free lock is dead, and not shown."""
    return {
        row.agent: UnderWay(verb=row.verb, what=row.verb.under_way, since=row.started_at or row.asked_at) for row in _living(hive)
    }


def without_harness(hive: Hive) -> set[str]:
    """The agents to which something is being done that needs their harness gone."""
    return {row.agent for row in _living(hive) if row.verb in NEEDS_NO_HARNESS}


def _living(hive: Hive) -> list[OperationRow]:
    with hive.db.read():
        rows = list(OperationRow.select().where(OperationRow.state == OperationState.RUNNING).order_by(OperationRow.number))
    return [row for row in rows if _is_alive(hive, row)]


def _is_alive(hive: Hive, row: OperationRow) -> bool:
    name = AgentName(row.agent)
    return is_held(hive.paths.harness_lock(name) if row.verb.is_for_harness else hive.paths.operation_lock(name))
