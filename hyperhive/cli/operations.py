"""The command that shows what is being done to agents."""

import click

from hyperhive.cli import render, screen, words
from hyperhive.cli.params import as_json, pass_hive
from hyperhive.cli.render import Column, Row
from hyperhive.core import operations as core
from hyperhive.core.hive import Hive
from hyperhive.core.model import Operation, OperationState

_COLUMNS = (
    Column("N", right=True),
    Column("WHAT"),
    Column("AGENT"),
    Column("STATE"),
    Column("BY", shrinks=True),
    Column("ASKED", right=True, drops=True),
)
COLOURS = {
    OperationState.PENDING: "yellow",
    OperationState.RUNNING: "yellow",
    OperationState.DONE: "green",
    OperationState.FAILED: "red",
    OperationState.EXPIRED: "red",
}


@click.command()
@click.option("--all", "everything", is_flag=True, help="Also the newest that are over.")
@as_json
@pass_hive
def operations(hive: Hive, everything: bool, as_json: bool) -> None:
    """Show what is being done to agents, and what waits.

    The oldest first. The hive does what waits, one thing at a time for each agent.
    """
    found = core.listed(hive, everything=everything)
    if as_json:
        render.json(found)
    elif found:
        render.table(_COLUMNS, [_row(hive, one) for one in found])
    else:
        screen.talk("nothing was ever done" if everything else "nothing is being done, and nothing waits")


def _row(hive: Hive, one: Operation) -> Row:
    cells = (
        (str(one.number), "bold"),
        f"{one.verb} {one.argument}" if one.argument and one.argument.isdigit() else one.verb.value,
        (one.agent, "bold"),
        (one.state.value, COLOURS[one.state]),
        one.asked_by,
        words.age(one.asked_at, hive.now()),
    )
    return Row(cells, [one.error] if one.error else [])
