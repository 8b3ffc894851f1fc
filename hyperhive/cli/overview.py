"""Commands that show who is there and what they do."""

from collections.abc import Sequence

import click

from hyperhive.cli import notes as beside
from hyperhive.cli import render, screen, words
from hyperhive.cli.params import as_json, pass_hive
from hyperhive.cli.render import Column, Row
from hyperhive.core import awaited, kept_state, roster
from hyperhive.core.agent_config import AgentLimits
from hyperhive.core.agent_view import Agent, Mail
from hyperhive.core.beneath import Size
from hyperhive.core.hive import Hive
from hyperhive.core.model import Activity, Blocked, Wanted

_COLUMNS = (
    Column("NAME"),
    Column("STATE"),
    Column("MODEL", shrinks=True, drops=True),
    Column("MAIL", shrinks=True),
    Column("LAST TURN", shrinks=True, drops=True),
)
_SHOWN_MOST = 3
_COLOURS = {Activity.THINKING: "green", Activity.COMPACTING: "cyan", Activity.QUEUED: "yellow", Activity.WAITING: "magenta"}


@click.command()
@click.option("--all", "everything", is_flag=True, help="Also the destroyed ones whose state is kept.")
@as_json
@pass_hive
def ps(hive: Hive, everything: bool, as_json: bool) -> None:
    """Show who does what."""
    found = roster.listed(hive, everything=everything)
    kept = kept_state.sizes(hive, found)
    if as_json:
        render.json(kept_state.with_sizes(found, kept) if everything else found)
    else:
        waiting = awaited.numbers(hive)
        if found:
            render.table(_COLUMNS, [_row(hive, agent, waiting.pop(agent.name, []), kept.get(agent.name)) for agent in found])
        else:
            screen.talk("there is no agent yet: `hyperhive spawn NAME`")
        for name, some in waiting.items():
            screen.talk(f"note: {name} is asked for, and {_waits(some)}")
    beside.hive_is_down(hive)


def _row(hive: Hive, agent: Agent, waiting: Sequence[int], kept: Size | None) -> Row:
    cells = (
        (agent.name, "bold"),
        state(hive, agent),
        agent.model or "-",
        (mail(agent.mail), "bold" if agent.mail.dead else ""),
        last_turn(hive, agent),
    )
    more = [*([_waits(waiting)] if waiting else []), *([_size(hive, kept)] if kept is not None else [])]
    return Row(cells, [*notes(agent), *more])


def state(hive: Hive, agent: Agent) -> tuple[str, str]:
    """What an agent does, or is, with its colour."""
    now = hive.now()
    since = words.age(agent.turn.since, now)
    works = agent.turn.state not in (Activity.IDLE, Activity.QUEUED)
    if agent.under_way is not None:
        return f"{agent.under_way.what}… {words.age(agent.under_way.since, now)}", "yellow"
    if agent.wanted is Wanted.DESTROYED:
        return "destroyed", "dim"
    if agent.wanted is Wanted.STOPPED:
        return (f"stops after turn, {agent.turn.state} {since}", "yellow") if works else ("stopped", "dim")
    held = words.age(agent.blocked_since, now)
    match agent.blocked:
        case Blocked.LIMITED if agent.blocked_until is not None:
            return f"limited {held} until {words.moment(agent.blocked_until, now)}".replace("  ", " "), "yellow"
        case Blocked.LOGIN | Blocked.CRASHED | Blocked.LIMITED:
            return f"blocked: {agent.blocked} {held}".strip(), "red"
        case Blocked.NONE:
            return f"{agent.turn.state} {since}".strip(), _COLOURS.get(agent.turn.state, "")


def mail(mail: Mail) -> str:
    """How much mail waits where."""
    parts = [(mail.pending, "waiting"), (mail.delivered, "in turn"), (mail.dead, "dead")]
    return ", ".join(f"{number} {what}" for number, what in parts if number) or "-"


def last_turn(hive: Hive, agent: Agent) -> str:
    """How an agent's last turn went."""
    last = agent.last_turn
    if last is None:
        return "-"
    ago = words.age(last.ended_at, hive.now())
    return f"{last.outcome} {ago} ago, {words.duration(last.seconds)}, {words.money(last.cost_usd)}"


def notes(agent: Agent) -> list[str]:
    """What an agent lacks and what is wrong with it, with what to type, a line each."""
    lives = agent.wanted is not Wanted.DESTROYED
    crashed = lives and agent.blocked is Blocked.CRASHED
    gone = agent.wanted is Wanted.STARTED and not agent.running and agent.under_way is None
    return [
        *([f"its container does not run: `hyperhive start {agent.name}`"] if gone else []),
        *([f"not logged in: `hyperhive login {agent.name}`"] if lives and not agent.logged_in else []),
        *([f"crashed too often: `hyperhive logs {agent.name}`, then `hyperhive start {agent.name}`"] if crashed else []),
        *([f"not up to date: `hyperhive update {agent.name}`"] if lives and not agent.up_to_date else []),
        *troubles(agent),
    ]


def _waits(waiting: Sequence[int]) -> str:
    shown = ", ".join(f"`hyperhive show {number}`" for number in waiting[:_SHOWN_MOST])
    return f"waits for you: {shown}" + (f" and {len(waiting) - _SHOWN_MOST} more" if len(waiting) > _SHOWN_MOST else "")


def _size(hive: Hive, kept: Size) -> str:
    least = "" if kept.complete else "at least "
    age = f", changed {words.age(kept.newest, hive.now())} ago" if kept.newest else ""
    return f"kept: {least}{words.size(kept.bytes)}{age}"


def limits(limits: AgentLimits) -> str:
    """What an agent may use."""
    tasks = words.count(limits.tasks, "task")
    return f"{limits.memory} of memory, {tasks}, {words.duration(limits.turn_minutes * 60)} a turn"


def troubles(agent: Agent) -> list[str]:
    """What is wrong with an agent, a line each."""
    troubles = [agent.blocked_reason] if agent.blocked_reason else []
    if not agent.keeps_events:
        troubles.append("nothing is kept: its events cannot be stored")
    return [*troubles, *agent.warnings]
