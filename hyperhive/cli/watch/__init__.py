"""The command that watches a hive on the whole screen."""

import click

from hyperhive.cli.params import NAME, pass_hive
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName


@click.command()
@click.argument("name", type=NAME, required=False)
@pass_hive
def watch(hive: Hive, name: AgentName | None) -> None:
    """Watch the hive, and decide, on the whole screen.

    Who does what since when, what waits for you, what the selected agent does; keys approve, deny, answer, cancel, and
    open an agent's events and journal. It begins with NAME selected. `?` shows the keys, `q` leaves.
    """
    # Drawing is for this command alone.
    from hyperhive.cli.watch import watching

    watching.run(hive, name)
