"""What holds an agent back after a turn: a login, a limit, an overload."""

from datetime import datetime, timedelta
from typing import Final

from hyperhive.core import eligibility, notices, observations
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, Blocked, Outcome
from hyperhive.core.tables import AgentRow, TurnRow

# How long an agent rests after an overload, and at most, in seconds; it doubles until a turn ends well.
REST: Final = 30
REST_MOST: Final = 600
# A usage limit is never waited for longer: accounts are counted by the week.
LIMIT_MOST: Final = timedelta(days=8)
# Agents that share an account are held back until the same moment: they go on so far apart, up to so much later.
APART: Final = timedelta(seconds=2)
APART_MOST: Final = timedelta(minutes=2)


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
    if until is not None:
        until = _moment_of_its_own(name, until)
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


def lift_passed(hive: Hive) -> None:
    """Let those go on whose limit has passed. They may go on already; this is what their rows say."""
    now = hive.now()
    with hive.db.read():
        held = list(AgentRow.select().where(AgentRow.blocked == Blocked.LIMITED))
    if not (passed := [row.name for row in held if eligibility.has_passed(row, now)]):
        return
    with hive.db.write():
        for row in AgentRow.select().where(AgentRow.name.in_(passed), AgentRow.blocked == Blocked.LIMITED):
            # How often it was held back stays, until a turn ends well.
            if eligibility.has_passed(row, now):
                AgentRow.update(blocked=Blocked.NONE, blocked_since=None, blocked_until=None, blocked_reason=None).where(
                    AgentRow.name == row.name
                ).execute()


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


def _moment_of_its_own(name: AgentName, until: datetime) -> datetime:
    """The first moment from `until` on at which no other agent goes on. Within a write."""
    near = AgentRow.blocked_until.between(until - APART, until + APART_MOST)
    others = AgentRow.select(AgentRow.blocked_until).where(AgentRow.blocked == Blocked.LIMITED, AgentRow.name != name, near)
    moment = until
    for taken in sorted(row.blocked_until for row in others if row.blocked_until is not None):
        if taken - APART < moment < taken + APART:
            moment = taken + APART
    return min(moment, until + APART_MOST)
