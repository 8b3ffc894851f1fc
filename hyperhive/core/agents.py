"""The life of an agent that is there: it is started, stopped, taken away."""

from hyperhive.core import (
    approvals,
    box,
    containers,
    custody,
    doorbell,
    holding,
    leases,
    notices,
    observations,
    operations,
    process,
    publishing,
    questions,
    remains,
    rests,
    roster,
    tombstones,
    turns,
    waiting,
)
from hyperhive.core.agent_view import Agent
from hyperhive.core.builds import config_of
from hyperhive.core.errors import Expired
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, Occasion, Verb, Wanted
from hyperhive.core.tables import AgentRow, ApprovalRow, DeploymentRow, EntryRow


def start(hive: Hive, name: AgentName, *, by: str, number: int | None = None) -> Agent:
    """Let an agent work, also one that was held back. Raises `NotFound`, `Conflict`, and `Unavailable` for its container."""
    with holding.under_way(hive, name, Verb.START, by=by, number=number):
        with hive.db.write():
            row = roster.living(name)
            if row.wanted is not Wanted.STARTED:
                turns.add_news(name, "You were started.")
            _let_work(hive, row)
        box.bring_up(hive, name)
    doorbell.ring(hive.paths, name)
    return roster.get(hive, name)


def come_back(hive: Hive, name: AgentName, *, by: str, number: int | None = None) -> None:
    """Have the container of an agent that is wanted started, after the machine was, or a crash: nothing else about it changes."""
    with holding.under_way(hive, name, Verb.START, by=by, number=number):
        with hive.db.read():
            wanted = roster.living(name).wanted
        if wanted is Wanted.STARTED:
            box.bring_up(hive, name)
    doorbell.ring(hive.paths, name)


def stop(hive: Hive, name: AgentName, *, by: str, timeout: float = 60.0, now: bool = False, number: int | None = None) -> Agent:
    """Stop an agent: the turn that runs ends and is acknowledged, or is interrupted with `now`.

    Raises `Expired` after `timeout` seconds; the agent then stops when its turn ends.
    """
    with holding.under_way(hive, name, Verb.STOP, by=by, urgent=now, number=number):
        with hive.db.write():
            roster.living(name)
            AgentRow.update(wanted=Wanted.STOPPED).where(AgentRow.name == name).execute()
            if now:
                operations.ask(hive, name, Verb.LEAVE, by=by, argument="now")
        doorbell.ring(hive.paths, name)
        if not waiting.until(lambda: custody.has_left(hive, name), timeout):
            raise Expired(f"{name} stops when its turn ends", hint=f"`hyperhive stop --now {name}` interrupts it")
        containers.bring_down(hive, name)
    return roster.get(hive, name)


def restart(hive: Hive, name: AgentName, *, by: str, now: bool = False, number: int | None = None) -> Agent:
    """Start an agent's harness anew, and its container, after its turn, or at once with `now`; what is pending is kept.

    Waits as long as a turn may take.
    """
    with hive.db.read():
        row = roster.living(name)
    config, _ = config_of(hive, name, row.deployed)
    with holding.under_way(hive, name, Verb.RESTART, by=by, urgent=now, number=number):
        with hive.db.write():
            row = roster.living(name)
            turns.add_news(name, "You were restarted.")
            _let_work(hive, row)
            if now:
                operations.ask(hive, name, Verb.LEAVE, by=by, argument="now")
        doorbell.ring(hive.paths, name)
        if not waiting.until(lambda: custody.has_left(hive, name), config.limits.turn_minutes * 60 + 30):
            raise Expired(f"{name} did not end its turn", hint=f"`hyperhive kill {name}`")
        # Stop, then start: after a kill of its maker nothing else cures what the machine remembers of a container.
        containers.bring_down(hive, name)
        box.bring_up(hive, name)
    doorbell.ring(hive.paths, name)
    return roster.get(hive, name)


def kill(hive: Hive, name: AgentName, *, by: str) -> Agent:
    """End everything that an agent runs, at once; its messages come back, no attempt is counted, and it stays stopped."""
    with holding.under_way(hive, name, Verb.KILL, by=by, urgent=True):
        with hive.db.write():
            roster.living(name)
            AgentRow.update(wanted=Wanted.STOPPED).where(AgentRow.name == name).execute()
        with custody.taken(hive, name), hive.db.write():
            turns.close_books(hive, name)
    return roster.get(hive, name)


def destroy(hive: Hive, name: AgentName, *, by: str, number: int | None = None) -> None:
    """Take an agent away and keep its state: a tombstone that a new agent of its name takes over.

    Mail that waits for it ends as expired, what it asked the operator as cancelled.
    """
    with holding.under_way(hive, name, Verb.DESTROY, by=by, urgent=True, number=number):
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
                approvals.withdraw(hive, name, note=f"{name} was destroyed")
                AgentRow.update(wanted=Wanted.DESTROYED, destroyed_at=hive.now()).where(AgentRow.name == name).execute()
                EntryRow.create(agent=name, occasion=Occasion.DESTROY, by=by, at=hive.now())
                told = publishing.withdraw(hive, name, reason=f"{name} was destroyed")
                told += notices.notify(hive, notices.managers(), f"destroyed: the agent {name} is gone; what it kept is kept.")
        publishing.follow(hive, name)
    for who in told:
        doorbell.ring(hive.paths, who)
    doorbell.ring_hive(hive.paths)


def purge(hive: Hive, name: AgentName, *, by: str, number: int | None = None) -> None:
    """Remove all that was kept of a destroyed agent; messages keep its name. There is no way back.

    Raises `Conflict` for an agent that lives, `Unavailable` with what could not be removed; purging again goes on.
    """
    with holding.under_way(hive, name, Verb.PURGE, by=by, number=number):
        with hive.db.write():
            tombstones.check(name)
            # Should this end half-way, what is left is no earlier self that a new agent could take over.
            AgentRow.update(deployed=None, model=None, conversation=None, news="").where(AgentRow.name == name).execute()
            for table in (DeploymentRow, ApprovalRow):
                table.delete().where(table.agent == name).execute()
        with custody.taken(hive, name):
            remains.forget(hive, name, by=by)
        publishing.follow(hive, name)
    doorbell.ring_hive(hive.paths)


def _let_work(hive: Hive, row: AgentRow) -> None:
    """Nothing holds an agent back any more. Within a write."""
    name = AgentName(row.name)
    if row.wanted is not Wanted.STARTED and custody.has_left(hive, name):
        # However its harness ended since it was stopped: it was to end.
        observations.note_death(hive, row, asked_for=True)
    observations.forgive(name)
    AgentRow.update(**rests.lifted(), wanted=Wanted.STARTED).where(AgentRow.name == name).execute()
