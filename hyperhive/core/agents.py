"""The life of an agent: it is made, started, stopped, taken away."""

import os
import socket
from contextlib import suppress

import msgspec

from hyperhive.core import (
    agent_config,
    custody,
    doorbell,
    folders,
    leases,
    messages,
    operations,
    process,
    questions,
    roster,
    turns,
)
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.builds import config_of, kept_config, write_build
from hyperhive.core.db import next_number
from hyperhive.core.errors import Conflict, Expired, HyperhiveError
from hyperhive.core.hive import Hive
from hyperhive.core.identity import check_user, identity, new_range
from hyperhive.core.model import Agent, AgentName, Blocked, Flavor, Verb, Wanted
from hyperhive.core.runtimes import Runtime, check, runtime_named
from hyperhive.core.tables import AgentRow, DeploymentRow, MessageRow, OperationRow, TurnRow


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
) -> Spawned:
    """Make an agent; one that was destroyed before is made anew from what was kept of it.

    `user` runs it as an existing user of this machine, which only root may ask for. Raises `Conflict` when the agent
    exists, `Invalid`, `Denied`, `NotFound` or `Unavailable` when it cannot be as it was asked for; then nothing was made.
    """
    chosen = runtime_named(runtime or _kept_runtime(hive, name) or hive.settings.runtime)
    check(chosen, run=hive.run)
    check_user(user)
    if config is not None:
        # As it will be read: what the reader would refuse must not be written.
        agent_config.parse(agent_config.encode(config))
    with operations.under_way(hive, name, Verb.START, by=by):
        was_there = hive.paths.agent(name).exists()
        row, is_new, number = _reserve(hive, name, flavor=flavor, runtime=chosen, user=user)
        try:
            use = config or (AgentConfig() if row.deployed is None else kept_config(hive, name, row.deployed))
            owner, group = identity(row.uid, row.user)
            folders.prepare(hive, name, uid=owner, gid=group, flavor=flavor)
            place = folders.place(hive, name, uid=owner, gid=group, program=None, config=use, flavor=flavor)
            chosen.wrap(place, ["true"])
            write_build(hive, name, number, use)
            now = hive.now()
            with hive.db.write():
                AgentRow.update(
                    **_unblocked(),
                    flavor=flavor,
                    host=socket.gethostname(),
                    runtime=chosen.name,
                    wanted=Wanted.STARTED if start else Wanted.STOPPED,
                    deployed=number,
                    destroyed_at=None,
                    warnings="",
                    news="You were made anew; what your earlier self kept is still there." if row.deployed is not None else "",
                ).where(AgentRow.name == name).execute()
                DeploymentRow.create(number=number, agent=name, outcome="deployed", started_at=now, ended_at=now)
        except BaseException:
            # What was there before stays, with its row, so that it can be spawned again or purged.
            if is_new and not was_there:
                with suppress(HyperhiveError):
                    _forget(hive, name)
            raise
    doorbell.ring_hive(hive.paths)
    doorbell.ring(hive.paths, name)
    return Spawned(roster.get(hive, name), row.deployed is not None)


def start(hive: Hive, name: AgentName, *, by: str) -> Agent:
    """Let an agent work, also one that was held back. Raises `NotFound`, `Conflict`."""
    with operations.under_way(hive, name, Verb.START, by=by), hive.db.write():
        if roster.living(name).wanted is not Wanted.STARTED:
            turns.add_news(name, "You were started.")
        AgentRow.update(**_unblocked(), wanted=Wanted.STARTED).where(AgentRow.name == name).execute()
    doorbell.ring(hive.paths, name)
    return roster.get(hive, name)


def stop(hive: Hive, name: AgentName, *, by: str, timeout: float = 60.0, now: bool = False) -> Agent:
    """Stop an agent: the turn that runs ends and is acknowledged, or is interrupted with `now`.

    Raises `Expired` after `timeout` seconds; the agent then stops when its turn ends.
    """
    with operations.under_way(hive, name, Verb.STOP, by=by, urgent=now):
        with hive.db.write():
            roster.living(name)
            AgentRow.update(wanted=Wanted.STOPPED).where(AgentRow.name == name).execute()
            if now:
                operations.ask(hive, name, Verb.LEAVE, by=by, argument="now")
        doorbell.ring(hive.paths, name)
        if not custody.wait(lambda: custody.has_left(hive, name), timeout):
            raise Expired(f"{name} stops when its turn ends", hint=f"`hyperhive stop --now {name}` interrupts it")
    return roster.get(hive, name)


