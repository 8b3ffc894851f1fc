"""Turns: who works on which messages, how it ended, what it cost."""

from datetime import datetime, timedelta
from typing import Final

import msgspec

from hyperhive.core import approvals, doorbell, eligibility, leases, messages, notices, observations, operations, rests
from hyperhive.core.errors import Conflict
from hyperhive.core.hive import Hive
from hyperhive.core.model import Activity, AgentName, Blocked, Message, Outcome, Turn
from hyperhive.core.tables import AgentRow, TurnRow

# The waits before an agent is started again whose harness ended without finishing a turn, in seconds.
BACK_OFF: Final = (0, 1, 2, 4, 8, 15, 30)
CRASHES: Final = 5
CRASH_WINDOW: Final = timedelta(minutes=10)
# How many lines of news an agent is told.
NEWS_MOST: Final = 5


class Current(msgspec.Struct, frozen=True):
    """The turn that an agent is in now."""

    epoch: int
    turn: int


class Begun(msgspec.Struct, frozen=True):
    """A turn with what it was given: its messages, and what happened to the agent since the last one."""

    number: int
    messages: list[Message]
    news: str


class Usage(msgspec.Struct, frozen=True):
    """What a turn used: tokens, and US dollars."""

    model: str | None = None
    cost_usd: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


class Fenced(Conflict):
    """Another harness has taken the agent: what this one knows is out of date."""


def begin_epoch(hive: Hive, name: AgentName) -> int:
    """A new harness takes the agent. By the holder of the agent's harness lock.

    Messages of any earlier turn come again, open turns end as `lost`, and what was asked of an earlier harness, or by
    one, is over. Gives back the number of the epoch. The fifth harness in ten minutes whose predecessor finished no turn
    finds the agent blocked as crashed; it must leave. One that ended with the machine is no crash. Raises `Fenced` when
    the agent is gone.
    """
    now, boot = hive.now(), hive.boot()
    with hive.db.write():
        agent = AgentRow.get_or_none(AgentRow.name == name)
        if agent is None:
            raise Fenced(f"{name} is gone")
        leases.give_back_all(name)
        approvals.withdraw_tools(hive, name)
        operations.drop_of_earlier(hive, name)
        TurnRow.update(outcome=Outcome.LOST, ended_at=now).where(TurnRow.agent == name, TurnRow.outcome.is_null()).execute()
        anew = is_anew(agent, boot)
        fresh = anew or agent.empty_since is None or not timedelta() <= now - agent.empty_since <= CRASH_WINDOW
        starts = 1 if fresh else agent.empty_starts + 1
        changes = {
            "epoch": agent.epoch + 1,
            "boot": boot or agent.boot,
            "activity": Activity.IDLE,
            "activity_since": now,
            "empty_starts": starts,
            "empty_since": now if fresh else agent.empty_since,
            # For the next one, should this one finish no turn.
            "not_before": now + timedelta(seconds=BACK_OFF[min(starts, len(BACK_OFF)) - 1]),
        }
        told: list[AgentName] = []
        if agent.ended_epoch < agent.epoch and not anew:
            told += observations.to_ring(observations.note_death(hive, agent))
        if starts > CRASHES:
            reason = f"it was started {CRASHES} times in ten minutes and finished no turn"
            changes |= {"blocked": Blocked.CRASHED, "blocked_since": now, "blocked_until": None, "blocked_reason": reason}
            changes |= {"empty_starts": 0, "empty_since": None}
            told += notices.notify(
                hive,
                notices.watchers(name),
                f"crashed: {name} is not started again: {reason}. `hyperhive logs {name}` tells more, "
                f"`hyperhive start {name}` lets it try again.",
            )
        AgentRow.update(**changes).where(AgentRow.name == name).execute()
        if anew:
            add_news(name, "The machine was started anew.")
        epoch = agent.epoch + 1
    for who in told:
        doorbell.ring(hive.paths, who)
    return epoch


def is_anew(agent: AgentRow, boot: str | None) -> bool:
    """The machine was started anew since the agent's last epoch began, as far as both are known."""
    return None not in (agent.boot, boot) and agent.boot != boot


