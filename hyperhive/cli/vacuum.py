"""The command that removes what is kept no longer."""

import sys

import click

from hyperhive.cli import complaints, render, screen
from hyperhive.cli.params import as_json, pass_hive
from hyperhive.core import vacuum as core
from hyperhive.core.errors import Unavailable
from hyperhive.core.hive import Hive


@click.command()
@as_json
@pass_hive
def vacuum(hive: Hive, as_json: bool) -> None:
    """Remove what is kept no longer.

    Says what it removed, and nothing when that is nothing. How long what is kept stands in hive.toml. A message that waits, or
    that a turn holds, is never removed. `hyperhive up` does it as it begins, then each hour.
    """
    swept = core.run(hive)
    if as_json:
        render.json(swept)
    elif swept.text:
        screen.line(swept.text)
    for trouble in swept.troubles:
        complaints.say(Unavailable(trouble.message, hint=trouble.hint))
    if swept.troubles:
        sys.exit(Unavailable.exit_code)
