"""What somebody wants done to an agent, asked for as an operation that the hub carries out."""

import msgspec

from hyperhive.core import approvals, custody, deployments, doorbell, operations, roster, tombstones, turns
from hyperhive.core.approvals import Approval
from hyperhive.core.deployments import Deployment
from hyperhive.core.errors import Denied
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, AgentName, ApprovalKind, Operation, Verb


class Asked(msgspec.Struct, frozen=True):
    """Something that the operator was asked for, and what was deployed of it."""

    approval: Approval
    deployment: Deployment | None


def start(hive: Hive, name: AgentName, *, by: str) -> int:
    """Ask for an agent to be started, also one that is held back. Gives back the operation's number.

    `by` is the operator or a manager. Raises `NotFound`, `Denied`, and `Conflict` when too much was asked for already.
    """
    return _ask(hive, name, Verb.START, by=by)


def stop(hive: Hive, name: AgentName, *, by: str) -> int:
    """Ask for an agent to be stopped when its turn ends. Gives back and raises as `start`."""
    return _ask(hive, name, Verb.STOP, by=by)


def restart(hive: Hive, name: AgentName, *, by: str) -> int:
    """Ask for an agent's harness to be started anew when its turn ends. Gives back and raises as `start`."""
    return _ask(hive, name, Verb.RESTART, by=by)


def update(hive: Hive, name: AgentName, *, by: str) -> int | None:
    """Ask for an agent to be built anew where its base is out of date; None where there is nothing to do.

    Gives back and raises as `start` otherwise.
    """
    with hive.db.read():
        _check(by)
        roster.living(name)
    if roster.get(hive, name).up_to_date:
        return None
    return _ask(hive, name, Verb.UPDATE, by=by)


def destroy(hive: Hive, name: AgentName, *, by: str) -> int:
    """Ask for an agent to be taken away, and its state to be kept. Gives back and raises as `start`.

    Only the operator may: raises `Denied` for anybody else.
    """
    if by != OPERATOR:
        raise Denied("only the operator destroys agents", hint="ask the operator")
    return _ask(hive, name, Verb.DESTROY, by=by)


def purge(hive: Hive, name: AgentName, *, by: str) -> int:
    """Ask for all that is kept of a destroyed agent to be removed. Gives back the operation's number.

    Only the operator may: raises `Denied` for anybody else, `NotFound`, and `Conflict` for an agent that lives.
    """
    if by != OPERATOR:
        raise Denied("only the operator purges what is kept", hint="ask the operator")
    with hive.db.write():
        tombstones.check(name)
        number = operations.ask(hive, name, Verb.PURGE, by=by)
    doorbell.ring_hive(hive.paths)
    return number


def waits_for_turn(hive: Hive, number: int) -> bool:
    """What was asked for by this operation happens only when a turn that runs has ended."""
    asked = operations.get(hive, number)
    name = AgentName(asked.agent)
    return asked.verb.waits_for_turn and turns.current(hive, name) is not None and not custody.has_left(hive, name)


def asked(hive: Hive, by: AgentName, *, limit: int) -> list[Asked]:
    """The newest configurations and agents that a manager asked for, the newest first, and what became of them."""
    found = approvals.listed(hive, everything=True, asker=by, kinds=(ApprovalKind.CONFIG, ApprovalKind.SPAWN), limit=limit)
    done = deployments.of(hive, [one.number for one in found])
    return [Asked(one, done.get(one.number)) for one in reversed(found)]


def coming(hive: Hive, by: AgentName) -> list[Operation]:
    """What a manager asked for that has not come before the operator yet, oldest first."""
    return [one for one in operations.listed(hive, by=by) if one.verb is Verb.PROPOSE]


def _ask(hive: Hive, name: AgentName, verb: Verb, *, by: str) -> int:
    with hive.db.write():
        _check(by)
        roster.living(name)
        number = operations.ask(hive, name, verb, by=by)
    doorbell.ring_hive(hive.paths)
    return number


def _check(by: str) -> None:
    """Refuse whoever is neither the operator nor a manager. Within a read or write."""
    if by != OPERATOR:
        roster.manager(AgentName(by))