def restart(hive: Hive, name: AgentName, *, by: str, now: bool = False) -> Agent:
    """Start an agent's harness anew, after its turn, or at once with `now`; what is pending is kept.

    Waits as long as a turn may take.
    """
    with hive.db.read():
        row = roster.living(name)
    config, _ = config_of(hive, name, row.deployed)
    with operations.under_way(hive, name, Verb.RESTART, by=by, urgent=now):
        with hive.db.write():
            roster.living(name)
            turns.add_news(name, "You were restarted.")
            AgentRow.update(**_unblocked(), wanted=Wanted.STARTED).where(AgentRow.name == name).execute()
            if now:
                operations.ask(hive, name, Verb.LEAVE, by=by, argument="now")
        doorbell.ring(hive.paths, name)
        if not custody.wait(lambda: custody.has_left(hive, name), config.limits.turn_minutes * 60 + 30):
            raise Expired(f"{name} did not end its turn", hint=f"`hyperhive kill {name}`")
    doorbell.ring(hive.paths, name)
    return roster.get(hive, name)


def kill(hive: Hive, name: AgentName, *, by: str) -> Agent:
    """End everything that an agent runs, at once; its messages come back, no attempt is counted, and it stays stopped."""
    with operations.under_way(hive, name, Verb.KILL, by=by, urgent=True):
        with hive.db.write():
            roster.living(name)
            AgentRow.update(wanted=Wanted.STOPPED).where(AgentRow.name == name).execute()
        with custody.taken(hive, name), hive.db.write():
            turns.close_books(hive, name)
    return roster.get(hive, name)


def destroy(hive: Hive, name: AgentName, *, by: str) -> None:
    """Take an agent away and keep its state: a tombstone that a new agent of its name takes over.

    Mail that waits for it ends as expired, what it asked the operator as cancelled.
    """
    with operations.under_way(hive, name, Verb.DESTROY, by=by, urgent=True):
        with hive.db.write():
            roster.living(name)
            AgentRow.update(wanted=Wanted.STOPPED).where(AgentRow.name == name).execute()
        with custody.taken(hive, name):
            process.end_marked(process.VISIT, str(hive.paths.agent(name)))
            with hive.db.write():
                turns.close_books(hive, name)
                leases.expire(hive, name, reason=f"{name} was destroyed")
                operations.drop(hive, name, reason=f"{name} was destroyed")
                questions.drop(hive, name)
                AgentRow.update(wanted=Wanted.DESTROYED, destroyed_at=hive.now()).where(AgentRow.name == name).execute()
    doorbell.ring_hive(hive.paths)


def purge(hive: Hive, name: AgentName, *, by: str) -> None:
    """Remove all that was kept of a destroyed agent; messages keep its name. There is no way back.

    Raises `Conflict` for an agent that lives, `Unavailable` with what could not be removed; purging again goes on.
    """
    with operations.under_way(hive, name, Verb.PURGE, by=by):
        with hive.db.write():
            row = AgentRow.get_or_none(AgentRow.name == name)
            if row is None:
                raise messages.no_such_agent(name)
            if row.wanted is not Wanted.DESTROYED:
                raise Conflict(f"{name} lives", hint=f"`hyperhive destroy --purge {name}` ends it first")
            # Should this end half-way, what is left is no earlier self that a new agent could take over.
            AgentRow.update(deployed=None, model=None, conversation=None, news="").where(AgentRow.name == name).execute()
        with custody.taken(hive, name):
            _forget(hive, name)
    doorbell.ring_hive(hive.paths)


def _kept_runtime(hive: Hive, name: AgentName) -> str | None:
    """The kind of container that the kept state of an agent was made for, or None."""
    with hive.db.read():
        row = AgentRow.get_or_none(AgentRow.name == name)
    return row.runtime if row is not None and row.deployed is not None else None


def _reserve(hive: Hive, name: AgentName, *, flavor: Flavor, runtime: Runtime, user: str | None) -> tuple[AgentRow, bool, int]:
    """Give an agent its row, its user and a deployment's number; says whether the row is new.

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
        return row, is_new, next_number()


def _unblocked() -> dict[str, object]:
    """Nothing holds the agent back any more."""
    return {
        "blocked": Blocked.NONE,
        "blocked_since": None,
        "blocked_until": None,
        "blocked_reason": None,
        "blocked_times": 0,
        "empty_starts": 0,
        "empty_since": None,
        "not_before": None,
    }


def _forget(hive: Hive, name: AgentName) -> None:
    """Remove an agent's folders, then its rows."""
    folders.purge(hive, name)
    with hive.db.write():
        for table in (TurnRow, OperationRow, DeploymentRow):
            table.delete().where(table.agent == name).execute()
        # A later agent of the name has keys of its own.
        MessageRow.update(key=None).where(MessageRow.sender == name).execute()
        AgentRow.delete().where(AgentRow.name == name).execute()
