"""Who is there: every agent as the operator sees it."""

from typing import TYPE_CHECKING

from hyperhive.core import eligibility, holding, messages, observations, turns
from hyperhive.core.agent_view import Agent, LastTurn, Mail, TurnState
from hyperhive.core.builds import model_of
from hyperhive.core.conditions import Conditions
from hyperhive.core.errors import Denied, NotFound
from hyperhive.core.hive import Hive
from hyperhive.core.locks import is_held
from hyperhive.core.model import Activity, AgentName, Blocked, Flavor, Wanted
from hyperhive.core.tables import AgentRow, TurnRow

if TYPE_CHECKING:
    from peewee import ModelSelect


def living(name: AgentName) -> AgentRow:
    """The row of an agent that was not destroyed. Within a read or write. Raises `NotFound`."""
    row = AgentRow.get_or_none(AgentRow.name == name)
    if row is None:
        raise messages.no_such_agent(name)
    if row.wanted is Wanted.DESTROYED:
        raise NotFound(f"{name} was destroyed", hint=f"`hyperhive spawn {name}` makes it anew from what is kept")
    return row


def manager(name: AgentName) -> AgentRow:
    """The row of a manager that was not destroyed. Within a read or write. Raises `NotFound`, `Denied`."""
    row = living(name)
    if row.flavor is not Flavor.MANAGER:
        raise Denied(f"{name} is no manager", hint="ask a manager, or the operator")
    return row


def get(hive: Hive, name: str) -> Agent:
    """One agent, also a destroyed one. Raises `NotFound`."""
    with hive.db.read():
        found = _seen(hive, AgentRow.select().where(AgentRow.name == name), name)
        if not found:
            raise messages.no_such_agent(name)
    return found[0]


def listed(hive: Hive, *, everything: bool = False) -> list[Agent]:
    """All agents by name, also one that is being made; with `everything` also those that were destroyed and are kept."""
    with hive.db.read():
        query = AgentRow.select().order_by(AgentRow.name)
        if not everything:
            made = [name for name, busy in holding.running(hive).items() if busy.verb in holding.MAKES]
            query = query.where((AgentRow.wanted != Wanted.DESTROYED) | AgentRow.name.in_(made))
        return _seen(hive, query)


def _seen(hive: Hive, query: "ModelSelect[AgentRow]", name: str | None = None) -> list[Agent]:
    """What the rows, the locks and the folders say of all agents of a query, or of the one of that name. Within a read."""
    rows = list(query)
    mail = messages.counts(name)
    last = turns.latest(name)
    under_way = holding.running(hive)
    working = {row.name for row in rows if _works(hive, row.name)}
    # Only a hub makes anybody wait for a place.
    full = is_held(hive.paths.lock("hub")) and _is_full(hive)
    waiting = {one.name: one.waits_since for one in eligibility.eligible(hive)} if full else {}
    conditions = Conditions(hive, {row.runtime for row in rows})
    # Whoever lists agents must not wait for a list of containers: what the watch saw last is seconds old.
    running = observations.running() if conditions.listings else frozenset()
    now = hive.now()

    def agent(row: AgentRow) -> Agent:
        name = AgentName(row.name)
        free = row.blocked is Blocked.LIMITED and eligibility.has_passed(row, now)
        blocked = Blocked.NONE if free else row.blocked
        until = row.blocked_until if blocked is Blocked.LIMITED else None
        if row.name in working:
            turn = TurnState(state=row.activity, since=row.activity_since)
        elif name in waiting:
            turn = TurnState(state=Activity.QUEUED, since=waiting[name])
        else:
            ended = last[row.name].ended_at if row.name in last else None
            turn = TurnState(state=Activity.IDLE, since=ended or row.created_at, until=until)
        return Agent(
            name=row.name,
            flavor=row.flavor,
            runtime=row.runtime,
            wanted=row.wanted,
            running=conditions.is_running(row, seen=row.name in running),
            blocked=blocked,
            blocked_since=row.blocked_since if blocked is not Blocked.NONE else None,
            blocked_until=until,
            blocked_reason=row.blocked_reason if blocked is not Blocked.NONE else None,
            under_way=under_way.get(row.name),
            turn=turn,
            model=row.model or model_of(hive, name, row.deployed),
            mail=mail.get(row.name, Mail(0, 0, 0)),
            logged_in=conditions.is_logged_in(row),
            up_to_date=conditions.is_up_to_date(row) is not False,
            keeps_events=row.keeps_events,
            last_turn=_last_turn(last.get(row.name)),
            deployed=row.deployed,
            epoch=row.epoch,
            uid=row.uid,
            user=row.user,
            created_at=row.created_at,
            warnings=[line for line in row.warnings.splitlines() if line],
        )

    return [agent(row) for row in rows]


def _works(hive: Hive, name: str) -> bool:
    return is_held(hive.paths.harness_lock(AgentName(name)))


def _is_full(hive: Hive) -> bool:
    """As many agents work as may at once."""
    started = AgentRow.select(AgentRow.name).where(AgentRow.wanted != Wanted.DESTROYED)
    return sum(_works(hive, row.name) for row in started) >= hive.settings.places()


def _last_turn(row: TurnRow | None) -> LastTurn | None:
    if row is None or row.ended_at is None or row.outcome is None:
        return None
    return LastTurn(
        outcome=row.outcome,
        # The clock may have been set back meanwhile.
        seconds=max(0.0, (row.ended_at - row.started_at).total_seconds()),
        cost_usd=row.cost_usd,
        ended_at=row.ended_at,
    )
