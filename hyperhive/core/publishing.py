"""What git shows of an agent, made to follow the rows: branch, tags, the deploy log. Repeatable, whoever died before."""

from contextlib import suppress
from typing import Final

from hyperhive.core import agent_toml, applied, bases, building, deployments, doorbell, meta, waiting
from hyperhive.core.builds import kept_config
from hyperhive.core.errors import Conflict, Expired, HyperhiveError, Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock, holder, is_held
from hyperhive.core.model import AgentName, ApprovalState, DeploymentOutcome, Occasion, OperationState, Verb, Wanted
from hyperhive.core.tables import AgentRow, ApprovalRow, DeploymentRow, EntryRow, OperationRow

MAIN: Final = "refs/heads/main"
# How long another one may take to publish, in seconds.
LOCK_MOST: Final = 60.0
# Whose references were to follow the rows, and did not. The words are those of an index, which counts with them alone.
_UNPUBLISHED: Final = """
    SELECT agent FROM operation AS last WHERE verb = 'publish' AND state IN ('failed', 'expired') AND NOT EXISTS (
        SELECT 1 FROM operation WHERE verb = 'publish' AND agent = last.agent AND number > last.number
    )
"""
_TAGS: Final = {ApprovalState.APPROVED: "approved", ApprovalState.DENIED: "denied", ApprovalState.FAILED: "failed"}


def settle(hive: Hive, name: AgentName, *, current: int | None = None, adopting: bool = True) -> None:
    """End what somebody who died has left half-done of an agent, and give git to whoever has none yet.

    By the one who holds the agent; `current` is the deployment that it carries out itself. Without `adopting` what was
    kept before there was git is left, for something else takes its place. Raises `Conflict` when that cannot be read, and
    `Unavailable` when the repository is gone.
    """
    if adopting:
        adopt(hive, name)
    with hive.db.write():
        told = deployments.bury(hive, name, current=current, why=deployments.DIED)
    for who in told:
        doorbell.ring(hive.paths, who)
    for number in deployments.failed_builds(hive, name):
        # What cannot be removed now is in nobody's way.
        with suppress(HyperhiveError):
            building.discard(hive, name, number)
    if applied.exists(hive, name):
        applied.forget_incoming(hive, name)
        return
    with hive.db.read():
        agent = AgentRow.get_or_none(AgentRow.name == name)
        has_commits = agent is not None and deployments.applied_commit(agent) is not None
    if has_commits:
        raise Unavailable(
            f"the repository of {name} is gone: {hive.paths.applied(name)}",
            hint=f"restore it from a backup, or make the agent anew: hyperhive destroy --purge {name}",
        )


def withdraw(hive: Hive, name: AgentName, *, reason: str) -> list[AgentName]:
    """What was decided for an agent and not begun fails, for it is gone. Within a write, after its operations have ended.

    Gives back whom to ring for.
    """
    return deployments.bury(hive, name, why=reason)


def adopt(hive: Hive, name: AgentName) -> None:
    """Write the first commit of an agent that was made before its configuration was kept in git.

    Raises `Conflict` when that cannot be read.
    """
    with hive.db.read():
        agent = AgentRow.get_or_none(AgentRow.name == name)
        if agent is None or agent.deployed is None or deployments.applied_commit(agent) is not None:
            return
        deployed, runtime, lives = agent.deployed, agent.runtime, agent.wanted is not Wanted.DESTROYED
    try:
        config = kept_config(hive, name, deployed)
    except Conflict as error:
        if lives:
            error.hint = f'make it anew: hyperhive destroy {name}, then hyperhive spawn {name} --role "…"'
        raise
    applied.create(hive, name)
    commit = applied.write_commit(
        hive, name, {building.FILE: agent_toml.write(config)}, parent=None,
        message=f"Take over what {name} was given", author="hive", at=hive.now(),
    )  # fmt: skip
    base = bases.base_of(hive, runtime)
    with hive.db.write():
        DeploymentRow.update(commit=commit, base=base).where(
            DeploymentRow.number == deployed, DeploymentRow.commit.is_null()
        ).execute()
        AgentRow.update(base=base).where(AgentRow.name == name, AgentRow.base.is_null()).execute()
        EntryRow.create(
            agent=name, occasion=Occasion.SPAWN, deployment=deployed, commit=commit, base=base, by="hive",
            subject=f"Take over what {name} was given", at=hive.now(),
        )  # fmt: skip


