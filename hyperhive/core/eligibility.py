"""Which agents are to be given a turn: one query for the hub, the watch and the harness."""

from datetime import datetime, timedelta
from typing import Final

import msgspec
from peewee import Expression, fn

from hyperhive.core import holding
from hyperhive.core.columns import from_milliseconds, rows
from hyperhive.core.hive import Hive
from hyperhive.core.locks import is_held
from hyperhive.core.model import AgentName, Blocked, MessageState, OperationState, Verb, Wanted
from hyperhive.core.tables import AgentRow, MessageRow, OperationRow

# What a harness is started for even when there is no mail.
COMMANDS = (Verb.COMPACT,)
# The longest that a start is put off; what claims to be later was written before the clock was set back.
WAIT_MOST: Final = timedelta(seconds=30)
# So much may a clock be corrected without a meaning.
SLACK: Final = timedelta(seconds=5)


class Eligible(msgspec.Struct, frozen=True):
    """An agent that is to be given a turn; `waits_since` is when its oldest message or command came."""

    name: AgentName
    waits_since: datetime


def eligible(hive: Hive, name: AgentName | None = None) -> list[Eligible]:
    """The agents that are to be given a turn now, the longest waiting first.

    Eligible is: wanted started, not blocked, nothing running that needs its harness gone, and mail or a command for
    it; also mail that a harness held which is dead. An agent whose harness died may be put off for some seconds.
    `name` is for that agent's own harness, which holds the agent: it is told only whether there is something to do.
    """
    now = hive.now()
    with hive.db.read():
        allowed = _may_run(hive, now)
        if name is not None:
            allowed &= AgentRow.name == name
        found: dict[str, int] = {}
        # Held by a turn; where no harness lives, by one that is dead.
        held: dict[str, int] = {}
        mail = (
            MessageRow.select(MessageRow.recipient, MessageRow.state, fn.MIN(MessageRow.sent_at).coerce(False))
            .join(AgentRow, on=(AgentRow.name == MessageRow.recipient))
            .where(allowed, MessageRow.state.in_((MessageState.PENDING, MessageState.DELIVERED)))
            .group_by(MessageRow.recipient, MessageRow.state)
            # Within one millisecond the first that was sent comes first: the sort below keeps the order of equals.
            .order_by(fn.MIN(MessageRow.number))
        )
        for recipient, state, since in rows(mail):
            (found if state == MessageState.PENDING else held)[recipient] = since
        commands = (
            OperationRow.select(OperationRow.agent, fn.MIN(OperationRow.asked_at).coerce(False))
            .join(AgentRow, on=(AgentRow.name == OperationRow.agent))
            .where(allowed, OperationRow.state == OperationState.PENDING, OperationRow.verb.in_(COMMANDS))
            .group_by(OperationRow.agent)
        )
        for agent, since in rows(commands):
            found[agent] = min(since, found.get(agent, since))
        put_off = {
            row.name
            for row in AgentRow.select(AgentRow.name).where(AgentRow.not_before > now, AgentRow.not_before <= now + WAIT_MOST)
        }
    for agent, since in held.items():
        if name is not None or not _lives(hive, agent):
            found[agent] = min(since, found.get(agent, since))
    if name is None:
        found = {agent: since for agent, since in found.items() if agent not in put_off or _lives(hive, agent)}
    return [Eligible(AgentName(who), from_milliseconds(since)) for who, since in sorted(found.items(), key=lambda pair: pair[1])]


def is_allowed(hive: Hive, name: AgentName) -> bool:
    """The agent may have a turn, whether or not there is anything for it."""
    with hive.db.read():
        return AgentRow.select().where(_may_run(hive, hive.now()), AgentRow.name == name).exists()


def next_due(hive: Hive) -> datetime | None:
    """When the next agent that is held back by a time may be given a turn, or None."""
    now = hive.now()
    due: list[datetime] = []
    with hive.db.read():
        for row in AgentRow.select().where(AgentRow.wanted == Wanted.STARTED):
            if row.not_before is not None and now < row.not_before <= now + WAIT_MOST:
                due.append(row.not_before)
            if row.blocked is Blocked.LIMITED and row.blocked_until is not None and not has_passed(row, now):
                due.append(row.blocked_until)
    return min(due, default=None)


def has_passed(row: AgentRow, now: datetime) -> bool:
    """The limit that blocked an agent holds it back no more: it is over, or began in what is the future now.

    The clock has then been set back, and nobody knows how long to wait: the next turn tells.
    """
    return (
        row.blocked_until is None
        or row.blocked_until <= now
        or (row.blocked_since is not None and row.blocked_since > now + SLACK)
    )


def _may_run(hive: Hive, now: datetime) -> Expression:
    passed = AgentRow.blocked_until.is_null() | (AgentRow.blocked_until <= now) | (AgentRow.blocked_since > now + SLACK)
    return (
        (AgentRow.wanted == Wanted.STARTED)
        & ((AgentRow.blocked == Blocked.NONE) | ((AgentRow.blocked == Blocked.LIMITED) & passed))
        & AgentRow.name.not_in(sorted(holding.without_harness(hive)))
    )


def _lives(hive: Hive, name: str) -> bool:
    return is_held(hive.paths.harness_lock(AgentName(name)))
