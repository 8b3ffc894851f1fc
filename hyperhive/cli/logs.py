"""The command that shows an agent's journal."""

from collections.abc import Iterable

import click

from hyperhive.cli import render, screen
from hyperhive.cli.params import NAME, as_json, pass_hive
from hyperhive.core import journal, roster
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName


@click.command()
@click.argument("name", type=NAME)
@click.option("-f", "--follow", "follows", is_flag=True, help="Go on with what comes.")
@click.option("-n", "lines", type=int, default=journal.LINES, show_default=True, help="How many lines, at most 5000.")
@as_json
@pass_hive
def logs(hive: Hive, name: AgentName, follows: bool, lines: int, as_json: bool) -> None:
    """Show an agent's journal.

    What the program that drives the agent wrote about itself. What the agent said and did is in `hyperhive events`. --json
    prints one object a line.
    """
    roster.get(hive, name)
    if not follows:
        _print(journal.tail(hive, name, lines=lines), as_json=as_json)
        return
    for came in journal.follow(hive, name, lines=lines):
        _print(came, as_json=as_json)


def _print(lines: Iterable[str], *, as_json: bool) -> None:
    for line in lines:
        if as_json:
            render.json_line({"line": line})
            continue
        # On a terminal a line that is too long must not go on where one of ours could begin.
        if screen.is_terminal():
            screen.quote(line)
        else:
            screen.line(line)
