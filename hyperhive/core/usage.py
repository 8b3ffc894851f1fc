"""What turns cost, summed for each agent and day."""

from datetime import date, datetime
from typing import Final

import msgspec
from peewee import SQL, fn

from hyperhive.core import messages
from hyperhive.core.columns import from_milliseconds, rows
from hyperhive.core.hive import Hive
from hyperhive.core.tables import AgentRow, TurnRow

_DAY: Final = 86_400_000


class Cost(msgspec.Struct, frozen=True):
    """What an agent's turns of one day (UTC) used: US dollars, tokens, seconds."""

    agent: str
    day: date
    turns: int
    cost_usd: float
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    seconds: float


def cost(hive: Hive, name: str | None = None, since: datetime | None = None) -> list[Cost]:
    """The sums of the turns that have ended, by day and agent; `since` leaves out those that ended before.

    Raises `NotFound` for an unknown agent.
    """
    # Whole days in milliseconds: portable, and counted where the rows are.
    day = SQL(f"ended_at / {_DAY}")
    query = TurnRow.select(
        TurnRow.agent,
        day,
        fn.COUNT(TurnRow.number),
        fn.SUM(TurnRow.cost_usd),
        fn.SUM(TurnRow.input_tokens),
        fn.SUM(TurnRow.output_tokens),
        fn.SUM(TurnRow.cache_read_tokens),
        fn.SUM(TurnRow.cache_write_tokens),
        SQL("SUM(ended_at - started_at)"),
    ).where(TurnRow.ended_at.is_null(False))
    with hive.db.read():
        if name is not None:
            if AgentRow.get_or_none(AgentRow.name == name) is None:
                raise messages.no_such_agent(name)
            query = query.where(TurnRow.agent == name)
        if since is not None:
            query = query.where(TurnRow.ended_at >= since)
        found = rows(query.group_by(TurnRow.agent, day).order_by(day, TurnRow.agent))
    return [
        Cost(
            agent,
            from_milliseconds(number * _DAY).date(),
            turns,
            dollars,
            taken,
            given,
            read,
            written,
            spent / 1000,
        )
        for agent, number, turns, dollars, taken, given, read, written, spent in found
    ]
