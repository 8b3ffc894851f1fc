"""The command that says what is wrong with the machine."""

import os
import sys

import click

from hyperhive.cli import render, screen
from hyperhive.cli.params import as_json
from hyperhive.core import doctor as core
from hyperhive.core.doctor import Finding, Level
from hyperhive.core.errors import Unavailable

_COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.ERROR: "bold red"}


@click.command()
@as_json
def doctor(as_json: bool) -> None:
    """Say what is wrong with this machine.

    Each finding is ok, a warning or an error, with what to type. An error ends with exit code 7.
    """
    found: list[Finding] = []
    for finding in core.examine(os.environ):
        found.append(finding)
        if not as_json:
            _show(finding)
    if as_json:
        render.json(found)
    if any(finding.level is Level.ERROR for finding in found):
        sys.exit(Unavailable.exit_code)


def _show(finding: Finding) -> None:
    screen.hanging((f"{finding.level:<8}", _COLOURS[finding.level]), (f"{finding.check:<10}", "bold"), text=finding.message)
    if finding.hint:
        # Left to the terminal to wrap: so it is copied as one line.
        screen.line(" " * 18 + f"→ {finding.hint}")
