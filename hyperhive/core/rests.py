"""What holds an agent back after a turn: a login, a limit, an overload."""

from datetime import datetime, timedelta
from typing import Final

from hyperhive.core import notices, observations
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, Blocked, Outcome
from hyperhive.core.tables import AgentRow, TurnRow

# How long an agent rests after an overload, and at most, in seconds; it doubles until a turn ends well.
REST: Final = 30
REST_MOST: Final = 600
# A usage limit is never waited for longer: accounts are counted by the week.
LIMIT_MOST: Final = timedelta(days=8)


def hold_back(
    hive: Hive, agent: AgentRow, outcome: Outcome, error: str | None, until: datetime | None, turn: int | None
) -> list[AgentName]:
    """Hold the agent back as its turn's end demands. Tells once, when it becomes so; gives back whom to ring for."""
    name = AgentName(agent.name)
    now = hive.now()
    times = agent.blocked_times + 1
    rest = now + timedelta(seconds=min(REST * 2 ** min(times - 1, 10), REST_MOST))
    notice: str | None = None
    refused_at = agent.login_refused_at
    match outcome:
        case Outcome.OK:
            blocked, times, until, refused_at = Blocked.NONE, 0, None, None
        case Outcome.LOGIN:
            blocked, until, refused_at = Blocked.LOGIN, None, now
        case Outcome.LIMITED:
            blocked, until = Blocked.LIMITED, min(until or now + timedelta(seconds=REST_MOST), now + LIMIT_MOST)
            if until <= now or times > 1:
                # A reset that has passed, or that was none, would begin the next turn at once, and so for ever.
                until = max(until, rest)
            if not _ended_so_before(name, turn, outcome):
                notice = f"limited: {name} has used up what its account allows, and goes on at {until:%Y-%m-%d %H:%M} UTC."
        case Outcome.OVERLOADED | Outcome.TOOLS_LOST:
            blocked, until = Blocked.LIMITED, rest
            if times == 1:
                notice = f"not_ready: {name} cannot work now: {error}. It is tried again; `hyperhive logs {name}` tells more."
        case _:
            return []
    AgentRow.update(
        blocked=blocked,
        blocked_since=None if blocked is Blocked.NONE else now,
        blocked_until=until,
        blocked_reason=None if blocked is Blocked.NONE else (error or outcome.value)[:500],
        blocked_times=times,
        login_refused_at=refused_at,
    ).where(AgentRow.name == name).execute()
    if (refused_at is None) != (agent.login_refused_at is None):
        return observations.to_ring(observations.note_login(hive, name, holds=refused_at is None))
    return notices.notify(hive, notices.watchers(name), notice) if notice is not None else []


def lifted() -> dict[str, object]:
    """The columns of an agent that nothing holds back any more."""
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


def _ended_so_before(name: AgentName, turn: int | None, outcome: Outcome) -> bool:
    """The agent's turn before this one ended in the same way, which was told then."""
    before = (
        TurnRow.select(TurnRow.outcome)
        .where(TurnRow.agent == name, TurnRow.number < turn, TurnRow.outcome.is_null(False))
        .order_by(TurnRow.number.desc())
        .first()
    )
    return before is not None and before.outcome is outcome
