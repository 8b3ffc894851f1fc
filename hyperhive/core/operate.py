"""One operation carried out: whatever a row asks for, by whoever takes it."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

import msgspec

from hyperhive.core import (
    agents,
    build_lines,
    containers,
    deploying,
    deployments,
    doorbell,
    follow,
    holding,
    notices,
    operations,
    process,
    proposals,
    publishing,
    restarts,
    spawning,
)
from hyperhive.core.builds import config_of
from hyperhive.core.errors import CommandFailed, Conflict, HyperhiveError
from hyperhive.core.hive import Hive
from hyperhive.core.holding import Busy
from hyperhive.core.locks import is_held
from hyperhive.core.model import OPERATOR, AgentName, Occasion, Operation, OperationState, Verb
from hyperhive.core.tables import AgentRow

# How much longer than a turn one may wait for its end, in seconds.
_BEYOND_TURN: Final = 30.0
# What the one who asked waits for itself, and so long; nobody waits for the end of a turn.
_WAITED: Final = {
    Verb.PROPOSE: operations.ANSWER_MOST,
    Verb.START: operations.QUICK_MOST,
    Verb.UPDATE: operations.QUICK_MOST,
}
_ENDS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ALL: Final = 1000


class NotDone(HyperhiveError):
    """What another process was to do did not come about."""

    exit_code = CommandFailed.exit_code
    http_status = CommandFailed.http_status


def run(hive: Hive, number: int, *, say: Callable[[str], None] = deploying.quiet) -> Operation:
    """Carry out an operation that waits; what is built says so to `say`. Gives back how it ended.

    Raises what went wrong, which is written down too; `Busy` while something else is done to the agent, which leaves it
    waiting; `Conflict` when it does not wait any more.
    """
    asked = operations.get(hive, number)
    if asked.state is not OperationState.PENDING:
        raise Conflict(f"operation {number} is {asked.state} already", hint="`hyperhive operations --all`")
    try:
        _carry_out(hive, asked, say)
    except Busy:
        raise
    except HyperhiveError as error:
        operations.refuse(hive, number, error=error.whole)
        _tell(hive, asked, error)
        raise
    if asked.verb is Verb.PURGE:
        # It took its own row along.
        return msgspec.structs.replace(asked, state=OperationState.DONE, ended_at=hive.now())
    return operations.get(hive, number)


def run_apart(hive: Hive, number: int, *, say: Callable[[str], None] = deploying.quiet) -> Operation:
    """The same as a process of its own, which ends in order when it is told to, or when whoever started it is gone."""
    process.follow_parent()
    for one in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, _interrupt)
    return run(hive, number, say=say)


def see_through(hive: Hive, number: int, *, say: Callable[[str], None] = deploying.quiet) -> Operation:
    """Carry out an operation, or watch it where another process does. Gives back how it ended.

    Waits while something else is done to the agent, and says so. Raises what went wrong, `NotDone` with what another
    process says of it, and `KeyboardInterrupt` when this process is told to end: what it does itself has failed then.
    """
    log = _Log(hive, operations.get(hive, number), say)
    waits_for = ""
    for _ in follow.looks(hive):
        one = operations.get(hive, number)
        if one.state is OperationState.PENDING:
            try:
                with interruptible():
                    return run(hive, number, say=say)
            except Busy as error:
                if error.message != waits_for:
                    waits_for = error.message
                    say(f"… {waits_for}")
                continue
            except Conflict as error:
                one = operations.get(hive, number)
                # Else another process was faster.
                if (one.error or "").startswith(error.message[: operations.ERROR_MOST]):
                    raise
        log.look()
        if one.state is OperationState.DONE:
            return one
        if one.state is OperationState.RUNNING and _lives(hive, one):
            continue
        # What the row says counts, if it was written before the lock was free.
        one = operations.get(hive, number)
        if one.state is not OperationState.DONE:
            raise NotDone(one.error or "its process died", hint=f"`hyperhive show {number}`")
        return one
    raise AssertionError("whoever watches looks without an end")


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and SIGHUP end what is done here in order, with a word about why."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # What is ignored (nohup(1)) stays so.
    kept = {one: handler for one in _ENDS if (handler := signal.getsignal(one)) not in (None, signal.SIG_IGN)}
    try:
        for one in kept:
            signal.signal(one, _interrupt)
        yield
    finally:
        for one, handler in kept.items():
            signal.signal(one, handler)


def publish(hive: Hive, name: AgentName) -> None:
    """Do now what waits to be published of an agent; where that cannot be, whoever comes next does it."""
    for one in operations.listed(hive, limit=_ALL):
        if (one.agent, one.verb, one.state) == (name, Verb.PUBLISH, OperationState.PENDING):
            with suppress(HyperhiveError):
                run(hive, one.number)


class _Log:
    """The lines of a build that another process writes."""

    def __init__(self, hive: Hive, asked: Operation, say: Callable[[str], None]) -> None:
        self._hive = hive
        self._asked = asked
        self._say = say
        self._at = 0

    def look(self) -> None:
        """Say the lines that have come."""
        number = self._asked.deployment
        while number is not None:
            came = build_lines.read(self._hive, AgentName(self._asked.agent), number, at=self._at)
            if came.at == self._at:
                break
            self._at = came.at
            for line in came.lines:
                self._say(line)


def _lives(hive: Hive, one: Operation) -> bool:
    name = AgentName(one.agent)
    return is_held(hive.paths.harness_lock(name) if one.verb.is_for_harness else hive.paths.operation_lock(name))


def _interrupt(number: int, _: FrameType | None) -> None:
    raise KeyboardInterrupt(f"it was ended by {signal.Signals(number).name}")


def _carry_out(hive: Hive, asked: Operation, say: Callable[[str], None]) -> None:
    name, by, number = AgentName(asked.agent), asked.asked_by, asked.number
    match asked.verb:
        case Verb.START if asked.argument in (containers.COME_BACK, restarts.CRASHED):
            agents.come_back(hive, name, by=by, number=number)
        case Verb.START:
            agents.start(hive, name, by=by, number=number)
        case Verb.STOP:
            agents.stop(hive, name, by=by, number=number, timeout=_turn_limit(hive, name))
        case Verb.RESTART:
            agents.restart(hive, name, by=by, number=number)
        case Verb.DESTROY if by == OPERATOR:
            agents.destroy(hive, name, by=by, number=number)
        case Verb.PURGE if by == OPERATOR:
            agents.purge(hive, name, by=by, number=number)
        case Verb.UPDATE:
            deploying.update(hive, name, by=by, operation=number, say=say)
        case Verb.DEPLOY:
            deployment = deployments.get(hive, int(asked.argument or 0))
            if deployment.occasion is Occasion.SPAWN:
                spawning.spawn_asked(hive, deployment.number, operation=number, say=say)
            else:
                deploying.run(hive, deployment.number, operation=number, say=say)
        case Verb.PROPOSE:
            proposals.run(hive, number)
        case Verb.PUBLISH:
            with holding.under_way(hive, name, Verb.PUBLISH, by=by, number=number):
                publishing.settle(hive, name)
                publishing.publish(hive, name)
        case _:
            raise Conflict(f"nobody carries out a {asked.verb} for somebody else", hint=f"hyperhive {asked.verb} {name}")


def _turn_limit(hive: Hive, name: AgentName) -> float:
    """How long a turn of the agent may take, and some more, in seconds."""
    with hive.db.read():
        row = AgentRow.get_or_none(AgentRow.name == name)
    return config_of(hive, name, row.deployed if row else None)[0].limits.turn_minutes * 60 + _BEYOND_TURN


def _tell(hive: Hive, asked: Operation, error: HyperhiveError) -> None:
    """Tell an agent that what it asked for did not happen, where it does not wait for the answer."""
    if (hive.now() - asked.asked_at).total_seconds() <= _WAITED.get(asked.verb, -1.0):
        return
    with hive.db.write():
        told = notices.tell_not_done(hive, asked, error.whole)
    for who in told:
        doorbell.ring(hive.paths, who)
