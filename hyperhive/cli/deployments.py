"""Commands about what agents were given: history, going back, trying again, renewing."""

import click
import msgspec

from hyperhive.cli import render, screen, words
from hyperhive.cli.params import NAME, as_json, pass_hive
from hyperhive.cli.render import Column, Row
from hyperhive.core import deployments as core
from hyperhive.core.deployments import Deployment
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, DeploymentOutcome

_HISTORY = (
    Column("N", right=True),
    Column("WHAT"),
    Column("OUTCOME"),
    Column("COMMIT"),
    Column("BY", shrinks=True, drops=True),
    Column("STARTED", drops=True),
    Column("TOOK", right=True, drops=True),
)
_COLOURS = {DeploymentOutcome.DEPLOYED: "green", DeploymentOutcome.FAILED: "red", None: "yellow"}


@click.command()
@click.argument("name", type=NAME)
@as_json
@pass_hive
def history(hive: Hive, name: AgentName, as_json: bool) -> None:
    """Show what an agent was given, and how that went.

    The newest hundred, oldest first; a star marks what is applied now.
    """
    found = core.history(hive, name)
    applied = core.applied_number(hive, name)
    if as_json:
        render.json([{**msgspec.structs.asdict(one), "applied": one.number == applied} for one in found])
    elif found:
        render.table(_HISTORY, [_row(hive, one, is_applied=one.number == applied) for one in found])
    else:
        screen.talk(f"{name} was never given anything")


def _row(hive: Hive, one: Deployment, *, is_applied: bool) -> Row:
    now = hive.now()
    outcome = one.outcome.value if one.outcome else "under way"
    cells = (
        (f"{'* ' if is_applied else ''}{one.number}", "bold"),
        one.occasion.value,
        (outcome, _COLOURS[one.outcome]),
        (one.commit or "-")[:12],
        one.approved_by or "-",
        words.moment(one.started_at, now),
        words.duration((one.ended_at - one.started_at).total_seconds()) if one.ended_at else "",
    )
    return Row(cells, [one.error] if one.error else [])
