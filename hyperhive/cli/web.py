"""The command that serves the dashboard, and those that say who may use it."""

import importlib.util
import sys
from contextlib import suppress
from typing import Final

import click

from hyperhive.cli import render, screen, words
from hyperhive.cli.params import as_json, pass_hive
from hyperhive.cli.render import Column, Row
from hyperhive.core import access
from hyperhive.core.errors import HyperhiveError, Invalid, Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.listening import Address, parse
from hyperhive.core.locks import is_held

_NEEDED: Final = ("flask", "flask_sock", "flask_wtf", "gunicorn")
# Below the hive's folder of sockets: where the dashboard listens that runs now.
_FILE: Final = "web"
_COLUMNS: Final = (Column("N"), Column("KIND"), Column("USED"), Column("ENDS"), Column("WHOSE", shrinks=True))


@click.group(invoke_without_command=True)
@click.option("--bind", metavar="ADDRESS", help="Listen on this HOST:PORT, or unix:PATH, and not on that of hive.toml.")
@click.pass_context
@pass_hive
def web(hive: Hive, ctx: click.Context, bind: str | None) -> None:
    """Show the hive in a browser.

    Serves it until Ctrl-C; `hyperhive web login` makes a link that lets a browser in. Where another program has the
    address, that is waited for ten seconds, and then said.
    """
    if ctx.invoked_subcommand is not None:
        return
    check_installed()
    from hyperhive.web import serve

    def ready(address: Address) -> None:
        _remember(hive, address)
        screen.talk(f"the dashboard listens on {address.url or address}; Ctrl-C ends it")
        # Not into a log that others may read.
        if sys.stderr.isatty():
            screen.talk(f"log in within a minute: {_link(hive, address)}")

    serve.run(hive, parse(bind or hive.settings.web.bind), screen.talk, ready=ready)


@web.command()
@pass_hive
def login(hive: Hive) -> None:
    """Make a link that lets one browser in, once, within a minute."""
    check_installed()
    screen.line(_link(hive, _address(hive)))
    if not is_held(hive.paths.lock("web")):
        screen.talk("note: the dashboard is not up; `hyperhive web` serves it")


@web.command()
@click.argument("label")
@pass_hive
def token(hive: Hive, label: str) -> None:
    """Make a token with which a script reads pages.

    It is shown once, and holds until `hyperhive web logout N`. Give it as `Authorization: Bearer TOKEN`. LABEL says what it
    is for.
    """
    screen.line(access.make_token(hive, label=label))


@web.command()
@as_json
@pass_hive
def sessions(hive: Hive, as_json: bool) -> None:
    """Show which browsers are logged in, and which tokens hold."""
    found = access.listed(hive)
    if as_json:
        render.json(found)
    elif found:
        now = hive.now()
        render.table(
            _COLUMNS,
            [
                Row(
                    (
                        str(one.number),
                        one.kind.value,
                        f"{words.age(one.seen_at, now)} ago" if one.seen_at else "never",
                        words.moment(one.ends_at, now) if one.ends_at else "-",
                        one.label,
                    ),
                    [],
                )
                for one in found
            ],
        )
    else:
        screen.talk("nobody is logged in: `hyperhive web login`")


@web.command()
@click.argument("number", type=click.IntRange(min=1, max=2**62), metavar="N", required=False)
@click.option("--all", "everybody", is_flag=True, help="Every browser and every token.")
@pass_hive
def logout(hive: Hive, number: int | None, everybody: bool) -> None:
    """Let a browser or a token in no more."""
    if (number is None) is not everybody:
        raise Invalid("say which one, or --all", hint="hyperhive web sessions")
    if number is None:
        count = access.revoke_all(hive)
        screen.line(f"everybody is logged out: {words.count(count, 'browser or token')}")
        return
    gone = access.revoke(hive, number)
    screen.line(f"{gone.kind} {gone.number} is logged out")


def _remember(hive: Hive, address: Address) -> None:
    """Write down where it listens, for whoever asks for a link meanwhile. Raises `Unavailable`."""
    file = hive.paths.run / _FILE
    try:
        file.write_text(f"{address}\n", encoding="utf-8")
    except OSError as error:
        raise Unavailable(f"{file} cannot be written: {error.strerror}", hint=f"ls -ld {file.parent}") from None


def _address(hive: Hive) -> Address:
    """Where it listens, or would listen."""
    if is_held(hive.paths.lock("web")):
        with suppress(OSError, UnicodeDecodeError, HyperhiveError):
            return parse((hive.paths.run / _FILE).read_text(encoding="utf-8").removesuffix("\n"))
    return parse(hive.settings.web.bind)


def _link(hive: Hive, address: Address) -> str:
    """A link that lets in. Raises `Invalid` where nobody knows what browsers call the dashboard."""
    hosts = hive.settings.web.hosts
    where = address.url or (f"https://{hosts[0]}" if hosts else None)
    if where is None:
        raise Invalid(
            f"nobody knows under which name browsers reach {address}", hint='`hosts = ["NAME"]` below `[web]` in hive.toml'
        )
    return f"{where}/login/{access.invite(hive)}"


def lacks() -> list[str]:
    """The packages that the dashboard needs and are not here."""
    return [name for name in _NEEDED if importlib.util.find_spec(name) is None]


def check_installed() -> None:
    """Refuse to go on where the dashboard's packages are missing. Raises `Unavailable` with what to install."""
    if missing := lacks():
        raise Unavailable(
            f"the dashboard needs what is not installed here: {', '.join(missing)}", hint="pip install 'hyperhive[web]'"
        )
