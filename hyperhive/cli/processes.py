"""Commands that are the hive's own processes."""

import click

from hyperhive.cli import screen
from hyperhive.cli.params import NAME, pass_hive
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
@pass_hive
def hub(hive: Hive) -> None:
    """Serve the agents' sockets and start who has mail.

    `hyperhive up` runs it, or a service manager.
    """
    from hyperhive.core import hub as core
    from hyperhive.core.log import Log
    from hyperhive.mcp.children import Children

    log = Log("hub", hive.paths.log / "hub.log")
    core.run(hive, Children(hive.paths, log), log=log)


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
