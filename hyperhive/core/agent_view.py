"""An agent with all that the operator sees of it."""

from datetime import datetime

import msgspec

from hyperhive.core.model import Activity, Blocked, Flavor, Outcome, Verb, Wanted


class TurnState(msgspec.Struct, frozen=True):
    """What an agent does, since when, and until when where that is known."""

    state: Activity
    since: datetime | None
    until: datetime | None = None


class Mail(msgspec.Struct, frozen=True):
    """How many messages of an agent are where."""

    pending: int
    delivered: int
    dead: int


class LastTurn(msgspec.Struct, frozen=True):
    """How an agent's last turn went."""

    outcome: Outcome
    seconds: float
    cost_usd: float
    ended_at: datetime


class UnderWay(msgspec.Struct, frozen=True):
    """What is being done to an agent now."""

    verb: Verb
    what: str
    since: datetime


class Agent(msgspec.Struct, frozen=True):
    """An agent as the operator sees it."""

    name: str
    flavor: Flavor
    runtime: str
    wanted: Wanted
    running: bool
    blocked: Blocked
    blocked_since: datetime | None
    blocked_until: datetime | None
    blocked_reason: str | None
    under_way: UnderWay | None
    turn: TurnState
    model: str | None
    mail: Mail
    logged_in: bool
    up_to_date: bool
    keeps_events: bool
    last_turn: LastTurn | None
    deployed: int | None
    epoch: int
    uid: int | None
    user: str | None
    created_at: datetime
    warnings: list[str]
