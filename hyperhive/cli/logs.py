"""The command that shows an agent's journal."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import click

from hyperhive.cli import params, render, screen
from hyperhive.cli.params import NAME, as_json, pass_hive
from hyperhive.core import journal
from hyperhive.core.agent_log import Unit
from hyperhive.core.hive import Hive
from hyperhive.core.journal import Line
from hyperhive.core.model import AgentName

ALL: Final = "all"
_STYLES: Final = {Unit.HARNESS: "cyan", Unit.CONTAINER: "magenta"}
# Stands before what a line goes on with, so that it does not pass for a line of its own.
_ON: Final = "  ↳ "


@click.command()
@click.argument("name", type=NAME)
@click.option("--unit", type=click.Choice([*map(str, Unit), ALL]), default=ALL, show_default=True, help="Whose lines.")
@click.option("-f", "--follow", "follows", is_flag=True, help="Go on with what comes.")
@click.option("-n", "lines", type=int, default=journal.LINES, show_default=True, help="How many lines, at most 5000.")
@params.since
@click.option("--all-boots", is_flag=True, help="Also what comes from earlier starts of the machine.")
@as_json
@pass_hive
def logs(
    hive: Hive, name: AgentName, unit: str, follows: bool, lines: int, since: datetime | None, all_boots: bool, as_json: bool
) -> None:
    """Show an agent's journal.

    Of the program that drives the agent (harness): what it wrote about itself. Of its container: what programs in it said
    about their troubles. What the agent said and did is in `hyperhive events`. Times are of UTC; --json prints one object
    a line.
    """
    units = tuple(Unit) if unit == ALL else (Unit(unit),)
    if not follows:
        _print(journal.tail(hive, name, units=units, lines=lines, since=since, all_boots=all_boots), as_json=as_json)
        return
    for came in journal.follow(hive, name, units=units, lines=lines, since=since, all_boots=all_boots):
        _print(came, as_json=as_json)


def _print(lines: Iterable[Line], *, as_json: bool) -> None:
    for line in lines:
        if as_json:
            render.json_line(line)
        else:
            show(line)


def show(line: Line) -> None:
    """Write one line of a journal: when, whose, what. It goes on behind a mark where it does not fit."""
    at = f"{line.at:%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z" if line.at else "-"
    head = f"{at} {line.unit:<9} "
    text = screen.one_line(line.line)
    first = next(screen.wrapped(text, screen.cells(head)), "")
    screen.line((f"{at} ", "dim"), (f"{line.unit:<9} ", _STYLES[line.unit]), first)
    if rest := text[len(first) :].lstrip(" "):
        for part in screen.wrapped(rest, screen.cells(_ON)):
            screen.line((_ON, "dim"), part)