def end_epoch(hive: Hive, name: AgentName, *, epoch: int) -> None:
    """The harness ends in order: nothing that it leaves behind is a crash."""
    with hive.db.write():
        AgentRow.update(
            ended_epoch=epoch,
            activity=Activity.IDLE,
            activity_since=hive.now(),
            empty_starts=0,
            empty_since=None,
            not_before=None,
        ).where(AgentRow.name == name, AgentRow.epoch == epoch).execute()


def begin(hive: Hive, name: AgentName, *, epoch: int, model: str | None, conversation: str) -> Begun | None:
    """Start a turn over what waits; None when nothing does, or when the agent may have no turn now.

    Raises `Fenced` when another harness has the agent.
    """
    now = hive.now()
    with hive.db.write():
        agent = _fence(name, epoch)
        # Here, not before: whoever stops an agent commits that first, and no turn begins after it.
        if not eligibility.is_allowed(hive, name):
            return None
        row = TurnRow.create(agent=name, epoch=epoch, model=model, conversation=conversation, started_at=now)
        handed = leases.lease(hive, name, epoch=epoch, turn=row.number)
        if not handed:
            TurnRow.delete().where(TurnRow.number == row.number).execute()
            return None
        AgentRow.update(news="", activity=Activity.THINKING, activity_since=now).where(AgentRow.name == name).execute()
        return Begun(row.number, handed, agent.news)


def begin_without_mail(
    hive: Hive, name: AgentName, *, epoch: int, model: str | None, conversation: str, activity: Activity
) -> int:
    """Start a turn that no message asked for: a background task that ended, or a compaction. Raises `Fenced`."""
    now = hive.now()
    with hive.db.write():
        _fence(name, epoch)
        row = TurnRow.create(agent=name, epoch=epoch, model=model, conversation=conversation, started_at=now)
        AgentRow.update(activity=activity, activity_since=now).where(AgentRow.name == name).execute()
        return int(row.number)


def end(
    hive: Hive,
    name: AgentName,
    *,
    epoch: int,
    turn: int,
    outcome: Outcome,
    usage: Usage,
    error: str | None = None,
    until: datetime | None = None,
    retry: bool = False,
) -> None:
    """Store how a turn ended and decide its messages, in one transaction fenced by (epoch, turn).

    `until` is when a usage limit ends; `retry` gives the messages of a cancelled turn back. Raises `Fenced` when the
    turn is not this harness's to decide any more.
    """
    now = hive.now()
    with hive.db.write():
        agent = _fence(name, epoch)
        changed = (
            TurnRow.update(
                outcome=outcome,
                error=error and error[:2000],
                model=usage.model or TurnRow.model,
                cost_usd=usage.cost_usd,
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                cache_read_tokens=usage.cache_read_tokens,
                cache_write_tokens=usage.cache_write_tokens,
                ended_at=now,
            )
            .where(TurnRow.number == turn, TurnRow.agent == name, TurnRow.epoch == epoch, TurnRow.outcome.is_null())
            .execute()
        )
        if not changed:
            raise Fenced(f"turn {turn} of {name} was decided already")
        approvals.withdraw_tools(hive, name, epoch=epoch, turn=turn)
        told: list[AgentName] = []
        match outcome:
            case Outcome.OK:
                leases.acknowledge(hive, name, epoch=epoch, turn=turn)
            case Outcome.FAILED:
                told = leases.fail(hive, name, epoch=epoch, turn=turn, reason=error or "the turn failed")
            case Outcome.CANCELLED if not retry:
                leases.cancel(hive, name, epoch=epoch, turn=turn)
            case _:
                leases.give_back(name, epoch=epoch, turn=turn)
        AgentRow.update(activity=Activity.IDLE, activity_since=now, empty_starts=0, empty_since=None, not_before=None).where(
            AgentRow.name == name
        ).execute()
        told += rests.hold_back(hive, agent, outcome, error, until, turn)
    for who in told:
        doorbell.ring(hive.paths, who)


def not_ready(hive: Hive, name: AgentName, *, epoch: int, reason: str) -> None:
    """No turn could begin: the agent rests for a while, which counts no attempt, and the reason is shown."""
    with hive.db.write():
        agent = _fence(name, epoch)
        told = rests.hold_back(hive, agent, Outcome.TOOLS_LOST, reason, None, None)
    for who in told:
        doorbell.ring(hive.paths, who)


