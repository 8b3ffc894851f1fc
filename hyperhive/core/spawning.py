"""How an agent is made: by the operator, or because a manager asked and somebody approved."""

import os
import socket
from collections.abc import Callable
from contextlib import suppress

import msgspec

from hyperhive.core import (
    agent_toml,
    applied,
    box,
    building,
    containers,
    deploying,
    deployments,
    doorbell,
    holding,
    publishing,
    remains,
    rests,
    roster,
)
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.agent_view import Agent
from hyperhive.core.db import next_number
from hyperhive.core.errors import Conflict, HyperhiveError, Invalid
from hyperhive.core.hive import Hive
from hyperhive.core.identity import check_user, new_range
from hyperhive.core.model import OPERATOR, AgentName, Flavor, Occasion, Verb, Wanted
from hyperhive.core.runtimes import Runtime, runtime_named
from hyperhive.core.tables import AgentRow, ApprovalRow, DeploymentRow


class Spawned(msgspec.Struct, frozen=True):
    """A new agent, and whether it took over what was kept of an earlier one of its name."""

    agent: Agent
    reused: bool


def spawn(
    hive: Hive,
    name: AgentName,
    *,
    flavor: Flavor = Flavor.WORKER,
    config: AgentConfig | None = None,
    runtime: str | None = None,
    user: str | None = None,
    start: bool = True,
    by: str,
    say: Callable[[str], None] = deploying.quiet,
) -> Spawned:
    """Make an agent; one that was destroyed before is made anew from what was kept of it.

    `user` runs it as an existing user of this machine, which only root may ask for. Raises `Conflict` when the agent
    exists, `Invalid`, `Denied`, `NotFound` or `Unavailable` when it cannot be as it was asked for; then nothing was made.
    """
    chosen = runtime_named(runtime or _kept_runtime(hive, name) or hive.settings.runtime)
    containers.check(hive, chosen)
    check_user(user)
    if config is not None:
        # As it will be read: what the reader would refuse must not be written.
        agent_toml.read(agent_toml.write(config))
    with holding.under_way(hive, name, Verb.START, by=by):
        was_there = hive.paths.agent(name).exists() or applied.exists(hive, name)
        row, is_new = _reserve(hive, name, flavor=flavor, runtime=chosen, user=user)
        kept = row.deployed is not None
        try:
            publishing.settle(hive, name, adopting=config is None)
            applied.create(hive, name)
            commit = _first_commit(hive, name, config, by=by)
            with hive.db.write():
                number = next_number()
                DeploymentRow.create(
                    number=number, agent=name, occasion=Occasion.SPAWN, commit=commit, approved_by=by, started_at=hive.now()
                )
            with deploying.failing(hive, number):
                _bring_about(hive, row, number, flavor=flavor, runtime=chosen, start=start, say=say)
        except BaseException:
            # What was there before stays, with its row, so that it can be spawned again or purged.
            if is_new and not was_there:
                with suppress(HyperhiveError):
                    remains.forget(hive, name)
            raise
        publishing.follow(hive, name)
        if start:
            box.bring_up(hive, name)
    doorbell.ring_hive(hive.paths)
    doorbell.ring(hive.paths, name)
    return Spawned(roster.get(hive, name), kept)


