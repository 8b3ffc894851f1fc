"""Deployments: which commits an agent was given, or is to be given, one row each."""

import os
from collections.abc import Collection
from datetime import datetime
from typing import Final

import msgspec

from hyperhive.core import doorbell, notices, operations
from hyperhive.core.db import next_number
from hyperhive.core.errors import NotFound
from hyperhive.core.hive import Hive
from hyperhive.core.locks import is_held
from hyperhive.core.messages import NUMBER_MOST, no_such_agent
from hyperhive.core.model import AgentName, DeploymentOutcome, Occasion, OperationState, Verb
from hyperhive.core.tables import AgentRow, ApprovalRow, DeploymentRow, OperationRow

ERROR_MOST: Final = 4000
DIED: Final = "whoever carried it out died, or nobody came to do it"


class Deployment(msgspec.Struct, frozen=True):
    """One configuration that an agent was given, or was to be given. Without an outcome it waits or is under way.

    `onto` is the commit that was applied when it was decided: over another one it is not deployed.
    """

    number: int
    agent: str
    occasion: Occasion
    approval: int | None
    commit: str | None
    onto: str | None
    base: str | None
    approved_by: str | None
    outcome: DeploymentOutcome | None
    error: str | None
    started_at: datetime
    ended_at: datetime | None


def queue(
    hive: Hive,
    name: AgentName,
    *,
    number: int | None = None,
    occasion: Occasion,
    commit: str,
    onto: str | None,
    approval: int | None,
    by: str,
) -> int:
    """Write down that a commit is to be deployed. Within a write. Gives back the operation that does it.

    `number` is the approval's, which is the deployment's too; None takes the next. Ring the hive, or run the operation.
    """
    number = next_number() if number is None else number
    DeploymentRow.insert(
        number=number, agent=name, occasion=occasion, approval=approval, commit=commit, onto=onto, approved_by=by,
        started_at=hive.now(),
    ).execute()  # fmt: skip
    return operations.ask(hive, name, Verb.DEPLOY, by=by, argument=str(number))


def fail(hive: Hive, number: int, *, why: str, end: str = "") -> None:
    """A deployment has failed: nothing else has changed, and its proposer is told why, with the `end` of its build."""
    with hive.db.write():
        changed = (
            DeploymentRow.update(outcome=DeploymentOutcome.FAILED, error=why[:ERROR_MOST], ended_at=hive.now())
            .where(DeploymentRow.number == number, DeploymentRow.outcome.is_null())
            .execute()
        )
        told = tell_failed(hive, DeploymentRow.get(DeploymentRow.number == number), why, end) if changed else []
    for who in told:
        doorbell.ring(hive.paths, who)


def tell_failed(hive: Hive, row: DeploymentRow, why: str, end: str = "") -> list[AgentName]:
    """Tell who proposed a deployment, or else the managers, that it failed. Within a write. Gives back whom to ring for."""
    approval = ApprovalRow.get_or_none(ApprovalRow.number == row.approval) if row.approval is not None else None
    asker = notices.living([approval.asker]) if approval is not None else []
    log = f"\nThe end of its log:\n{end}" if end else ""
    body = f"deploy_failed: deployment {row.number} of {row.agent} (commit {row.commit}) failed, nothing was changed: {why}{log}"
    return notices.notify(hive, asker or notices.managers(), body)


def get(hive: Hive, number: int) -> Deployment:
    """One deployment. Raises `NotFound`."""
    with hive.db.read():
        row = DeploymentRow.get_or_none(DeploymentRow.number == number) if 0 < number <= NUMBER_MOST else None
    if row is None:
        raise NotFound(f"there is no deployment {number}", hint="`hyperhive history NAME`")
    return deployment_from(row)


def of(hive: Hive, numbers: Collection[int]) -> dict[int, Deployment]:
    """Those of these deployments that there are, by number."""
    with hive.db.read():
        return {row.number: deployment_from(row) for row in DeploymentRow.select().where(DeploymentRow.number.in_(list(numbers)))}


