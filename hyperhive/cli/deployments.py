"""Commands about what agents were given: history, going back, trying again, renewing."""

from functools import partial

import click

from hyperhive.cli import asking, carrying, notes, render, screen, words
from hyperhive.cli import reviews as show
from hyperhive.cli.each import each
from hyperhive.cli.params import DEPLOYED, FAILED, NAME, as_json, pass_hive
from hyperhive.cli.render import Column, Row
from hyperhive.core import deploying, operate, readings, requests, reviews, roster
from hyperhive.core import deployments as core
from hyperhive.core.deployments import Deployment
from hyperhive.core.errors import Invalid
from hyperhive.core.hive import Hive
from hyperhive.core.meta import MetaEntry
from hyperhive.core.model import OPERATOR, AgentName, DeploymentOutcome, Wanted

_HISTORY = (
    Column("N", right=True),
    Column("WHAT"),
    Column("OUTCOME"),
    Column("COMMIT"),
    Column("BY", shrinks=True, drops=True),
    Column("STARTED", drops=True),
    Column("TOOK", right=True, drops=True),
)
_LOG = (
    Column("WHEN"),
    Column("WHAT"),
    Column("AGENT"),
    Column("N", right=True),
    Column("COMMIT", drops=True),
    Column("BY", shrinks=True, drops=True),
    Column("SUBJECT", shrinks=True, drops=True),
)
_COLOURS = {DeploymentOutcome.DEPLOYED: "green", DeploymentOutcome.FAILED: "red", None: "yellow"}

_detach = click.option("--detach", is_flag=True, help="Leave it to the hive, and return at once.")


@click.command()
@click.argument("name", type=NAME)
@as_json
@pass_hive
def history(hive: Hive, name: AgentName, as_json: bool) -> None:
    """Show what an agent was given, and how that went.

    The newest hundred, oldest first; a star marks what is applied now.
    """
    if as_json:
        render.json(readings.history(hive, name))
        return
    found = core.history(hive, name)
    applied = core.applied_number(hive, name)
    if found:
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


@click.command()
@click.argument("name", type=NAME)
@click.argument("number", type=DEPLOYED, required=False, metavar="[N]")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_detach
@pass_hive
def rollback(hive: Hive, name: AgentName, number: int | None, yes: bool, detach: bool) -> None:
    """Go back to an earlier configuration of an agent.

    To that of the deployment N, or to the one before what is applied now. It is a deployment of its own: the history only
    grows.
    """
    target = deploying.earlier(hive, name, number)
    now = reviews.current(hive, name)
    if not yes:
        asking.check_somebody_is_there()
    assert target.commit is not None
    show.compared(reviews.compare(hive, name, now.commit, target.commit))
    if not yes:
        asking.insist(f"Give {name} the files of deployment {target.number}?")
    new, operation = deploying.roll_back(hive, name, to=target.number, over=now.commit, by=OPERATOR)
    carrying.deploy(hive, name, new, operation, detach=detach)


@click.command()
@click.argument("number", type=FAILED, metavar="N")
@_detach
@pass_hive
def deploy(hive: Hive, number: int, detach: bool) -> None:
    """Try a deployment that failed once more.

    As a deployment of its own: nobody is asked again, for the commit is the same.
    """
    new, operation = deploying.again(hive, number, by=OPERATOR)
    carrying.deploy(hive, AgentName(core.get(hive, new).agent), new, operation, detach=detach)


@click.command()
@click.argument("names", type=NAME, nargs=-1, metavar="NAME…")
@click.option("--all", "everything", is_flag=True, help="All agents.")
@_detach
@pass_hive
def update(hive: Hive, names: tuple[AgentName, ...], everything: bool, detach: bool) -> None:
    """Renew agents that are out of date.

    What an agent stands on, such as the agent CLI, may be newer than when it was built. One that is up to date is left as it
    is.
    """
    if bool(names) == everything:
        raise Invalid("say which agents, or --all", hint="hyperhive update --all")
    living = [AgentName(agent.name) for agent in roster.listed(hive) if agent.wanted is not Wanted.DESTROYED]
    chosen = living if everything else list(names)
    each(chosen, partial(_update, hive, detach=detach))


@click.command()
@click.argument("name", type=NAME, required=False)
@click.option("-n", "newest", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many of the newest.")
@as_json
@pass_hive
def log(hive: Hive, name: AgentName | None, newest: int, as_json: bool) -> None:
    """Show what was deployed, in the whole hive.

    The newest first, from the repository that keeps the hive's history; also who was made and taken away.
    """
    found = readings.log(hive, name, newest)
    if as_json:
        render.json(found)
    elif found:
        render.table(_LOG, [_entry(hive, one) for one in found])
    else:
        screen.talk("nothing was deployed yet")


def _update(hive: Hive, name: AgentName, *, detach: bool) -> None:
    if detach:
        if requests.update(hive, name, by=OPERATOR) is None:
            screen.line(f"{name} is up to date")
        else:
            carrying.leave(hive, f"the update of {name}")
        return
    try:
        with operate.interruptible():
            done = deploying.update(hive, name, by=OPERATOR, say=carrying.line)
    except KeyboardInterrupt:
        screen.talk(f"interrupted: nothing of {name} was changed; `hyperhive update {name}` tries it again")
        raise
    if done is None:
        screen.line(f"{name} is up to date")
    else:
        screen.line(f"{name} runs deployment {done.number}")
        notes.hive_is_down(hive)


def _entry(hive: Hive, one: MetaEntry) -> Row:
    return Row(
        (
            words.moment(one.at, hive.now()),
            one.what,
            (one.agent, "bold"),
            str(one.deployment or ""),
            (one.commit or "")[:12],
            one.by,
            one.subject,
        )
    )