def spawn_asked(
    hive: Hive, number: int, *, operation: int, say: Callable[[str], None] = deploying.quiet
) -> deployments.Deployment:
    """Make the agent that was asked for and approved, as deployment `number` and operation `operation`.

    When it fails there is no agent, and the deployment says why. Raises as `spawn` does, and `Busy`.
    """
    asked = deployments.get(hive, number)
    name = AgentName(asked.agent)
    with hive.db.read():
        approval = ApprovalRow.get(ApprovalRow.number == asked.approval)
    flavor = approval.flavor or Flavor.WORKER
    with (
        holding.under_way(hive, name, Verb.DEPLOY, by=asked.approved_by or OPERATOR, number=operation),
        deploying.failing(hive, number),
    ):
        chosen = runtime_named(_kept_runtime(hive, name) or hive.settings.runtime)
        containers.check(hive, chosen)
        publishing.settle(hive, name, current=number)
        was_there = hive.paths.agent(name).exists()
        row, is_new = _reserve(hive, name, flavor=flavor, runtime=chosen, user=None)
        try:
            _bring_about(hive, row, number, flavor=flavor, runtime=chosen, start=True, say=say)
        except BaseException:
            if is_new and not was_there:
                with suppress(HyperhiveError):
                    remains.forget_agent(hive, name)
            raise
        publishing.follow(hive, name)
        box.bring_up(hive, name)
    doorbell.ring_hive(hive.paths)
    doorbell.ring(hive.paths, name)
    return deployments.get(hive, number)


def _kept_runtime(hive: Hive, name: AgentName) -> str | None:
    """The kind of container that the kept state of an agent was made for, or None."""
    with hive.db.read():
        row = AgentRow.get_or_none(AgentRow.name == name)
    return row.runtime if row is not None and row.deployed is not None else None


def _first_commit(hive: Hive, name: AgentName, config: AgentConfig | None, *, by: str) -> str:
    """The commit that an agent begins with: a new one for a configuration, else what is kept of it."""
    with hive.db.read():
        kept = deployments.applied_commit(AgentRow.get(AgentRow.name == name))
    if config is None and kept is not None:
        return kept
    return applied.write_commit(
        hive, name, {building.FILE: agent_toml.write(config or AgentConfig())}, parent=kept,
        message=f"Spawn {name}", author=by, at=hive.now(),
    )  # fmt: skip


def _bring_about(
    hive: Hive,
    row: AgentRow,
    number: int,
    *,
    flavor: Flavor,
    runtime: Runtime,
    start: bool,
    say: Callable[[str], None],
) -> None:
    """Make an agent of its row, by the deployment of that number."""
    deploying.carry_out(
        hive,
        row,
        number,
        say=say,
        changes={
            **rests.lifted(),
            "flavor": flavor,
            "host": socket.gethostname(),
            "runtime": runtime.name,
            "wanted": Wanted.STARTED if start else Wanted.STOPPED,
            "destroyed_at": None,
            "news": "You were made anew; what your earlier self kept is still there." if row.deployed is not None else "",
        },
    )


def _reserve(hive: Hive, name: AgentName, *, flavor: Flavor, runtime: Runtime, user: str | None) -> tuple[AgentRow, bool]:
    """Give an agent its row, with its user; says whether the row is new.

    It is a tombstone until all that it needs is there, so one whose making was cut short can be made again or purged.
    """
    now = hive.now()
    with hive.db.write(brings_new=True):
        row = AgentRow.get_or_none(AgentRow.name == name)
        if row is not None and row.wanted is not Wanted.DESTROYED:
            raise Conflict(f"{name} exists already", hint=f"`hyperhive show {name}`, or choose another name")
        if row is not None and (user or row.user) != row.user:
            raise Conflict(
                f"what is kept of {name} belongs to the user {row.user or 'that hyperhive gave it'}",
                hint=f"leave --user out, or `hyperhive purge {name}` first",
            )
        if runtime.booted is not None and (user or (row is not None and row.user)):
            raise Invalid(
                f"a container of the kind {runtime.name} has users of its own, and none of the machine's",
                hint="leave --user out, or choose --runtime bubblewrap",
            )
        is_new = row is None
        if row is None:
            row = AgentRow.create(
                name=name,
                flavor=flavor,
                host=socket.gethostname(),
                user=user,
                runtime=runtime.name,
                wanted=Wanted.DESTROYED,
                created_at=now,
                destroyed_at=now,
            )
        if row.uid is None and row.deployed is None and row.user is None and os.geteuid() == 0 and runtime.separates_users:
            row.uid = new_range(hive)
            AgentRow.update(uid=row.uid).where(AgentRow.name == name).execute()
        row.runtime = runtime.name
        return row, is_new
