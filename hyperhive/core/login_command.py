"""The agent CLI's own login, as a command in the agent's container."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from hyperhive.core import folders, login
from hyperhive.core.box import Box
from hyperhive.core.errors import CommandFailed, Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.log import Log
from hyperhive.core.model import Network


class Command(msgspec.Struct, frozen=True):
    """Its words, and the variables that it needs beside those of the container."""

    words: list[str]
    env: dict[str, str]


@contextmanager
def reaching_the_api(hive: Hive, room: Box) -> Iterator[Command]:
    """The command, which reaches the model's API within the block, also where the agent has no network."""
    words = [*room.program, "auth", "login"]
    if room.config.network is not Network.NONE:
        yield Command(words, {})
        return
    # Few agents need it.
    from hyperhive.core import api_gate

    log = Log(f"login of {room.name}", hive.paths.log / "login.log", quiet=True)
    # A socket of its own: the agent's harness may have a gate open meanwhile.
    with api_gate.Gate(hive.paths, room.name, hive.settings, room.place.gid, log, socket_name=api_gate.LOGIN_SOCKET):
        within = api_gate.inside_words(room.inside, words, socket_name=api_gate.LOGIN_SOCKET, port=api_gate.LOGIN_PORT)
        yield Command(within, api_gate.variables(api_gate.LOGIN_PORT))


def finish(hive: Hive, room: Box, words: Sequence[str], code: int, *, output: str = "") -> None:
    """Let the agent try again, once the command has ended with this code. Raises `CommandFailed`, `Unavailable`."""
    hint = f"hyperhive login {room.name}"
    if code:
        raise CommandFailed(words, code=code, output=output, hint=hint)
    if not folders.is_login_there(hive, room.name):
        raise Unavailable(f"{room.name} has no login yet", hint=hint)
    login.logged_in(hive, room.name)
