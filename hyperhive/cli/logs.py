"""The command that shows an agent's journal."""

from collections.abc import Iterable

import click

from hyperhive.cli import screen
from hyperhive.cli.params import NAME, pass_hive
from hyperhive.core import journal, roster
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName


@click.command()
@click.argument("name", type=NAME)
@click.option("-f", "--follow", "follows", is_flag=True, help="Go on with what comes.")
@click.option("-n", "lines", type=int, default=journal.LINES, show_default=True, help="How many lines, at most 5000.")
@pass_hive
def logs(hive: Hive, name: AgentName, follows: bool, lines: int) -> None:
    """Show an agent's journal.

    What the program that drives the agent wrote about itself. What the agent said and did is in `hyperhive events`.
    """
    roster.get(hive, name)
    if not follows:
        _print(journal.tail(hive, name, lines=lines))
        return
    for came in journal.follow(hive, name, lines=lines):
        _print(came)


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        # On a terminal a line that is too long must not go on where one of ours could begin.
        if screen.is_terminal():
            screen.quote(line)
        else:
            screen.line(line)
