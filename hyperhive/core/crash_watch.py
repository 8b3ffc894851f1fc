"""The watch over all agents: what is so now, compared with what was seen last."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Final

import msgspec

from hyperhive.core import doorbell, eligibility, housekeeping, observations, operations, process, restarts
from hyperhive.core.conditions import Conditions
from hyperhive.core.errors import Conflict, HyperhiveError
from hyperhive.core.hive import Hive
from hyperhive.core.interventions import Interventions
from hyperhive.core.locks import Lock, holder, is_held
from hyperhive.core.model import AgentName, Wanted
from hyperhive.core.observations import Seen, Told
from hyperhive.core.tables import AgentRow, ObservationRow
from hyperhive.core.turns import is_anew

# How often the agents are looked at, in seconds.
EVERY: Final = 10.0
# How long the listing of containers may take, in seconds.
LISTING_MOST: Final = 5.0
# What a look needs of an agent's row.
_SEEN_BY: Final = (
    AgentRow.name, AgentRow.runtime, AgentRow.wanted, AgentRow.base, AgentRow.deployed, AgentRow.epoch, AgentRow.ended_epoch,
    AgentRow.boot, AgentRow.login_refused_at,
)  # fmt: skip


class Look(msgspec.Struct, frozen=True):
    """What a pass has told, and what it could not see, a sentence each."""

    told: tuple[Told, ...]
    troubles: tuple[str, ...]


@contextmanager
def alone(hive: Hive) -> Iterator[None]:
    """Be the only one who watches. Raises `Conflict` with who does."""
    path = hive.paths.lock("crash-watch")
    with Lock(path) as lock:
        if not lock.take():
            raise Conflict(f"this hive is being watched already: {holder(path)}", hint="hyperhive ps")
        yield


def run(hive: Hive) -> Look:
    """One pass. Raises `Conflict` while somebody else watches."""
    try:
        with alone(hive):
            return look(hive)
    finally:
        hive.close()


def repeated(hive: Hive, *, every: float, total: float | None) -> Iterator[Look]:
    """Look at once and every so many seconds, the last time before `total` seconds are over; without it for ever.

    One look that fails is no reason to stop: what it failed of is in what it gives. Raises `Conflict` as `run` does.
    """
    process.follow_parent()
    begun = time.monotonic()
    with alone(hive):
        for number in count():
            at = number * every
            if total is not None and number > 0 and at >= total:
                return
            time.sleep(max(0.0, begun + at - time.monotonic()))
            # With the settings as they are then; and nobody keeps the database open while nothing happens.
            now = Hive(hive.paths)
            try:
                seen = look(now)
            except HyperhiveError as error:
                seen = Look((), (f"the agents cannot be watched: {error}",))
            finally:
                now.close()
            yield seen


def look(hive: Hive) -> Look:
    """One pass, by the one who watches: tell what has changed, put in order what is overdue or dead, ring what was not rung."""
    told, troubles = _compare(hive)
    told += restarts.look(hive)
    # Only a hub knows what it has seen in time, and will still do.
    has_hub = is_held(hive.paths.lock("hub"))
    try:
        housekeeping.tidy(hive, known=None if has_hub else ())
    except HyperhiveError as error:
        troubles.append(f"what is overdue or dead cannot be ended: {error}")
    _ring(hive)
    return Look(tuple(told), tuple(troubles))


def _compare(hive: Hive) -> tuple[list[Told], list[str]]:
    """Look at all agents, and tell what has changed; also what could not be seen."""
    # In this order: what takes a container away is written down first.
    interventions = Interventions(hive)
    with hive.db.read():
        agents = list(AgentRow.select(*_SEEN_BY).where(AgentRow.wanted != Wanted.DESTROYED).order_by(AgentRow.name))
        known = {row.agent: row for row in ObservationRow.select()}
    conditions = Conditions(hive, {agent.runtime for agent in agents})
    running, troubles = _running(hive, conditions)
    boot = hive.boot()

    def see(agent: AgentRow) -> Seen:
        last = known.get(agent.name)
        up_to_date = conditions.is_up_to_date(agent)
        return Seen(
            # Where nobody tells now, it is as it was.
            running=conditions.is_running(
                agent, seen=agent.name in running[agent.runtime] if agent.runtime in running else bool(last and last.running)
            ),
            logged_in=conditions.is_logged_in(agent),
            up_to_date=up_to_date if up_to_date is not None else last is None or last.up_to_date,
        )

    first: list[tuple[AgentRow, Seen]] = []
    changed: list[AgentName] = []
    for agent in agents:
        last, seen = known.get(agent.name), see(agent)
        if last is None or last.boot != boot:
            first.append((agent, seen))
        elif seen != Seen(last.running, last.logged_in, last.up_to_date) or (
            last.known_epoch < agent.epoch and _is_dead(hive, agent, boot)
        ):
            changed.append(AgentName(agent.name))
    if any(known[name].running for name in changed):
        # One that was just being booted anew is there by now, or somebody holds it who tells what becomes of it.
        running = _confirmed(hive, conditions, running, known)
    told: list[Told] = []
    if first or changed:
        with hive.db.write():
            for agent, seen in first:
                observations.record(hive, AgentName(agent.name), seen, boot=boot, known_epoch=_last_over(hive, agent, boot))
            for name in changed:
                # As it is within this transaction: meanwhile it may have been stopped, logged in, or taken away.
                row = AgentRow.get_or_none(AgentRow.name == name, AgentRow.wanted != Wanted.DESTROYED)
                if row is not None:
                    asked_for = row.wanted is not Wanted.STARTED or interventions.explain(name)
                    told += observations.compare(hive, row, see(row), died=_is_dead(hive, row, boot), asked_for=asked_for)
        for who in observations.to_ring(told):
            doorbell.ring(hive.paths, who)
    return told, troubles


def _ring(hive: Hive) -> None:
    """Ring once more for what waits and has nobody who works on it: whoever rang may have died before the bell."""
    for one in eligibility.eligible(hive):
        if not is_held(hive.paths.harness_lock(one.name)):
            doorbell.ring(hive.paths, one.name)
    if operations.ready(hive):
        doorbell.ring_hive(hive.paths)


def _running(hive: Hive, conditions: Conditions) -> tuple[Mapping[str, frozenset[AgentName]], list[str]]:
    """Whose containers run, by the kind of those that boot, and why that cannot be told of others."""
    running: dict[str, frozenset[AgentName]] = {}
    troubles = []
    for runtime, listing in conditions.listings.items():
        try:
            running[runtime] = listing.read(hive.run(listing.words, timeout=LISTING_MOST).text())
        except HyperhiveError as error:
            troubles.append(f"which containers of {runtime} run cannot be told: {error}")
    return running, troubles


def _confirmed(
    hive: Hive, conditions: Conditions, running: Mapping[str, frozenset[AgentName]], known: Mapping[str, ObservationRow]
) -> Mapping[str, frozenset[AgentName]]:
    """Look once more at what is missing: it counts as running while somebody brings it up or down."""
    held = frozenset(
        AgentName(name) for name, row in known.items() if row.running and is_held(hive.paths.container_lock(AgentName(name)))
    )
    again, _ = _running(hive, conditions)
    return {kind: found | again.get(kind, found) | held for kind, found in running.items()}


def _is_dead(hive: Hive, agent: AgentRow, boot: str | None) -> bool:
    """The harness of its last epoch ended without writing it down, and not with the machine."""
    return (
        agent.ended_epoch < agent.epoch
        and not is_anew(agent, boot)
        and not is_held(hive.paths.harness_lock(AgentName(agent.name)))
    )


def _last_over(hive: Hive, agent: AgentRow, boot: str | None) -> int:
    """The last epoch of which nothing is to be told, when an agent is first seen: its newest one, if that does not live."""
    lives = agent.ended_epoch < agent.epoch and not is_anew(agent, boot) and not _is_dead(hive, agent, boot)
    return agent.epoch - 1 if lives else agent.epoch
