"""Commands that run something in an agent's container."""

import sys

import click

from hyperhive.cli import notes, screen
from hyperhive.cli.params import NAME, pass_hive
from hyperhive.core import api_gate, box, folders
from hyperhive.core import login as logins
from hyperhive.core.errors import CommandFailed, Invalid, Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.log import Log
from hyperhive.core.model import AgentName, Network

# Far more than any token has, in bytes.
_TOKEN_MOST = 64 * 1024
# What a program answers that Ctrl-C has ended.
_INTERRUPTED = 130


@click.command()
@click.argument("name", type=NAME)
@click.option("--token", is_flag=True, help="Read a token from standard input, as `claude setup-token` gives it.")
@pass_hive
def login(hive: Hive, name: AgentName, token: bool) -> None:
    """Log an agent in.

    Every agent has a login of its own. Without --token the agent CLI asks for it in the agent's container: open the
    address that it shows, and paste the code that you get there.
    """
    if token:
        if sys.stdin.isatty():
            screen.talk("paste the token, then press Enter and Ctrl-D")
        logins.set_token(hive, name, _read_token())
    else:
        room = box.prepare(hive, name)
        command = [*room.program, "auth", "login"]
        code = _reaching_the_api(hive, room, command)
        if code == _INTERRUPTED:
            raise KeyboardInterrupt
        if code:
            raise CommandFailed(command, code=code, output="", hint=f"hyperhive login {name}")
        if not folders.is_login_there(hive, name):
            raise Unavailable(f"{name} has no login yet", hint=f"hyperhive login {name}")
        logins.logged_in(hive, name)
    screen.line(f"{name} is logged in")
    notes.hive_is_down(hive)


def _reaching_the_api(hive: Hive, room: box.Box, command: list[str]) -> int:
    """Run a command that needs the model's API, also where the agent has no network."""
    if room.config.network is not Network.NONE:
        return room.run(hive, command)
    log = Log(f"login of {room.name}", hive.paths.log / "login.log", quiet=True)
    # A socket of its own: the agent's harness may have a gate open meanwhile.
    with api_gate.Gate(hive.paths, room.name, hive.settings, room.place.gid, log, socket_name=api_gate.LOGIN_SOCKET):
        return room.run(hive, api_gate.inside_words(room.inside, command, socket_name=api_gate.LOGIN_SOCKET))


@click.command("exec", context_settings={"allow_interspersed_args": False})
@click.argument("name", type=NAME)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_context
@pass_hive
def execute(hive: Hive, ctx: click.Context, name: AgentName, command: tuple[str, ...]) -> None:
    """Run a command in an agent's container.

    It sees what the agent sees: `hyperhive exec NAME -- ls -l /workspace`.
    """
    # click leaves the dashes in: behind the name nothing is an option of ours.
    words = command[1:] if command[0] == "--" else command
    if not words:
        raise Invalid("there is no command to run", hint=f"hyperhive exec {name} -- ls -l /workspace")
    ctx.exit(box.prepare(hive, name).run(hive, words))


def _read_token() -> str:
    data = sys.stdin.buffer.read(_TOKEN_MOST)
    try:
        return data.decode("ascii")
    except UnicodeDecodeError:
        raise Invalid("that is not a token", hint="claude setup-token | hyperhive login NAME --token") from None
