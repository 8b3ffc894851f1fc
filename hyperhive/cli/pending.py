"""The command that shows what waits for a decision."""

import click

from hyperhive.cli import render, screen, words
from hyperhive.cli.params import SECONDS, as_json, pass_hive
from hyperhive.cli.render import Column, Row
from hyperhive.core import pending as core
from hyperhive.core.errors import Invalid
from hyperhive.core.hive import Hive
from hyperhive.core.pending import Pending

_COLUMNS = (
    Column("N", right=True),
    Column("KIND"),
    Column("AGENT"),
    Column("BY", drops=True),
    Column("ASKED", right=True, drops=True),
    Column("UNTIL", drops=True),
    Column("ABOUT", shrinks=True),
)


@click.command()
@click.option("--wait", is_flag=True, help="Wait until there is something.")
@click.option("--timeout", type=SECONDS, metavar="S", help="With --wait: give up after so many seconds.")
@as_json
@pass_hive
def pending(hive: Hive, wait: bool, timeout: float | None, as_json: bool) -> None:
    """Show all that waits for your decision.

    The oldest first: proposals of new agents and configurations, uses of tools, questions. `hyperhive show N` shows one of
    them whole.
    """
    if timeout is not None and not wait:
        raise Invalid("only one who waits gives up", hint=f"hyperhive pending --wait --timeout {timeout:g}")
    found = core.wait(hive, seconds=timeout) if wait else core.listed(hive)
    if as_json:
        render.json(found)
    elif found:
        render.table(_COLUMNS, [_row(hive, one) for one in found])
    else:
        screen.talk("nothing waits for you")


def _row(hive: Hive, one: Pending) -> Row:
    now = hive.now()
    return Row(
        (
            (str(one.number), "bold"),
            one.kind.value,
            (one.agent, "bold"),
            "" if one.asker == one.agent else one.asker,
            words.age(one.asked_at, now),
            words.moment(one.deadline, now) if one.deadline else "",
            one.about,
        )
    )
