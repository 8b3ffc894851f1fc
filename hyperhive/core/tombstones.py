"""What is kept of agents that were destroyed, which a new agent of the name takes over."""

from datetime import datetime

import msgspec

from hyperhive.core import holding, messages
from hyperhive.core.agent_view import UnderWay
from hyperhive.core.errors import Conflict
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, Flavor, Wanted
from hyperhive.core.tables import AgentRow


class Tombstone(msgspec.Struct, frozen=True):
    """An agent that was destroyed and is kept. `deployed` is what it ran on at last, where it ever ran on anything."""

    name: str
    flavor: Flavor
    created_at: datetime
    destroyed_at: datetime | None
    deployed: int | None
    under_way: UnderWay | None


def listed(hive: Hive) -> list[Tombstone]:
    """All that are kept, by name; without what is being made at this moment."""
    with hive.db.read():
        rows = list(AgentRow.select().where(AgentRow.wanted == Wanted.DESTROYED).order_by(AgentRow.name))
    under_way = holding.running(hive) if rows else {}
    # An agent's row is one of these until all that it needs is there.
    found = [(row, under_way.get(row.name)) for row in rows]
    return [
        Tombstone(
            name=row.name,
            flavor=row.flavor,
            created_at=row.created_at,
            destroyed_at=row.destroyed_at,
            deployed=row.deployed,
            under_way=busy,
        )
        for row, busy in found
        if busy is None or busy.verb not in holding.MAKES
    ]


def check(name: AgentName) -> None:
    """Refuse what is no tombstone. Within a read or write. Raises `NotFound`, and `Conflict` for an agent that lives."""
    row = AgentRow.get_or_none(AgentRow.name == name)
    if row is None:
        raise messages.no_such_agent(name)
    if row.wanted is not Wanted.DESTROYED:
        raise Conflict(f"{name} lives", hint=f"`hyperhive destroy --purge {name}` ends it first")
