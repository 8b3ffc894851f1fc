"""Commands that are the hive's own processes."""

import sys

import click

from hyperhive.cli import complaints, render, screen
from hyperhive.cli.params import NAME, SECONDS, as_json, pass_hive
from hyperhive.core.errors import Conflict, Invalid, Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName


@click.command()
@click.option("--web", is_flag=True, help="Serve the dashboard, too, where hive.toml says.")
@pass_hive
def up(hive: Hive, web: bool) -> None:
    """Run the hive in this terminal.

    Ctrl-C ends it: turns that run are interrupted, and their messages come again.
    """
    from hyperhive.core import up as core

    if web:
        from hyperhive.cli.web import check_installed

        check_installed()
    core.run(hive, screen.talk, web=web)


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


@click.command("crash-watch")
@click.option("--every", type=SECONDS, metavar="SECONDS", help="Look again each time so many seconds have passed.")
@click.option("--for", "total", type=SECONDS, metavar="SECONDS", help="With --every: begin no look later than this.")
@as_json
@pass_hive
def watch(hive: Hive, every: float | None, total: float | None, as_json: bool) -> None:
    """Tell what has changed about agents.

    One look at all of them: who died, whose login came or went, what is out of date. The managers are told, or you where
    there is none. What is overdue, or was left by a process that died, is put in order. Prints what it told, with --json an
    object a line, and nothing when that is nothing. `hyperhive up` does it every ten seconds.
    """
    from hyperhive.core import crash_watch as core

    if every is None and total is not None:
        raise Invalid("--for says how long to look again and again", hint="hyperhive crash-watch --every 10 --for 55")
    if every == 0:
        raise Invalid("--every has to be more than nothing", hint="hyperhive crash-watch --every 10")
    is_troubled = False
    for seen in [core.run(hive)] if every is None else core.repeated(hive, every=every, total=total):
        for one in seen.told:
            if as_json:
                render.json_line(one)
            else:
                screen.line(one.text)
        for trouble in seen.troubles:
            complaints.say(Unavailable(trouble, hint="hyperhive doctor"))
        is_troubled = bool(seen.troubles)
    if is_troubled:
        sys.exit(Unavailable.exit_code)


@click.command()
@click.argument("name", type=NAME)
@pass_hive
def mcp(hive: Hive, name: AgentName) -> None:
    """Speak MCP for an agent on standard input and output.

    For people and tests; agents have a socket each.
    """
    from hyperhive.mcp.server import serve_stdio

    serve_stdio(hive, name)
