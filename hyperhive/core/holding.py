"""Holding an agent while something is done to it, so that everybody sees what and since when, and nobody interferes."""

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from hyperhive.core import doorbell, operations
from hyperhive.core.agent_view import UnderWay
from hyperhive.core.db import next_number
from hyperhive.core.errors import Conflict, HyperhiveError
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock, end_holder, is_held
from hyperhive.core.model import AgentName, Operation, OperationState, Verb
from hyperhive.core.operations import FOR_HARNESS
from hyperhive.core.tables import OperationRow

# What needs the agent's harness gone while it runs.
NEEDS_NO_HARNESS: Final = (Verb.STOP, Verb.RESTART, Verb.KILL, Verb.DESTROY, Verb.PURGE)
# What makes an agent: until that is done its row is that of a destroyed one.
MAKES: Final = (Verb.START, Verb.DEPLOY)
# How long a process that was ended may take to give its lock back, in seconds.
TAKE_MOST: Final = 2.0
# What is said of one whose process is gone.
DIED: Final = "its process died"


class Busy(Conflict):
    """Something else is being done to the agent."""


@contextmanager
def under_way(
    hive: Hive, name: AgentName, verb: Verb, *, by: str, urgent: bool = False, number: int | None = None
) -> Iterator[int]:
    """Hold an agent while something is done to it, and let everybody see what and since when. Gives the operation's number.

    `number` is the row that asked for it, where one did. What is `urgent` ends one that only waits for a turn's end, a
    stop or a restart; what ends everything, a kill or a destroy, ends a build too. Raises `Busy` when something else is
    being done to the agent, which leaves that row waiting, and `Conflict` when the row does not wait any more. The lock
    ends with the process, so nothing stays under way for ever.
    """
    with Lock(hive.paths.operation_lock(name)) as lock:
        if not lock.take() and not (urgent and _ended(hive, name, lock, by=verb)):
            busy = running(hive).get(name)
            what = f"{name} is {busy.what} since {busy.since:%H:%M:%S} UTC" if busy else f"something is being done to {name}"
            raise Busy(what, hint=f"wait for it; `hyperhive show {name}`")
        now = hive.now()
        with hive.db.write():
            _bury(hive, name)
            if number is None:
                number = next_number()
                OperationRow.insert(
                    number=number, agent=name, verb=verb, asked_by=by, state=OperationState.RUNNING, asked_at=now, started_at=now
                ).execute()
            else:
                _begin(hive, number)
        try:
            yield number
        except BaseException as error:
            # What went wrong is told by the error itself; a row that stays behind is dead as soon as the lock is free.
            with suppress(HyperhiveError):
                why = error.whole if isinstance(error, HyperhiveError) else str(error)
                operations.finish(hive, number, error=why or type(error).__name__)
            raise
        operations.finish(hive, number)
    if operations.waits(hive, name):
        # What waited for this one.
        doorbell.ring_hive(hive.paths)


def _ended(hive: Hive, name: AgentName, lock: Lock, *, by: Verb) -> bool:
    """End the process that holds the agent, where `by` may end what it does, and take its place. Says whether that was so.

    Each of these may be ended at any instant: one that deploys leaves the old or the new.
    """
    busy = running(hive).get(name)
    builds = (Verb.DEPLOY, Verb.UPDATE) if by in (Verb.KILL, Verb.DESTROY) else ()
    if busy is None or busy.verb not in (Verb.STOP, Verb.RESTART, *builds):
        return False
    end_holder(hive.paths.operation_lock(name))
    deadline = time.monotonic() + TAKE_MOST
    while not lock.take():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def dead(hive: Hive) -> list[Operation]:
    """What is said to be under way, and has nobody any more who does it."""
    with hive.db.read():
        rows = list(
            OperationRow.select().where(OperationRow.state == OperationState.RUNNING, OperationRow.verb.not_in(FOR_HARNESS))
        )
    # Who does it takes the lock first, and gives it back last.
    return [operations.operation_from(row) for row in rows if not _is_alive(hive, row)]


def bury(hive: Hive, dead: Collection[Operation]) -> list[Operation]:
    """Those of these that are still said to be under way have failed. Within a write. Gives them back."""
    numbers = [one.number for one in dead]
    # One that ended well between two looks at it seemed dead to the second.
    still = OperationRow.select().where(OperationRow.number.in_(numbers), OperationRow.state == OperationState.RUNNING)
    buried = [operations.operation_from(row) for row in still]
    OperationRow.update(state=OperationState.FAILED, error=DIED, ended_at=hive.now()).where(
        OperationRow.number.in_([one.number for one in buried])
    ).execute()
    return buried


def running(hive: Hive) -> dict[str, UnderWay]:
    """What is being done to which agent. Running with a free lock is dead, and not shown."""
    # What holds the agent says more than what its harness was told meanwhile, such as to leave.
    rows = sorted(_living(hive), key=lambda row: not row.verb.is_for_harness)
    return {row.agent: UnderWay(verb=row.verb, what=row.verb.under_way, since=row.started_at or row.asked_at) for row in rows}


def without_harness(hive: Hive) -> set[str]:
    """The agents to which something is being done that needs their harness gone."""
    return {row.agent for row in _living(hive) if row.verb in NEEDS_NO_HARNESS}


def _begin(hive: Hive, number: int) -> None:
    changed = (
        OperationRow.update(state=OperationState.RUNNING, started_at=hive.now())
        .where(OperationRow.number == number, OperationRow.state == OperationState.PENDING)
        .execute()
    )
    if not changed:
        row = OperationRow.get_or_none(OperationRow.number == number)
        raise Conflict(f"operation {number} is {row.state if row else 'gone'}", hint="`hyperhive operations --all`")


def _bury(hive: Hive, name: AgentName) -> None:
    """Whoever wrote these rows died: it held the lock that this process holds now. Within a write."""
    OperationRow.update(state=OperationState.FAILED, error=DIED, ended_at=hive.now()).where(
        OperationRow.agent == name, OperationRow.state == OperationState.RUNNING, OperationRow.verb.not_in(FOR_HARNESS)
    ).execute()


def _living(hive: Hive) -> list[OperationRow]:
    with hive.db.read():
        rows = list(OperationRow.select().where(OperationRow.state == OperationState.RUNNING).order_by(OperationRow.number))
    return [row for row in rows if _is_alive(hive, row)]


def _is_alive(hive: Hive, row: OperationRow) -> bool:
    name = AgentName(row.agent)
    return is_held(hive.paths.harness_lock(name) if row.verb.is_for_harness else hive.paths.operation_lock(name))
