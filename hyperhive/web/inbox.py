"""The operator's inbox: a row a message, to be answered or put away."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec
from flask import Blueprint, render_template, request

from hyperhive.core import messages
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, Message, MessageKind
from hyperhive.web.answers import said
from hyperhive.web.here import hive

bp = Blueprint("inbox", __name__)

# So many are shown, the oldest first: each that is read makes room for another.
SHOWN_MOST: Final = 50
# How much of a message stands in its row, in characters; the rest is loaded when it is asked for.
BODY_MOST: Final = 1200
# The word that a notice begins with, by which agents tell one kind from another.
_WORD: Final = re.compile(r"([a-z]+(?:_[a-z]+)*): ")


class Letter(msgspec.Struct, frozen=True):
    """A message as its row shows it."""

    message: Message

    @property
    def word(self) -> str | None:
        """What kind of notice it is, in the word that it begins with."""
        found = _WORD.match(self.message.body) if self.message.kind is MessageKind.NOTICE else None
        return found[1].replace("_", " ") if found else None

    @property
    def body(self) -> str:
        """What it says, without that word."""
        return self.message.body if self.word is None else _WORD.sub("", self.message.body, count=1)

    @property
    def start(self) -> str:
        """The beginning of that."""
        return self.body[:BODY_MOST]

    @property
    def is_long(self) -> bool:
        """There is more of it."""
        return len(self.body) > BODY_MOST


def seen(of: Hive) -> Mapping[str, Letter]:
    """What waits for the operator, by the key of its row."""
    return {f"message-{one.number}": Letter(one) for one in messages.inbox(of, OPERATOR, limit=SHOWN_MOST)}


@bp.post("/inbox/<int:number>/read")
def read(number: int) -> str:
    """Put a message away."""
    messages.read(hive(), [number])
    return said()


@bp.post("/inbox/<int:number>/reply")
def reply(number: int) -> str:
    """Write to the one who wrote it, and put it away."""
    asked = messages.get(hive(), number)
    messages.send(hive(), sender=OPERATOR, to=asked.sender, body=request.form.get("text", ""))
    messages.read(hive(), [number])
    return said()


@bp.get("/inbox/<int:number>")
def whole(number: int) -> str:
    """All of a message."""
    return render_template("inbox/whole.html", message=messages.get(hive(), number))
