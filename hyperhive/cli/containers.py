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
@click.option(
    "--token", is_flag=True, help="Take a token instead, as `claude setup-token` gives it: typed unseen, or from standard input."
)
@pass_hive
def login(hive: Hive, name: AgentName, token: bool) -> None:
    """Log an agent in.

    Every agent has a login of its own. Without --token the agent CLI asks for it in the agent's container: open the
    address that it shows, and paste the code that you get there.
    """
    if token:
        logins.set_token(hive, name, _type_token() if sys.stdin.isatty() else _read_token())
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
    hint = f"in a terminal: hyperhive login {room.name}; or with a token: hyperhive login {room.name} --token"
    if room.config.network is not Network.NONE:
        return room.ask(hive, command, hint=hint)
    log = Log(f"login of {room.name}", hive.paths.log / "login.log", quiet=True)
    # A socket of its own: the agent's harness may have a gate open meanwhile.
    with api_gate.Gate(hive.paths, room.name, hive.settings, room.place.gid, log, socket_name=api_gate.LOGIN_SOCKET):
        words = api_gate.inside_words(room.inside, command, socket_name=api_gate.LOGIN_SOCKET, port=api_gate.LOGIN_PORT)
        return room.ask(hive, words, hint=hint, env=api_gate.variables(api_gate.LOGIN_PORT))


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


def _type_token() -> str:
    token: str = click.prompt("Token (it is not shown)", default="", show_default=False, hide_input=True, err=True)
    return token


def _read_token() -> str:
    data = sys.stdin.buffer.read(_TOKEN_MOST)
    try:
        return data.decode("ascii")
    except UnicodeDecodeError:
        raise Invalid("that is not a token", hint="`claude setup-token` makes one") from None
