"""What the operator is shown of a change before the decision: what it lets an agent do, and the difference."""

from typing import Final

import msgspec

from hyperhive.core import applied, approvals, building, config_changes, deployments
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.approvals import Approval
from hyperhive.core.config_changes import Change
from hyperhive.core.errors import Conflict, HyperhiveError, NotFound
from hyperhive.core.git_objects import Commit
from hyperhive.core.hive import Hive
from hyperhive.core.messages import NUMBER_MOST
from hyperhive.core.model import AgentName, ApprovalKind, ApprovalState, Wanted
from hyperhive.core.tables import AgentRow, ApprovalRow, DeploymentRow

# Of a difference, in bytes.
DIFF_MOST: Final = 256 * 1024


class Comparison(msgspec.Struct, frozen=True):
    """What lies between two commits of an agent, the first of which may be none.

    `changes` is what `agent.toml` says otherwise, the dangerous first, or None where it cannot be read; `files` are the
    other files that differ; `diff` is everything, bounded, in the words of whoever wrote it.
    """

    before: str | None
    after: str
    changes: list[Change] | None
    files: list[str]
    diff: str


class Review(msgspec.Struct, frozen=True):
    """A proposal as it is decided about: `against` is the commit it is compared with.

    That is what is applied now; `moved` says that this is another one than when it was asked for. What is decided is
    shown as it was.
    """

    approval: Approval
    commit: Commit
    against: str | None
    moved: bool
    comparison: Comparison


class Point(msgspec.Struct, frozen=True):
    """A commit of an agent by the number of what brought it."""

    number: int
    commit: str


def review(hive: Hive, number: int) -> Review:
    """A proposal with all that it changes. Runs git. Raises `NotFound`, also for what is no proposal of a configuration."""
    asked = approvals.get(hive, number)
    if asked.kind is ApprovalKind.TOOL or asked.commit is None:
        raise NotFound(f"approval {number} is about no configuration", hint=f"`hyperhive show {number}`")
    name = AgentName(asked.agent)
    against = _applied(hive, name) if asked.state is ApprovalState.PENDING else asked.compared_with
    return Review(
        approval=asked,
        commit=applied.commit_of(hive, name, asked.commit),
        against=against,
        moved=against != asked.compared_with,
        comparison=compare(hive, name, against, asked.commit),
    )


def compare(hive: Hive, name: AgentName, before: str | None, after: str) -> Comparison:
    """What lies between two commits of an agent. Runs git. Raises `NotFound`."""
    after_config = _config(hive, name, after)
    found = None if after_config is None else config_changes.changes(_config(hive, name, before), after_config)
    return Comparison(
        before=before,
        after=after,
        changes=found,
        files=[path for path in applied.changed_files(hive, name, before, after) if path != building.FILE],
        diff=applied.diff(hive, name, before, after, most=DIFF_MOST),
    )


def current(hive: Hive, name: AgentName) -> Point:
    """What is applied now. Raises `NotFound`."""
    with hive.db.read():
        agent = AgentRow.get_or_none(AgentRow.name == name)
        commit = None if agent is None else deployments.applied_commit(agent)
    if agent is None or agent.deployed is None or commit is None:
        raise NotFound(f"nothing was ever deployed for {name} by commits", hint="`hyperhive ps`")
    return Point(agent.deployed, commit)


def previous(hive: Hive, name: AgentName) -> Point:
    """What was applied before that, with other files. Raises `NotFound`, `Conflict` when nothing was."""
    now = current(hive, name)
    with hive.db.read():
        row = (
            DeploymentRow.select()
            .where(
                DeploymentRow.agent == name,
                DeploymentRow.number < now.number,
                DeploymentRow.outcome == "deployed",
                DeploymentRow.commit.is_null(False),
                DeploymentRow.commit != now.commit,
            )
            .order_by(DeploymentRow.number.desc())
            .first()
        )
    if row is None or row.commit is None:
        raise Conflict(f"{name} has no earlier deployment", hint=f"`hyperhive config {name}`")
    return Point(row.number, row.commit)


def point(hive: Hive, name: AgentName, number: int) -> Point:
    """The commit of an agent's deployment, or of a proposal for it. Raises `NotFound`."""
    with hive.db.read():
        for table in (DeploymentRow, ApprovalRow) if 0 < number <= NUMBER_MOST else ():
            row = table.get_or_none(table.number == number, table.agent == name, table.commit.is_null(False))
            if row is not None and row.commit is not None:
                return Point(row.number, row.commit)
    raise NotFound(f"{name} has no deployment and no proposal {number}", hint=f"`hyperhive history {name}`")


def _applied(hive: Hive, name: AgentName) -> str | None:
    """The commit that an agent that lives runs on now; None where there is no such agent."""
    with hive.db.read():
        agent = AgentRow.get_or_none(AgentRow.name == name)
        return None if agent is None or agent.wanted is Wanted.DESTROYED else deployments.applied_commit(agent)


def _config(hive: Hive, name: AgentName, commit: str | None) -> AgentConfig | None:
    """What a commit's `agent.toml` says; None where it cannot be read, which another version may have written."""
    if commit is None:
        return None
    try:
        return building.config_in(hive, name, commit)[0]
    except HyperhiveError:
        return None
