"""Which agents are to be given a turn: one query for the hub, the watch and the harness."""

from datetime import datetime

import msgspec
from peewee import Expression, fn

from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, Blocked, MessageState, OperationState, Verb, Wanted
from hyperhive.core.tables import AgentRow, MessageRow, OperationRow, from_milliseconds, rows

# What needs the agent's harness gone while it runs.
NEEDS_NO_HARNESS = (Verb.STOP, Verb.RESTART, Verb.KILL, Verb.DESTROY, Verb.PURGE)
# What a harness is started for even when there is no mail.
COMMANDS = (Verb.COMPACT,)


class Eligible(msgspec.Struct, frozen=True):
    """An agent that is to be given a turn; `waits_since` is when its oldest message or command came."""

    name: AgentName
    waits_since: datetime


def eligible(hive: Hive, name: AgentName | None = None) -> list[Eligible]:
    """The agents that are to be given a turn now, the longest waiting first; with `name` only that one, if it is.

    Eligible is: wanted started, not blocked, nothing running that needs its harness gone, and mail or a command for it.
    """
    now = hive.now()
    with hive.db.read():
        allowed = _may_run(now)
        if name is not None:
            allowed &= AgentRow.name == name
        found: dict[str, int] = {}
        mail = (
            MessageRow.select(MessageRow.recipient, fn.MIN(MessageRow.sent_at).coerce(False))
            .join(AgentRow, on=(AgentRow.name == MessageRow.recipient))
            .where(allowed, MessageRow.state == MessageState.PENDING)
            .group_by(MessageRow.recipient)
        )
        for recipient, since in rows(mail):
            found[recipient] = since
        commands = (
            OperationRow.select(OperationRow.agent, fn.MIN(OperationRow.asked_at).coerce(False))
            .join(AgentRow, on=(AgentRow.name == OperationRow.agent))
            .where(allowed, OperationRow.state == OperationState.PENDING, OperationRow.verb.in_(COMMANDS))
            .group_by(OperationRow.agent)
        )
        for agent, since in rows(commands):
            found[agent] = min(since, found.get(agent, since))
    return [Eligible(AgentName(who), from_milliseconds(since)) for who, since in sorted(found.items(), key=lambda pair: pair[1])]


def is_allowed(hive: Hive, name: AgentName) -> bool:
    """The agent may have a turn, whether or not there is anything for it."""
    with hive.db.read():
        return AgentRow.select().where(_may_run(hive.now()), AgentRow.name == name).exists()


def next_due(hive: Hive) -> datetime | None:
    """When the next agent that is held back by a time may be given a turn, or None."""
    now = hive.now()
    with hive.db.read():
        times = [
            time
            for row in AgentRow.select(AgentRow.not_before, AgentRow.blocked_until).where(AgentRow.wanted == Wanted.STARTED)
            for time in (row.not_before, row.blocked_until)
            if time is not None and time > now
        ]
    return min(times, default=None)


def _may_run(now: datetime) -> Expression:
    busy = OperationRow.select(OperationRow.agent).where(
        OperationRow.state == OperationState.RUNNING, OperationRow.verb.in_(NEEDS_NO_HARNESS)
    )
    return (
        (AgentRow.wanted == Wanted.STARTED)
        & ((AgentRow.blocked == Blocked.NONE) | ((AgentRow.blocked == Blocked.LIMITED) & (AgentRow.blocked_until <= now)))
        & (AgentRow.not_before.is_null() | (AgentRow.not_before <= now))
        & AgentRow.name.not_in(busy)
    )
