"""How a deployment is carried out: what was there stays until one transaction puts the new in its place."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

from hyperhive.core import (
    applied,
    bases,
    box,
    building,
    builds,
    deployments,
    doorbell,
    folders,
    holding,
    notices,
    observations,
    operations,
    publishing,
    roster,
    turns,
)
from hyperhive.core.building import BuildFailed
from hyperhive.core.db import next_number
from hyperhive.core.deployments import Deployment
from hyperhive.core.errors import Conflict, HyperhiveError, NotFound
from hyperhive.core.hive import Hive
from hyperhive.core.identity import identity
from hyperhive.core.model import OPERATOR, AgentName, DeploymentOutcome, Occasion, Verb, Wanted
from hyperhive.core.runtimes import runtime_named
from hyperhive.core.tables import AgentRow, DeploymentRow, EntryRow


def quiet(_: str) -> None:
    """Where nobody watches a build."""


def run(hive: Hive, number: int, *, operation: int, say: Callable[[str], None] = quiet) -> Deployment:
    """Carry out a deployment that was queued for an agent, as the operation `operation`; lines of its build go to `say`.

    What was there stays when it fails: then this raises why, and the proposer is told. Raises `Busy` while something else
    is done to the agent.
    """
    asked = deployments.get(hive, number)
    name = AgentName(asked.agent)
    with holding.under_way(hive, name, Verb.DEPLOY, by=asked.approved_by or OPERATOR, number=operation):
        with failing(hive, number):
            publishing.settle(hive, name, current=number)
            with hive.db.read():
                agent = roster.living(name)
                _check_onto(DeploymentRow.get(DeploymentRow.number == number), agent)
            carry_out(hive, agent, number, say=say)
        publishing.follow(hive, name)
        _move_in(hive, name)
    return deployments.get(hive, number)


def update(
    hive: Hive, name: AgentName, *, by: str, operation: int | None = None, say: Callable[[str], None] = quiet
) -> Deployment | None:
    """Deploy what an agent has once more where its base is out of date, or its build gone; None when there is nothing to do.

    Raises as `run` does.
    """
    if operation is None and _is_up_to_date(hive, name):
        return None
    with holding.under_way(hive, name, Verb.UPDATE, by=by, number=operation) as held:
        publishing.settle(hive, name)
        with hive.db.read():
            agent = roster.living(name)
        if agent.base == bases.base_of(hive, agent.runtime) and builds.is_there(hive, name, agent.deployed):
            return None
        with hive.db.write():
            commit = deployments.applied_commit(agent)
            number = next_number()
            DeploymentRow.insert(
                number=number, agent=name, occasion=Occasion.UPDATE, commit=commit, onto=commit, approved_by=by,
                started_at=hive.now(),
            ).execute()  # fmt: skip
            # Whoever follows the build finds its lines by that.
            operations.remember(held, str(number))
        with failing(hive, number):
            carry_out(hive, agent, number, say=say)
        publishing.follow(hive, name)
        _move_in(hive, name)
    return deployments.get(hive, number)


def _move_in(hive: Hive, name: AgentName) -> None:
    """Have the container as it was deployed, unless the agent is stopped, or at work: then it changes when it begins anew."""
    with hive.db.read():
        wanted = roster.living(name).wanted
    if wanted is Wanted.STARTED:
        box.bring_up(hive, name)


def again(hive: Hive, number: int, *, by: str) -> tuple[int, int]:
    """Queue the commit of an earlier deployment of an agent once more. Gives back the new deployment and its operation.

    Raises `NotFound`, and `Conflict` for one that did not fail, that nobody asked for, or that was decided over another commit.
    """
    earlier = deployments.get(hive, number)
    name = AgentName(earlier.agent)
    with hive.db.write():
        agent = AgentRow.get_or_none(AgentRow.name == name)
        onto = None if agent is None or agent.wanted is Wanted.DESTROYED else deployments.applied_commit(agent)
        if earlier.outcome is None:
            raise Conflict(f"deployment {number} has not ended yet", hint=f"`hyperhive show {number}`")
        if earlier.commit is None or earlier.outcome is DeploymentOutcome.DEPLOYED:
            raise Conflict(f"deployment {number} did not fail", hint=f"`hyperhive rollback {name} {number}` goes back to it")
        if earlier.occasion is Occasion.SPAWN and earlier.approval is None:
            # Only whoever typed it knows what else was asked for.
            raise Conflict(f"deployment {number} was no proposal", hint=f"`hyperhive spawn {name}`")
        if earlier.onto != onto:
            raise _moved(number, earlier.onto, onto)
        again = next_number()
        operation = deployments.queue(
            hive,
            name,
            number=again,
            occasion=earlier.occasion,
            commit=earlier.commit,
            onto=onto,
            approval=earlier.approval,
            by=by,
        )
    return again, operation


def earlier(hive: Hive, name: AgentName, number: int | None = None) -> Deployment:
    """What an agent would go back to: that deployment, else the one before the one that is applied now.

    Raises `NotFound`, and `Conflict` when there is nothing to go back to, or the agent runs on the same files.
    """
    with hive.db.read():
        agent = roster.living(name)
        now = deployments.applied_commit(agent)
    if now is None:
        raise Conflict(f"{name} has no earlier deployment", hint=f"`hyperhive history {name}`")
    return _target(hive, name, number, now, agent.deployed)


def roll_back(hive: Hive, name: AgentName, *, to: int | None = None, over: str | None = None, by: str) -> tuple[int, int]:
    """Queue a new commit with the files of an earlier deployment: `to`, else the one before the one that is applied now.

    Gives back the new deployment and its operation. `over` is the commit that was applied when it was decided, where that
    matters. Raises `NotFound`, and `Conflict` when there is nothing to go back to, or another commit is applied.
    """
    with holding.under_way(hive, name, Verb.PROPOSE, by=by):
        publishing.settle(hive, name)
        with hive.db.read():
            agent = roster.living(name)
            now = deployments.applied_commit(agent)
        if over not in (None, now):
            raise Conflict(
                f"{(now or 'nothing')[:12]} is applied now, no longer {(over or '')[:12]}", hint=f"`hyperhive history {name}`"
            )
        target = earlier(hive, name, to)
        assert now is not None
        assert target.commit is not None
        commit = applied.rewrite(
            hive, name, target.commit, parent=now, message=f"Go back to deployment {target.number}", author=by, at=hive.now()
        )
        with hive.db.write():
            number = next_number()
            operation = deployments.queue(
                hive, name, number=number, occasion=Occasion.ROLLBACK, commit=commit, onto=now, approval=None, by=by
            )
    return number, operation


@contextmanager
def failing(hive: Hive, number: int) -> Iterator[None]:
    """Store that a deployment failed when the block does, and tell who proposed it."""
    try:
        yield
    except BaseException as error:
        # A row that cannot be written now is failed by whoever comes next: its operation is dead.
        with suppress(HyperhiveError):
            end = error.end if isinstance(error, BuildFailed) else ""
            deployments.fail(hive, number, why=str(error) or type(error).__name__, end=end)
            publishing.follow(hive, AgentName(deployments.get(hive, number).agent))
        raise


def carry_out(
    hive: Hive, agent: AgentRow, number: int, *, say: Callable[[str], None] = quiet, changes: Mapping[str, Any] | None = None
) -> None:
    """Build what a deployment says, then make it so in one transaction: the commit point. By the one who holds the agent.

    `changes` are further columns of the agent's row that change with it.
    """
    name = AgentName(agent.name)
    commit = deployments.get(hive, number).commit
    assert commit is not None
    runtime = runtime_named(agent.runtime)
    uid, gid = identity(agent.uid, agent.user)
    folders.prepare(hive, name, uid=uid, gid=gid)
    publishing.publish(hive, name, built_now=number)
    building.build(hive, name, number, commit, runtime=runtime, uid=uid, gid=gid, say=say)
    base = bases.base_of(hive, runtime.name)
    subject = applied.commit_of(hive, name, commit).subject
    with hive.db.write():
        told = _make_so(hive, number, base=base, subject=subject, changes=changes or {})
    for who in told:
        doorbell.ring(hive.paths, who)
    doorbell.ring(hive.paths, name)


def _is_up_to_date(hive: Hive, name: AgentName) -> bool:
    """By one look, without asking any program. Raises `NotFound` for one that does not live."""
    with hive.db.read():
        roster.living(name)
    return roster.get(hive, name).up_to_date


def _target(hive: Hive, name: AgentName, to: int | None, now: str, deployed: int | None) -> Deployment:
    """The deployment that a rollback goes back to."""
    done = [
        one for one in deployments.history(hive, name, limit=1000) if one.outcome is DeploymentOutcome.DEPLOYED and one.commit
    ]
    if to is not None:
        found = next((one for one in done if one.number == to), None)
        if found is None:
            raise NotFound(f"{name} never ran on a deployment {to}", hint=f"`hyperhive history {name}`")
    else:
        found = next((one for one in reversed(done) if one.number < (deployed or 0) and one.commit != now), None)
        if found is None:
            raise Conflict(f"{name} has no earlier deployment", hint=f"`hyperhive history {name}`")
    tree = applied.commit_of(hive, name, found.commit or "").tree
    if tree == applied.commit_of(hive, name, now).tree:
        raise Conflict(f"{name} runs on the files of deployment {found.number} already", hint=f"`hyperhive history {name}`")
    return found


def _check_onto(row: DeploymentRow, agent: AgentRow) -> None:
    """Refuse to put a deployment over another commit than the one that it was decided over. Within a read or write."""
    applied_now = deployments.applied_commit(agent)
    if row.occasion is not Occasion.SPAWN and row.onto != applied_now:
        raise _moved(row.number, row.onto, applied_now)


def _moved(number: int, onto: str | None, now: str | None) -> Conflict:
    was, is_now = (onto or "nothing")[:12], (now or "nothing")[:12]
    return Conflict(
        f"deployment {number} was decided over {was}, and {is_now} is applied now", hint="propose it again on top of that"
    )


def _make_so(hive: Hive, number: int, *, base: str, subject: str, changes: Mapping[str, Any]) -> list[AgentName]:
    """The commit point. Within a write. Gives back whom to ring for."""
    now = hive.now()
    changed = (
        DeploymentRow.update(outcome=DeploymentOutcome.DEPLOYED, base=base, ended_at=now)
        .where(DeploymentRow.number == number, DeploymentRow.outcome.is_null())
        .execute()
    )
    if not changed:
        raise Conflict(f"deployment {number} has ended already", hint="`hyperhive history NAME`")
    row = DeploymentRow.get(DeploymentRow.number == number)
    by = row.approved_by or OPERATOR
    agent = AgentRow.get(AgentRow.name == row.agent)
    _check_onto(row, agent)
    AgentRow.update(deployed=number, base=base, warnings="", **changes).where(AgentRow.name == row.agent).execute()
    EntryRow.create(
        agent=row.agent, occasion=row.occasion, deployment=number, commit=row.commit, base=base, by=by, subject=subject, at=now
    )
    if row.occasion is Occasion.SPAWN:
        others = [name for name in notices.managers() if name != row.agent]
        observations.begin(hive, AgentName(row.agent), epoch=agent.epoch)
        return notices.notify(hive, others, f"spawned: the agent {row.agent} is there.")
    turns.add_news(AgentName(row.agent), f"You were given deployment {number}: {_NEWS[row.occasion]}.")
    if row.occasion is Occasion.UPDATE:
        return []
    body = (
        f"deployed: {row.agent} runs deployment {number} (commit {row.commit}), approved by {by}. Before you change it again: "
        f"git -C /config/{row.agent} fetch applied, then rebase on applied/main."
    )
    return notices.notify(hive, notices.managers(), body)


_NEWS: Final = {
    Occasion.DEPLOY: "your configuration was changed",
    Occasion.ROLLBACK: "your configuration went back to an earlier one",
    Occasion.UPDATE: "what you stand on was renewed",
}
