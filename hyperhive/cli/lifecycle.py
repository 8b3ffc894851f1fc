"""Commands that start, stop and take away agents."""

from collections.abc import Callable, Sequence
from functools import partial

import click

from hyperhive.cli import asking, notes, screen
from hyperhive.cli.each import each
from hyperhive.cli.params import NAME, SECONDS, pass_hive
from hyperhive.core import agents, roster
from hyperhive.core.errors import Invalid
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, AgentName

_names = click.argument("names", type=NAME, nargs=-1, required=True, metavar="NAME…")
_yes = click.option("--yes", is_flag=True, help="Do not ask.")


@click.command()
@_names
@pass_hive
def start(hive: Hive, names: tuple[AgentName, ...]) -> None:
    """Let agents work, also those that were held back."""
    _each(names, lambda name: agents.start(hive, name, by=OPERATOR), "started")
    notes.hive_is_down(hive)


@click.command()
@_names
@click.option("--timeout", type=SECONDS, default=60.0, show_default=True, help="Seconds to wait for its turn.")
@click.option("--now", is_flag=True, help="Interrupt the turn; its messages come again.")
@pass_hive
def stop(hive: Hive, names: tuple[AgentName, ...], timeout: float, now: bool) -> None:
    """Stop agents; a turn that runs may end first."""
    _each(names, lambda name: agents.stop(hive, name, by=OPERATOR, timeout=timeout, now=now), "stopped")


@click.command()
@_names
@click.option("--now", is_flag=True, help="Interrupt the turn; its messages come again.")
@pass_hive
def restart(hive: Hive, names: tuple[AgentName, ...], now: bool) -> None:
    """Start agents' programs anew, after their turn."""
    _each(names, lambda name: agents.restart(hive, name, by=OPERATOR, now=now), "restarted")
    notes.hive_is_down(hive)


@click.command()
@_names
@pass_hive
def kill(hive: Hive, names: tuple[AgentName, ...]) -> None:
    """End everything that agents run, at once.

    Their messages come back, and they stay stopped.
    """
    _each(names, lambda name: agents.kill(hive, name, by=OPERATOR), "killed")


@click.command()
@_names
@click.option("--purge", is_flag=True, help="Remove their state too. There is no way back.")
@_yes
@pass_hive
def destroy(hive: Hive, names: tuple[AgentName, ...], purge: bool, yes: bool) -> None:
    """Take agents away and keep their state.

    Mail that waits for them ends as expired. `hyperhive spawn` of the same name takes the kept state over.
    """
    for name in names:
        roster.get(hive, name)
        if not yes:
            _ask_for_name(hive, name) if purge else asking.insist(f"Destroy {name}?")
    _each(names, partial(_destroy_and_purge if purge else _destroy, hive), "purged" if purge else "destroyed")


@click.command()
@click.argument("name", type=NAME)
@_yes
@pass_hive
def purge(hive: Hive, name: AgentName, yes: bool) -> None:
    """Remove all that was kept of a destroyed agent.

    There is no way back.
    """
    roster.get(hive, name)
    if not yes:
        _ask_for_name(hive, name)
    agents.purge(hive, name, by=OPERATOR)
    screen.line(f"{name} is purged")


def _destroy(hive: Hive, name: AgentName) -> None:
    agents.destroy(hive, name, by=OPERATOR)


def _destroy_and_purge(hive: Hive, name: AgentName) -> None:
    agents.destroy(hive, name, by=OPERATOR)
    agents.purge(hive, name, by=OPERATOR)


def _ask_for_name(hive: Hive, name: AgentName) -> None:
    asking.check_somebody_is_there()
    screen.talk(f"This removes {hive.paths.agent(name)} with all that {name} made. There is no way back.")
    if click.prompt(f"Type {name} to go on", err=True, default="", show_default=False) != name:
        raise Invalid("that is not its name: nothing was removed", hint=f"hyperhive show {name}")


def _each(names: Sequence[AgentName], act: Callable[[AgentName], object], done: str) -> None:
    def one(name: AgentName) -> None:
        act(name)
        screen.line(f"{name} is {done}")

    each(names, one)
