"""Commands that are the hive's own processes."""

import click

from hyperhive.cli import screen
from hyperhive.cli.params import NAME, pass_hive
from hyperhive.core.errors import Conflict
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName


@click.command()
@pass_hive
def up(hive: Hive) -> None:
    """Run the hive in this terminal.

    Ctrl-C ends it: turns that run are interrupted, and their messages come again.
    """
    from hyperhive.core import up as core

    core.run(hive, screen.talk)


@click.command()
@click.option("--unless-up", is_flag=True, help="Where the hive has a hub already, end at once and say nothing.")
@pass_hive
def hub(hive: Hive, unless_up: bool) -> None:
    """Serve the agents' sockets and start who has mail.

    `hyperhive up` runs it, or systemd, or cron.
    """
    from hyperhive.core import hub as core
    from hyperhive.mcp.children import Children

    log = core.log_of(hive)
    try:
        core.run(hive, Children(hive.paths, log), log=log)
    except Conflict:
        if not unless_up:
            raise


@click.command()
@click.argument("name", type=NAME)
@pass_hive
def harness(hive: Hive, name: AgentName) -> None:
    """Work through one agent's mail.

    The hub starts it when there is something to do; it ends when there is nothing more.
    """
    from hyperhive.core import harness as core

    core.run(hive, name)


@click.command()
@click.argument("number", type=click.IntRange(min=1, max=2**62))
@pass_hive
def operate(hive: Hive, number: int) -> None:
    """Carry out one operation.

    The hub starts it for what agents and pages ask for.
    """
    from hyperhive.core import operate as core

    core.run_apart(hive, number)


@click.command()
@click.argument("name", type=NAME)
@pass_hive
def mcp(hive: Hive, name: AgentName) -> None:
    """Speak MCP for an agent on standard input and output.

    For people and tests; agents have a socket each.
    """
    from hyperhive.mcp.server import serve_stdio

    serve_stdio(hive, name)
