"""What the hive is like at one moment, as far as it is watched."""

from datetime import datetime, timedelta
from typing import Final

import msgspec

from hyperhive.core import messages, pending, roster
from hyperhive.core.agent_view import Agent
from hyperhive.core.hive import Hive
from hyperhive.core.locks import is_held
from hyperhive.core.model import OPERATOR, Activity
from hyperhive.core.pending import Pending

_YOUNG: Final = timedelta(seconds=61)


class Look(msgspec.Struct, frozen=True):
    """Who is there, what waits for the operator, how many messages do; `is_up`: somebody starts the agents."""

    at: datetime
    is_up: bool
    agents: tuple[Agent, ...] = ()
    waiting: tuple[Pending, ...] = ()
    unread: int = 0

    @property
    def at_work(self) -> int:
        """How many agents are in a turn."""
        return sum(agent.turn.state not in (Activity.IDLE, Activity.QUEUED) for agent in self.agents)

    def is_young(self, now: datetime) -> bool:
        """Something began so lately that it is told in seconds since when."""
        began = [one.asked_at for one in self.waiting]
        for agent in self.agents:
            began += [at for at in (agent.turn.since, agent.blocked_since) if at is not None]
            began += [agent.under_way.since] if agent.under_way is not None else []
        return any(now - at < _YOUNG for at in began)

    def agent(self, name: str) -> Agent | None:
        """The agent of that name, if it is there."""
        return next((agent for agent in self.agents if agent.name == name), None)

    def one_waiting(self, number: int) -> Pending | None:
        """What waits under that number, if it does."""
        return next((one for one in self.waiting if one.number == number), None)


def look(hive: Hive) -> Look:
    """See how things are. Raises what the database raises."""
    return Look(
        at=hive.now(),
        is_up=is_held(hive.paths.lock("hub")),
        agents=tuple(roster.listed(hive)),
        waiting=tuple(pending.listed(hive)),
        unread=messages.count_waiting(hive, OPERATOR),
    )
