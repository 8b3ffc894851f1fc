"""One operation carried out: whatever a row asks for, by whoever takes it."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import Final

from hyperhive.core import agents, deploying, deployments, doorbell, notices, operations, process, proposals, publishing
from hyperhive.core.builds import config_of
from hyperhive.core.errors import Conflict, HyperhiveError
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, Occasion, Operation, OperationState, Verb
from hyperhive.core.operations import Busy
from hyperhive.core.tables import AgentRow

# How much longer than a turn one may wait for its end, in seconds.
_BEYOND_TURN: Final = 30.0
# What the one who asked waits for itself, and so long; nobody waits for the end of a turn.
_WAITED: Final = {
    Verb.PROPOSE: operations.ANSWER_MOST,
    Verb.START: operations.QUICK_MOST,
    Verb.UPDATE: operations.QUICK_MOST,
}


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
    return operations.get(hive, number)


def run_apart(hive: Hive, number: int, *, say: Callable[[str], None] = deploying.quiet) -> Operation:
    """The same as a process of its own, which ends in order when it is told to, or when whoever started it is gone."""
    process.follow_parent()
    for one in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, _interrupt)
    return run(hive, number, say=say)


def _interrupt(number: int, _: FrameType | None) -> None:
    raise KeyboardInterrupt(f"it was ended by {signal.Signals(number).name}")


def _carry_out(hive: Hive, asked: Operation, say: Callable[[str], None]) -> None:
    name, by, number = AgentName(asked.agent), asked.asked_by, asked.number
    match asked.verb:
        case Verb.START:
            agents.start(hive, name, by=by, number=number)
        case Verb.STOP:
            agents.stop(hive, name, by=by, number=number, timeout=_turn_limit(hive, name))
        case Verb.RESTART:
            agents.restart(hive, name, by=by, number=number)
        case Verb.UPDATE:
            deploying.update(hive, name, by=by, operation=number, say=say)
        case Verb.DEPLOY:
            deployment = deployments.get(hive, int(asked.argument or 0))
            if deployment.occasion is Occasion.SPAWN:
                agents.spawn_asked(hive, deployment.number, operation=number, say=say)
            else:
                deploying.run(hive, deployment.number, operation=number, say=say)
        case Verb.PROPOSE:
            proposals.run(hive, number)
        case Verb.PUBLISH:
            with operations.under_way(hive, name, Verb.PUBLISH, by=by, number=number):
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
