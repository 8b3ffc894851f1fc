"""How messages are put before a model, so that nobody's words pass for anybody else's."""

from collections.abc import Sequence
from typing import Final

from hyperhive.core.model import Message, MessageKind, MessageState

# Every line of a body begins so, and no line of hyperhive's own does: a header that somebody wrote into a body stays
# part of that body, whatever it says.
QUOTE: Final = "| "
OWN: Final = "hyperhive: "


def prompt(messages: Sequence[Message], news: str = "") -> str:
    """What a model is given to read: first what happened to the agent, a line each, then the messages in order.

    Never begins with a slash, which the agent CLI would take for a command of its own.
    """
    told = [OWN + line for line in news.splitlines() if line.strip()]
    return "\n\n".join([*(["\n".join(told)] if told else []), *map(one, messages)])


def one(message: Message, *, most: int | None = None) -> str:
    """One message: a line of hyperhive's own about it, then its words, each line quoted; at most `most` characters of them."""
    what = "notice" if message.kind is MessageKind.NOTICE else "message"
    sender = "hyperhive" if message.kind is MessageKind.NOTICE else message.sender
    header = f"{what} {message.number} from {sender}, {message.sent_at:%Y-%m-%d %H:%M:%S} UTC{_mark(message)}:"
    body = message.body if most is None else message.body[:most]
    left = len(message.body) - len(body)
    # splitlines also knows the separators that only look like a new line to whoever reads them: CR, VT, FF, NEL, U+2028.
    lines = [QUOTE + line if line else QUOTE.rstrip() for line in body.splitlines()]
    return "\n".join([header, *lines, *([f"(and {left} more characters)"] if left else [])])


def _mark(message: Message) -> str:
    if message.state is MessageState.DELIVERED:
        return " (handed out in this turn)"
    if message.is_again:
        return " (handed out before: check what was already done)"
    return ""
