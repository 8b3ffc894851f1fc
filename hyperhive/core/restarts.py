"""What becomes of a container that crashed: started again by itself where its agent's configuration says so."""

from datetime import timedelta
from typing import Final

from hyperhive.core import builds, doorbell, interventions, notices, observations, operations
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, Blocked, Restart, Verb, Wanted
from hyperhive.core.observations import CRASHES, WAITS, Told
from hyperhive.core.tables import AgentRow, ObservationRow

# What an operation says that starts a container and changes nothing else about its agent.
CRASHED: Final = "its container ended"


def look(hive: Hive) -> list[Told]:
    """Ask for the containers that are to be started again now, and hold back whose container crashes too often."""
    with hive.db.read():
        due = [row.name for row in _gone() if _is_due(hive, row.name) and _always(hive, row)]
    if not due:
        return []
    told: list[Told] = []
    with hive.db.write():
        # Meanwhile somebody may have started it, or taken it away.
        for name in [AgentName(row.name) for row in _gone() if row.name in due and _is_due(hive, row.name)]:
            seen = ObservationRow.get(ObservationRow.agent == name)
            if seen.start_at is None:
                # It was started, and that came to nothing: as good as another crash.
                observations.count_crash(hive, name)
            elif seen.crashes >= CRASHES:
                told.append(_hold_back(hive, name))
            else:
                operations.ask(hive, name, Verb.START, by=operations.HIVE, argument=CRASHED)
                ObservationRow.update(start_at=None).where(ObservationRow.agent == name).execute()
    for who in observations.to_ring(told):
        doorbell.ring(hive.paths, who)
    doorbell.ring_hive(hive.paths)
    return told


def _gone() -> list[AgentRow]:
    """The agents that are to have a container, whose container crashed, and to whom nothing is being done. Within a read."""
    crashed = ObservationRow.select(ObservationRow.agent).where(ObservationRow.running == False, ObservationRow.crashes > 0)
    lacking = AgentRow.select(AgentRow.name, AgentRow.deployed).where(
        AgentRow.name.in_(crashed), AgentRow.wanted == Wanted.STARTED, AgentRow.blocked != Blocked.CRASHED
    )
    return [row for row in lacking if not interventions.is_open(AgentName(row.name))]


def _always(hive: Hive, agent: AgentRow) -> bool:
    config, _ = builds.config_of(hive, AgentName(agent.name), agent.deployed)
    return config.restart is Restart.ALWAYS


def _is_due(hive: Hive, name: str) -> bool:
    """Its wait is over, or nobody knows when it would be."""
    start_at = ObservationRow.get(ObservationRow.agent == name).start_at
    # What claims to be later was written before the clock was set back.
    return start_at is None or not timedelta() < start_at - hive.now() <= timedelta(seconds=max(WAITS))


def _hold_back(hive: Hive, name: AgentName) -> Told:
    """Start it no more, and tell. Within a write."""
    observations.forgive(name)
    reason = f"its container ended {CRASHES} times in ten minutes"
    AgentRow.update(blocked=Blocked.CRASHED, blocked_since=hive.now(), blocked_until=None, blocked_reason=reason).where(
        AgentRow.name == name
    ).execute()
    to = notices.watchers(name)
    text = (
        f"crashed: {name} is not started again: {reason}. `hyperhive logs {name}` tells more, "
        f"`hyperhive start {name}` lets it try again."
    )
    notices.notify(hive, to, text)
    return Told(name, tuple(to), text)