def publish(hive: Hive, name: AgentName, *, built_now: int | None = None) -> None:
    """Make an agent's references what the rows say, and write what is new into the deploy log. By the one who holds the agent.

    `built_now` is the deployment that is being built at this moment.
    """
    with Lock(hive.paths.lock("hive.meta")) as lock:
        if not waiting.until(lock.take, LOCK_MOST):
            raise Expired(
                f"the deploy log is being written for long ({holder(hive.paths.lock('hive.meta'))})", hint="hyperhive doctor"
            )
        with hive.db.read():
            wanted = _references(name, built_now)
            entries = [_entry(row) for row in EntryRow.select().where(EntryRow.published == False).order_by(EntryRow.number)]
        if wanted:
            applied.publish(hive, name, wanted)
        for entry in entries:
            meta.record(hive, entry)
        if entries:
            with hive.db.write():
                EntryRow.update(published=True).where(EntryRow.number.in_([entry.number for entry in entries])).execute()


def follow(hive: Hive, name: AgentName) -> None:
    """Publish what is done already: it stays done where git does not take it now, and is published by whoever comes next."""
    try:
        publish(hive, name)
    except HyperhiveError:
        with suppress(HyperhiveError), hive.db.write():
            deployments.unsettle(hive, name)


def unsettled(hive: Hive) -> list[AgentName]:
    """The agents for which `settle` and `publish` have something to do that nobody is about to do."""
    with hive.db.read():
        found = {row.agent for row in EntryRow.select().where(EntryRow.published == False)}
        found |= {agent for (agent,) in hive.db.ask(_UNPUBLISHED)}
        for row in DeploymentRow.select().where(DeploymentRow.outcome.is_null()):
            if not deployments.is_queued(row.number):
                found.add(row.agent)
        without = AgentRow.select(AgentRow.name).join(DeploymentRow, on=(DeploymentRow.number == AgentRow.deployed))
        found |= {agent.name for agent in without.where(AgentRow.wanted != Wanted.DESTROYED, DeploymentRow.commit.is_null())}
        coming = {
            row.agent
            for row in OperationRow.select().where(
                OperationRow.state == OperationState.PENDING, OperationRow.verb.in_((Verb.PUBLISH, Verb.DEPLOY, Verb.UPDATE))
            )
        }
    return sorted(AgentName(name) for name in found - coming if not is_held(hive.paths.operation_lock(AgentName(name))))


def _references(name: AgentName, built_now: int | None) -> dict[str, str]:
    """Every reference of an agent's repository, as the rows say. Within a read."""
    wanted: dict[str, str] = {}

    def tag(word: str, number: int, commit: str | None) -> None:
        assert commit is not None
        wanted[f"refs/tags/{word}/{number}"] = commit

    for row in ApprovalRow.select().where(ApprovalRow.agent == name, ApprovalRow.commit.is_null(False)):
        tag("proposal", row.number, row.commit)
        if row.state in _TAGS:
            tag(_TAGS[row.state], row.number, row.commit)
    for one in DeploymentRow.select().where(DeploymentRow.agent == name, DeploymentRow.commit.is_null(False)):
        tag("approved", one.number, one.commit)
        if one.outcome is DeploymentOutcome.DEPLOYED:
            tag("deployed", one.number, one.commit)
        elif one.outcome is DeploymentOutcome.FAILED:
            tag("failed", one.number, one.commit)
        elif one.number == built_now:
            tag("building", one.number, one.commit)
    agent = AgentRow.get_or_none(AgentRow.name == name)
    if agent is not None and (commit := deployments.applied_commit(agent)) is not None:
        wanted[MAIN] = commit
    return wanted


def _entry(row: EntryRow) -> meta.Entry:
    return meta.Entry(
        number=row.number, agent=row.agent, what=row.occasion.value, deployment=row.deployment, commit=row.commit,
        by=row.by, at=row.at, base=row.base, subject=row.subject,
    )  # fmt: skip