def set_activity(hive: Hive, name: AgentName, *, epoch: int, activity: Activity) -> None:
    """Write down what the agent does now."""
    with hive.db.write():
        AgentRow.update(activity=activity, activity_since=hive.now()).where(
            AgentRow.name == name, AgentRow.epoch == epoch
        ).execute()


def add_news(name: AgentName, text: str) -> None:
    """Something that the agent's next prompt begins with. Within a write."""
    news = AgentRow.get(AgentRow.name == name).news
    lines = [line for line in news.splitlines() if line and line != text]
    AgentRow.update(news="\n".join([*lines[1 - NEWS_MOST :], text])).where(AgentRow.name == name).execute()


def close_books(hive: Hive, name: AgentName) -> None:
    """Nobody works for the agent any more: messages come back, its turn is interrupted, nothing of it is a crash.

    Within a write, by the one who holds the agent.
    """
    now = hive.now()
    leases.give_back_all(name)
    approvals.withdraw_tools(hive, name)
    operations.drop_of_earlier(hive, name)
    TurnRow.update(outcome=Outcome.INTERRUPTED, ended_at=now).where(TurnRow.agent == name, TurnRow.outcome.is_null()).execute()
    AgentRow.update(
        ended_epoch=AgentRow.epoch, activity=Activity.IDLE, activity_since=now, empty_starts=0, empty_since=None, not_before=None
    ).where(AgentRow.name == name).execute()


def current(hive: Hive, name: AgentName) -> Current | None:
    """The turn that the agent is in now, or None."""
    with hive.db.read():
        agent = AgentRow.get_or_none(AgentRow.name == name)
        if agent is None:
            return None
        row = (
            TurnRow.select(TurnRow.number)
            .where(TurnRow.agent == name, TurnRow.epoch == agent.epoch, TurnRow.outcome.is_null())
            .order_by(TurnRow.number.desc())
            .first()
        )
        return None if row is None else Current(agent.epoch, row.number)


def listed(hive: Hive, name: str | None = None, *, limit: int = 50) -> list[Turn]:
    """The newest turns, of one agent or of all, oldest first. Raises `NotFound` for an unknown agent."""
    with hive.db.read():
        query = TurnRow.select()
        if name is not None:
            if AgentRow.get_or_none(AgentRow.name == name) is None:
                raise messages.no_such_agent(name)
            query = query.where(TurnRow.agent == name)
        return [turn_from(row) for row in query.order_by(TurnRow.number.desc()).limit(limit)][::-1]


def latest(name: str | None = None) -> dict[str, TurnRow]:
    """Each agent's last turn that ended, or that of one: its outcome, times and cost. Within a read."""
    # One look into the index an agent, however many turns there were.
    of_agent = TurnRow.alias()
    newest = (
        of_agent.select(of_agent.number)
        .where(of_agent.agent == AgentRow.name, of_agent.outcome.is_null(False))
        .order_by(of_agent.number.desc())
        .limit(1)
    )
    numbers = AgentRow.select(newest)
    shown = (TurnRow.number, TurnRow.agent, TurnRow.outcome, TurnRow.started_at, TurnRow.ended_at, TurnRow.cost_usd)
    found = TurnRow.select(*shown).where(TurnRow.number.in_(numbers if name is None else numbers.where(AgentRow.name == name)))
    return {row.agent: row for row in found}


def turn_from(row: TurnRow) -> Turn:
    """The value of a row."""
    return Turn(
        number=row.number,
        agent=row.agent,
        epoch=row.epoch,
        outcome=row.outcome,
        error=row.error,
        model=row.model,
        conversation=row.conversation,
        cost_usd=row.cost_usd,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cache_read_tokens=row.cache_read_tokens,
        cache_write_tokens=row.cache_write_tokens,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )


def _fence(name: AgentName, epoch: int) -> AgentRow:
    agent = AgentRow.get_or_none(AgentRow.name == name)
    if agent is None or agent.epoch != epoch:
        raise Fenced(f"another harness has taken {name}")
    return agent
