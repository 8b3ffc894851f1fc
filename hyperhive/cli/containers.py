"""Commands that run something in an agent's container."""

import sys

import click

from hyperhive.cli import notes, screen
from hyperhive.cli.params import NAME, pass_hive
from hyperhive.core import box, login_command
from hyperhive.core import login as logins
from hyperhive.core.errors import Invalid
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName

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
        hint = f"in a terminal: hyperhive login {name}; or with a token: hyperhive login {name} --token"
        with login_command.reaching_the_api(hive, room) as command:
            code = room.ask(hive, command.words, hint=hint, env=command.env)
        if code == _INTERRUPTED:
            raise KeyboardInterrupt
        login_command.finish(hive, room, command.words, code)
    screen.line(f"{name} is logged in")
    notes.hive_is_down(hive)


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
