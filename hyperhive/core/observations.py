"""What was last seen of each agent; each change of it becomes one notice, in the transaction that stores it."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

import msgspec
from peewee import Expression

from hyperhive.core import notices
from hyperhive.core.columns import to_milliseconds
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, AgentName
from hyperhive.core.tables import AgentRow, ObservationRow

# The waits before a container is started again that crashed, in seconds; one crash more in that time, and it is held back.
WAITS: Final = (0.0, 10.0, 20.0, 40.0)
CRASHES: Final = len(WAITS) + 1
WINDOW: Final = timedelta(minutes=10)
_RECORD: Final = """
    INSERT INTO observation (agent, running, logged_in, up_to_date, known_epoch, boot, at, crashes)
    VALUES (?, ?, ?, ?, ?, ?, ?, 0)
    ON CONFLICT (agent) DO UPDATE SET running = excluded.running, logged_in = excluded.logged_in,
    up_to_date = excluded.up_to_date, known_epoch = excluded.known_epoch, boot = excluded.boot, at = excluded.at, crashes = 0,
    crashes_since = NULL, start_at = NULL
"""


class Told(msgspec.Struct, frozen=True):
    """A change of an agent, as it was told to each of `to`."""

    agent: str
    to: tuple[str, ...]
    text: str


class Seen(msgspec.Struct, frozen=True):
    """What an agent has at one moment; `running` is its container."""

    running: bool
    logged_in: bool
    up_to_date: bool


def begin(hive: Hive, name: AgentName, *, epoch: int) -> None:
    """A new agent is seen for the first time. Within a write.

    It lacks nothing, and so what it does lack is a change for whoever looks next, told once.
    """
    record(hive, name, Seen(running=False, logged_in=True, up_to_date=True), boot=hive.boot(), known_epoch=epoch)


def record(hive: Hive, name: AgentName, seen: Seen, *, boot: str | None, known_epoch: int) -> None:
    """Store what is seen of an agent without telling anybody: there is nothing to compare it with. Within a write."""
    values = (seen.running, seen.logged_in, seen.up_to_date, known_epoch, boot, to_milliseconds(hive.now()))
    hive.db.ask(_RECORD, name, *values)


def compare(hive: Hive, agent: AgentRow, seen: Seen, *, died: bool, asked_for: bool) -> list[Told]:
    """Store what is seen of an agent now, and tell what has changed since it was seen last. Within a write.

    Its harness has `died` if its last epoch has no end; what was `asked_for` is no crash.
    """
    name = AgentName(agent.name)
    ended = note_running(hive, name, running=seen.running, asked_for=asked_for)
    return [
        *ended,
        # Whatever ended the container ended its harness too.
        *(note_death(hive, agent, asked_for=asked_for or bool(ended)) if died else ()),
        *note_login(hive, name, holds=seen.logged_in),
        *note_base(hive, name, up_to_date=seen.up_to_date),
    ]


def forget(name: AgentName) -> None:
    """Nothing of an agent is known any more. Within a write."""
    ObservationRow.delete().where(ObservationRow.agent == name).execute()


def note_login(hive: Hive, name: AgentName, *, holds: bool) -> list[Told]:
    """An agent has a login that works, or has none. Within a write."""
    if not ObservationRow.select().where(ObservationRow.agent == name).exists():
        # Of another release.
        begin(hive, name, epoch=AgentRow.get(AgentRow.name == name).epoch)
    changed = _change(hive, name, ObservationRow.logged_in != holds, logged_in=holds)
    if not changed:
        return []
    if holds:
        text = f"logged_in: {name} is logged in ({_time(hive)})."
    else:
        text = f"needs_login: {name} is not logged in ({_time(hive)}). Only the operator can do that: `hyperhive login {name}`."
    return [_tell(hive, name, text)]


def note_base(hive: Hive, name: AgentName, *, up_to_date: bool) -> list[Told]:
    """What an agent stands on is up to date, which is no news, or out of date. Within a write."""
    changed = _change(hive, name, ObservationRow.up_to_date != up_to_date, up_to_date=up_to_date)
    if not changed or up_to_date:
        return []
    text = f"needs_update: {name} stands on something out of date ({_time(hive)}). `hyperhive update {name}` renews it."
    return [_tell(hive, name, text)]


def note_running(hive: Hive, name: AgentName, *, running: bool, asked_for: bool) -> list[Told]:
    """An agent's container runs, which is no news, or runs no more, which is none where it was asked for. Within a write."""
    # One that runs waits no more to be started.
    more = {"start_at": None} if running else {}
    changed = _change(hive, name, ObservationRow.running != running, running=running, **more)
    if not changed or running or asked_for:
        return []
    count_crash(hive, name)
    text = f"container_crash: the container of {name} ended ({_time(hive)}), and nobody had asked for it. {_more(name)}"
    return [_tell(hive, name, text)]


def count_crash(hive: Hive, name: AgentName) -> None:
    """The container of an agent that is to have one has ended, or did not start. Within a write."""
    now = hive.now()
    seen = ObservationRow.get(ObservationRow.agent == name)
    fresh = seen.crashes_since is None or not timedelta() <= now - seen.crashes_since <= WINDOW
    crashes = 1 if fresh else seen.crashes + 1
    ObservationRow.update(
        crashes=crashes,
        crashes_since=now if fresh else seen.crashes_since,
        start_at=now + timedelta(seconds=WAITS[crashes - 1] if crashes < CRASHES else 0.0),
    ).where(ObservationRow.agent == name).execute()


def forgive(name: AgentName) -> None:
    """Somebody lets an agent try again: its crashes count no more. Within a write."""
    ObservationRow.update(crashes=0, crashes_since=None, start_at=None).where(ObservationRow.agent == name).execute()


def note_death(hive: Hive, agent: AgentRow, *, asked_for: bool = False) -> list[Told]:
    """The harness of an agent's last epoch has ended without writing down that it did. Within a write.

    Whoever finds it first tells it: each epoch is told once, and nothing is told of what nobody had seen alive.
    """
    name = AgentName(agent.name)
    changed = _change(hive, name, ObservationRow.known_epoch < agent.epoch, known_epoch=agent.epoch)
    if not changed or asked_for:
        return []
    text = f"container_crash: {name} died in its epoch {agent.epoch}, and nobody had asked for it. {_more(name)}"
    return [_tell(hive, name, text)]


def running() -> frozenset[str]:
    """The agents whose containers ran when they were seen last. Within a read or write."""
    return frozenset(row.agent for row in ObservationRow.select(ObservationRow.agent).where(ObservationRow.running == True))


def to_ring(told: Iterable[Told]) -> list[AgentName]:
    """The agents that were told something, to be rung for after the commit."""
    return list(dict.fromkeys(AgentName(who) for one in told for who in one.to if who != OPERATOR))


def _change(hive: Hive, name: AgentName, differs: Expression, **values: object) -> bool:
    """Store what differs from what was seen last; says whether anything did. One who was never seen has not changed."""
    return bool(ObservationRow.update(**values, at=hive.now()).where(ObservationRow.agent == name, differs).execute())


def _tell(hive: Hive, name: AgentName, text: str) -> Told:
    to = notices.watchers(name)
    notices.notify(hive, to, text)
    return Told(name, tuple(to), text)


def _time(hive: Hive) -> str:
    # Two notices that are equal would be joined, and the later one would seem to come before what lay between them.
    return f"{hive.now():%Y-%m-%d %H:%M:%S} UTC"


def _more(name: AgentName) -> str:
    return f"`hyperhive logs {name}` tells more."
