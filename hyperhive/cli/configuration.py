"""Commands that show, compare and edit what an agent is."""

import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

import click

from hyperhive.cli import approvals, asking, complaints, render, reviews, screen
from hyperhive.cli.params import NAME, POINT, as_json, pass_hive
from hyperhive.core import agent_toml, building, process, proposals, readings, roster
from hyperhive.core import reviews as core
from hyperhive.core.errors import HyperhiveError, Invalid, Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName
from hyperhive.core.reviews import Point


@click.command()
@click.argument("name", type=NAME)
@click.option("--edit", is_flag=True, help="Change it in $VISUAL or $EDITOR, and deploy it.")
@click.option("--yes", is_flag=True, help="With --edit: deploy what was edited without asking.")
@click.option("--file", default=building.FILE, show_default=True, help="Another file of it, such as units/matrix-bridge.service.")
@as_json
@pass_hive
def config(hive: Hive, name: AgentName, edit: bool, yes: bool, file: str, as_json: bool) -> None:
    """Show or edit an agent's configuration.

    What is applied now, as it is written in agent.toml. With --edit it is checked, shown as what it changes, and deployed
    when you agree. A file that is not there yet is made, and another one than agent.toml that you leave empty is removed.
    """
    if yes and not edit:
        raise Invalid("there is nothing to ask about", hint=f"hyperhive config {name}")
    now, data = readings.applied_file(hive, name, file)
    if edit:
        _edit(hive, name, now, file, data or b"", yes=yes)
        return
    # Where there is no such file, this says so.
    if as_json or data is None:
        render.json(readings.config(hive, name, file, now, data))
    elif screen.is_terminal():
        screen.quote(data.decode("utf-8", "replace"))
    else:
        screen.data(data)


@click.command()
@click.argument("name", type=NAME)
@click.argument("first", type=POINT, required=False, metavar="[A]")
@click.argument("second", type=POINT, required=False, metavar="[B]")
@as_json
@pass_hive
def diff(hive: Hive, name: AgentName, first: int | None, second: int | None, as_json: bool) -> None:
    """Show what lies between two configurations of an agent.

    A and B are numbers of deployments, or of proposals. With A alone, the older of it and what is applied now comes first;
    without, what was applied last is compared with what is applied now.
    """
    before, after = readings.ends(hive, name, first, second)
    found = core.compare(hive, name, before.commit, after.commit)
    if as_json:
        render.json(readings.difference(before, after, found))
        return
    screen.talk(f"from {before.number} to {after.number}" + ("" if found.diff else ": nothing differs"))
    reviews.compared(found)


def _edit(hive: Hive, name: AgentName, now: Point, path: str, data: bytes, *, yes: bool) -> None:
    editor = _editor(name)
    with hive.db.read():
        roster.living(name)
    if not yes:
        asking.check_somebody_is_there()
    folder = Path(tempfile.mkdtemp(prefix="hyperhive-edit-"))
    file = folder / Path(path).name
    is_kept = True
    try:
        file.touch(0o600)
        file.write_bytes(data)
        edited = _edited(editor, file) if path == building.FILE else _typed(editor, file, readings.FILE_MOST)
        if edited == data:
            is_kept = False
            screen.line("nothing was changed")
            return
        made = proposals.by_operator(
            hive, name, {path: edited if edited or path == building.FILE else None}, message=f"Edit {path}", onto=now.commit
        )
        is_kept = False
    finally:
        if is_kept:
            screen.talk(f"note: what you wrote is kept in {file}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    if code := approvals.propose(hive, made.number, yes=yes):
        sys.exit(code)


def _edited(editor: list[str], file: Path) -> bytes:
    """What the operator made of the file; once more, as long as that is no configuration and somebody is there to mend it."""
    while True:
        edited = _typed(editor, file, agent_toml.FILE_MOST)
        try:
            _, warnings = agent_toml.read(edited)
        except HyperhiveError as error:
            if not sys.stdin.isatty():
                raise
            complaints.say(error)
            if not asking.agrees("Edit it again?"):
                raise click.Abort from None
            continue
        for warning in warnings:
            screen.talk(f"note: {warning}")
        return edited


def _typed(editor: list[str], file: Path, most: int) -> bytes:
    """What the operator made of the file, or one byte more than it may have."""
    code = process.attach([*editor, str(file)], env=os.environ)
    if code:
        raise Unavailable(f"the editor {editor[0]} ended with code {code}", hint="look at VISUAL and EDITOR")
    with file.open("rb") as written:
        return written.read(most + 1)


def _editor(name: AgentName) -> list[str]:
    words = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "")
    if not words:
        raise Invalid("neither VISUAL nor EDITOR says which editor to use", hint=f"EDITOR=nano hyperhive config {name} --edit")
    return words
