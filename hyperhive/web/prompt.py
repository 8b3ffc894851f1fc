"""What the operator types below an agent's stream: a message to it, or a word that begins with a slash."""

from collections.abc import Callable, Mapping
from typing import Final

from flask import Blueprint, request

from hyperhive.core import messages, roster, wishes
from hyperhive.core.errors import Invalid
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, AgentName, parse_name
from hyperhive.web.answers import said
from hyperhive.web.here import hive

bp = Blueprint("prompt", __name__)

# How long somebody waits to be told that a turn has ended, in seconds.
_CANCEL_MOST: Final = 10.0
# What goes back to the model of an agent's configuration; no model has this name.
_UNSET: Final = "default"


def model(of: Hive, name: AgentName, argument: str) -> str:
    """Show its model, or choose another."""
    if not argument:
        return f"the model of {name} is {roster.get(of, name).model or 'that of its login'}"
    agent = wishes.set_model(of, name, None if argument == _UNSET else argument)
    return f"the model of {name} is {agent.model or 'that of its login'} from its next turn on"


def compact(of: Hive, name: AgentName, argument: str) -> str:
    """Make its conversation shorter."""
    _takes_nothing("/compact", argument)
    wishes.compact(of, name, by=OPERATOR)
    return f"the conversation of {name} will be compacted before its next turn"


def cancel(of: Hive, name: AgentName, argument: str) -> str:
    """End the turn that it is in."""
    _takes_nothing("/cancel", argument)
    wishes.cancel(of, name, by=OPERATOR, timeout=_CANCEL_MOST)
    return f"the turn of {name} is cancelled"


COMMANDS: Final[Mapping[str, Callable[[Hive, AgentName, str], str]]] = {"/model": model, "/compact": compact, "/cancel": cancel}
# What is offered while a word is typed: what completes it, how it is written, what it does.
OFFERED: Final = (
    ("/model ", "/model [M]", f"show or choose its model; {_UNSET} is that of its configuration"),
    ("/compact", "/compact", "make its conversation shorter before its next turn"),
    ("/cancel", "/cancel", "end the turn that it is in, and the messages of that turn"),
)


@bp.post("/agents/<name>/prompt")
def say(name: str) -> str:
    """Send what was typed, or do it."""
    agent = parse_name(name)
    text = request.form.get("text", "").replace("\r\n", "\n")
    if not text.startswith("/"):
        return said(f"sent as message {messages.send(hive(), sender=OPERATOR, to=agent, body=text).number}")
    word, _, argument = text.strip().partition(" ")
    command = COMMANDS.get(word)
    if command is None:
        raise Invalid(
            f"there is no {ascii(word[:40])[1:-1]}, and nothing was sent",
            hint=f"{', '.join(COMMANDS)}; with a space before it, it is sent as it is",
        )
    return said(command(hive(), agent, argument.strip()))


@bp.post("/agents/<name>/cancel")
def end_turn(name: str) -> str:
    """End the turn that it is in."""
    return said(cancel(hive(), parse_name(name), ""))


def _takes_nothing(word: str, argument: str) -> None:
    if argument:
        raise Invalid(f"{word} takes nothing behind it", hint=word)