def history(hive: Hive, name: AgentName, *, limit: int = 100) -> list[Deployment]:
    """The newest deployments of an agent, oldest first. Raises `NotFound` for one that nobody knows."""
    with hive.db.read():
        found = list(
            DeploymentRow.select().where(DeploymentRow.agent == name).order_by(DeploymentRow.number.desc()).limit(limit)
        )[::-1]
        if not found and AgentRow.get_or_none(AgentRow.name == name) is None:
            raise no_such_agent(name)
    return [deployment_from(row) for row in found]


def failed(hive: Hive, *, limit: int = 20) -> list[Deployment]:
    """The newest deployments that failed, oldest first."""
    with hive.db.read():
        query = DeploymentRow.select().where(DeploymentRow.outcome == DeploymentOutcome.FAILED)
        return [deployment_from(row) for row in query.order_by(DeploymentRow.number.desc()).limit(limit)][::-1]


def applied_number(hive: Hive, name: AgentName) -> int | None:
    """The deployment that an agent runs on now, or ran on at last; None where nothing was ever applied."""
    with hive.db.read():
        row = AgentRow.get_or_none(AgentRow.name == name)
    return None if row is None else row.deployed


def applied_commit(agent: AgentRow) -> str | None:
    """The commit that an agent runs on now. Within a read or write."""
    if agent.deployed is None:
        return None
    row = DeploymentRow.get_or_none(DeploymentRow.number == agent.deployed)
    return None if row is None else row.commit


def unsettle(hive: Hive, name: AgentName) -> int:
    """References have to follow the rows: ask for it. Within a write. Gives back the operation."""
    return operations.ask(hive, name, Verb.PUBLISH, by=operations.HIVE)


def is_queued(number: int) -> bool:
    """Somebody is still to carry a deployment out. Within a read or write."""
    return (
        OperationRow.select()
        .where(
            OperationRow.verb.in_((Verb.DEPLOY, Verb.UPDATE)),
            OperationRow.argument == str(number),
            OperationRow.state == OperationState.PENDING,
        )
        .exists()
    )


def end_dead(hive: Hive) -> None:
    """Fail what nobody carries out any more, tell its proposers, and ask for the references to follow."""
    with hive.db.read():
        names = {AgentName(row.agent) for row in _open() if not is_queued(row.number)}
    if not (names := {name for name in names if not is_held(hive.paths.operation_lock(name))}):
        return
    told: list[AgentName] = []
    with hive.db.write():
        for name in names:
            # Whoever has come to carry one out meanwhile holds the agent, and begins it after this.
            if not is_held(hive.paths.operation_lock(name)):
                told += bury(hive, name, why=DIED)
                unsettle(hive, name)
    for who in told:
        doorbell.ring(hive.paths, who)
    doorbell.ring_hive(hive.paths)


def bury(hive: Hive, name: AgentName, *, current: int | None = None, why: str) -> list[AgentName]:
    """Fail what nobody carries out any more of an agent: all but what is queued, and the `current` one. Within a write.

    By the one who holds the agent, or while nobody does. Gives back whom to ring for.
    """
    told: list[AgentName] = []
    for row in [row for row in _open(name) if row.number != current and not is_queued(row.number)]:
        DeploymentRow.update(outcome=DeploymentOutcome.FAILED, error=why, ended_at=hive.now()).where(
            DeploymentRow.number == row.number, DeploymentRow.outcome.is_null()
        ).execute()
        told += tell_failed(hive, row, why)
    return told


def failed_builds(hive: Hive, name: AgentName) -> list[int]:
    """The deployments of an agent that failed and of which something was built is still there."""
    try:
        kept = [int(number) for number in os.listdir(hive.paths.builds(name)) if number.isdigit()]
    except OSError:
        return []
    with hive.db.read():
        failed = DeploymentRow.select(DeploymentRow.number).where(
            DeploymentRow.agent == name, DeploymentRow.outcome == DeploymentOutcome.FAILED
        )
        return [row.number for row in failed.where(DeploymentRow.number.in_(kept))]


def deployment_from(row: DeploymentRow) -> Deployment:
    """The value of a row."""
    return Deployment(**{field: getattr(row, field) for field in Deployment.__struct_fields__})


def _open(name: AgentName | None = None) -> list[DeploymentRow]:
    rows = DeploymentRow.select().where(DeploymentRow.outcome.is_null())
    return list(rows if name is None else rows.where(DeploymentRow.agent == name))
