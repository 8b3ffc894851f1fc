"""Commands that leave a hive to the machine: to its systemd, or to cron."""

import os

import click

from hyperhive.cli import screen
from hyperhive.cli.commands import COMMANDS
from hyperhive.cli.params import pass_hive
from hyperhive.core import install as core
from hyperhive.core.hive import Hive
from hyperhive.core.paths import find_paths
from hyperhive.core.systemd import Manager


@click.command()
@click.option("--system", "manager", flag_value=Manager.SYSTEM.value, help="Into the machine's systemd: the default of root.")
@click.option("--user", "manager", flag_value=Manager.USER.value, help="Into your own systemd: the default of all others.")
@click.option("--dry-run", is_flag=True, help="Print the units and change nothing.")
def install(manager: str | None, dry_run: bool) -> None:
    """Have systemd keep the hive up.

    Writes, enables and starts units for the hub, for agents and operations, and timers. Doing it again, after an upgrade
    for example, changes only what differs.
    """
    paths = find_paths(os.environ)
    whose = _manager(manager)
    if dry_run:
        folder = core.folder_of(whose, os.environ)
        for unit in core.plan(paths, whose, _commands(), os.environ):
            screen.raw(f"# {folder / unit.name}\n{unit.text}\n")
        return
    done = core.install(Hive(paths), whose, _commands(), os.environ)
    for what, names in (("wrote", done.written), ("removed", done.removed), ("unchanged", done.unchanged)):
        for name in names:
            screen.line(f"{what} {done.folder / name}")
    for name in done.started:
        screen.line(f"started {name}")
    for note in done.notes:
        screen.talk(f"note: {note}")


@click.command()
@click.option("--system", "manager", flag_value=Manager.SYSTEM.value, help="From the machine's systemd.")
@click.option("--user", "manager", flag_value=Manager.USER.value, help="From your own systemd.")
def uninstall(manager: str | None) -> None:
    """Take the hive out of systemd's care.

    Turns that run are interrupted, and their messages come again. Agents, mail and everything else that is kept stays.
    """
    paths = find_paths(os.environ)
    done = core.uninstall(paths, _manager(manager), os.environ)
    for name in done.removed:
        screen.line(f"removed {done.folder / name}")
    for name in done.left:
        screen.talk(f"note: {done.folder / name} is not hyperhive's own, and stays")
    for name in done.containers:
        screen.talk(f"note: {name} runs on; `hyperhive stop` ends an agent's container")
    if not done.removed:
        screen.talk("note: there was nothing to remove")


@click.command()
@pass_hive
def cron(hive: Hive) -> None:
    """Print the crontab for a machine without systemd.

    Put the lines into the crontab of whom the hive belongs to: `(crontab -l; hyperhive cron) | crontab -`.
    """
    for line in core.crontab_of(_commands(), os.environ):
        screen.raw(f"{line}\n")


def _manager(chosen: str | None) -> Manager:
    return Manager(chosen) if chosen else core.default_manager()


def _commands() -> set[str]:
    """The commands that work here: the dashboard needs its extra."""
    from hyperhive.cli.web import lacks

    return {name for name in COMMANDS if name != "web" or not lacks()}
