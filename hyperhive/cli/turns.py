"""Commands about turns: how they ended, what they cost, how one is ended."""

from datetime import datetime

import click

from hyperhive.cli import notes, params, render, screen, words
from hyperhive.cli.params import NAME, as_json, pass_hive
from hyperhive.cli.render import Column, Row
from hyperhive.core import turns as core
from hyperhive.core import usage, wishes
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, AgentName, Outcome, Turn

_TURNS = (
    Column("TURN", right=True),
    Column("AGENT"),
    Column("OUTCOME"),
    Column("TIME", right=True, drops=True),
    Column("COST", right=True),
    Column("IN", right=True, drops=True),
    Column("OUT", right=True, drops=True),
    Column("ENDED", drops=True),
    Column("MODEL", shrinks=True, drops=True),
)
_COST = (
    Column("DAY"),
    Column("AGENT"),
    Column("TURNS", right=True),
    Column("COST", right=True),
    Column("TIME", right=True, drops=True),
    Column("IN", right=True, drops=True),
    Column("OUT", right=True, drops=True),
    Column("CACHE READ", right=True, drops=True),
)


@click.command()
@click.argument("name", type=NAME, required=False)
@as_json
@pass_hive
def turns(hive: Hive, name: AgentName | None, as_json: bool) -> None:
    """Show how turns ended and what they cost.

    The newest fifty.
    """
    found = core.listed(hive, name)
    if as_json:
        render.json(found)
    elif found:
        render.table(_TURNS, [_row(hive, turn) for turn in found])
    else:
        screen.talk("there was no turn yet")


@click.command()
@click.argument("name", type=NAME, required=False)
@params.since
@as_json
@pass_hive
def cost(hive: Hive, name: AgentName | None, since: datetime | None, as_json: bool) -> None:
    """Show what agents cost, by day.

    US dollars as the agent CLI counts them; a day is one of UTC.
    """
    found = usage.cost(hive, name, since)
    if as_json:
        render.json(found)
        return
    if not found:
        screen.talk("no turn has ended in this time")
        return
    rows = [
        Row(
            (
                one.day.isoformat(),
                (one.agent, "bold"),
                str(one.turns),
                words.money(one.cost_usd),
                words.duration(one.seconds),
                str(one.input_tokens),
                str(one.output_tokens),
                str(one.cache_read_tokens),
            )
        )
        for one in found
    ]
    total = (
        ("all", "bold"),
        "",
        str(sum(one.turns for one in found)),
        (words.money(sum(one.cost_usd for one in found)), "bold"),
        words.duration(sum(one.seconds for one in found)),
        str(sum(one.input_tokens for one in found)),
        str(sum(one.output_tokens for one in found)),
        str(sum(one.cache_read_tokens for one in found)),
    )
    render.table(_COST, [*rows, Row(total)])


@click.command()
@click.argument("name", type=NAME)
@click.option("--retry", is_flag=True, help="Its messages come again instead of ending as cancelled.")
@pass_hive
def cancel(hive: Hive, name: AgentName, retry: bool) -> None:
    """End the turn that an agent is in."""
    wishes.cancel(hive, name, by=OPERATOR, retry=retry)
    screen.line(f"the turn of {name} is cancelled" + ("; its messages come again" if retry else ""))


@click.command()
@click.argument("name", type=NAME)
@pass_hive
def compact(hive: Hive, name: AgentName) -> None:
    """Make an agent's conversation shorter.

    It happens before its next turn.
    """
    wishes.compact(hive, name, by=OPERATOR)
    screen.line(f"the conversation of {name} will be compacted before its next turn")
    notes.hive_is_down(hive)


def _row(hive: Hive, turn: Turn) -> Row:
    now = hive.now()
    outcome = turn.outcome.value if turn.outcome else "running"
    cells = (
        str(turn.number),
        (turn.agent, "bold"),
        (outcome, "" if turn.outcome in (Outcome.OK, None) else "red"),
        words.duration(((turn.ended_at or now) - turn.started_at).total_seconds()),
        words.money(turn.cost_usd),
        str(turn.input_tokens),
        str(turn.output_tokens),
        words.moment(turn.ended_at, now) if turn.ended_at else "",
        turn.model or "-",
    )
    return Row(cells, [turn.error] if turn.error else [])
