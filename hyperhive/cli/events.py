"""The command that shows what an agent's turns said and did."""

import click

from hyperhive.cli import render, screen, story
from hyperhive.cli.params import NAME, as_json, pass_hive
from hyperhive.core import events as core
from hyperhive.core import follow, roster
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, Event


@click.command()
@click.argument("name", type=NAME)
@click.option("-f", "--follow", "follows", is_flag=True, help="Go on with what comes.")
@click.option(
    "-n", "newest", type=click.IntRange(min=0, max=2**62), default=100, show_default=True, help="How many of the newest."
)
@click.option("--full", is_flag=True, help="Nothing is shortened.")
@as_json
@pass_hive
def events(hive: Hive, name: AgentName, follows: bool, newest: int, full: bool, as_json: bool) -> None:
    """Show what an agent's turns said and did.

    Its words, a line for each tool call, edits as differences, results in short. What another wrote stands behind a bar.
    --json prints one object a line.
    """
    agent = roster.get(hive, name)
    if not agent.keeps_events:
        screen.talk(f"note: the events of {name} cannot be stored: what is shown here goes with its harness")
    if follows:
        for came in follow.history(hive, name, newest=newest):
            _print(came, full=full, as_json=as_json)
        return
    found = core.history(hive, name, limit=newest)
    if not found and not as_json:
        screen.talk(f"{name} has done nothing yet")
    _print(found, full=full, as_json=as_json)


def _print(found: list[Event], *, full: bool, as_json: bool) -> None:
    for event in found:
        if as_json:
            render.json_line(event)
        else:
            story.show(event, full=full)
