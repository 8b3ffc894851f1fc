"""The message flow: the newest messages between all, a row each."""

from collections.abc import Mapping
from typing import Final

import msgspec
from flask import Blueprint, render_template

from hyperhive.core import messages
from hyperhive.core.hive import Hive
from hyperhive.core.model import Message, MessageState
from hyperhive.web.here import hive

bp = Blueprint("flow", __name__)

SHOWN_MOST: Final = 40
# How much of a message stands in its row, in characters; the rest is loaded when it is asked for.
BODY_MOST: Final = 280
_TONES: Final = {
    MessageState.PENDING: "plain",
    MessageState.DELIVERED: "good",
    MessageState.ACKNOWLEDGED: "quiet",
    MessageState.DEAD: "bad",
    MessageState.CANCELLED: "bad",
    MessageState.EXPIRED: "bad",
}
_WORDS: Final = {MessageState.PENDING: "waiting", MessageState.DELIVERED: "in turn", MessageState.ACKNOWLEDGED: "read"}


class Passed(msgspec.Struct, frozen=True):
    """A message as its row shows it."""

    message: Message

    @property
    def state(self) -> tuple[str, str]:
        """How far it came, in words, and the tone in which that is said."""
        state = self.message.state
        return _WORDS.get(state, str(state)), _TONES[state]

    @property
    def start(self) -> str:
        """The beginning of it."""
        return self.message.body[:BODY_MOST]

    @property
    def is_long(self) -> bool:
        """There is more of it."""
        return len(self.message.body) > BODY_MOST


def seen(of: Hive) -> Mapping[str, Passed]:
    """The newest messages by the key of their row, the newest first."""
    return {f"flow-{one.number}": Passed(one) for one in reversed(messages.flow(of, limit=SHOWN_MOST))}


@bp.get("/messages/<int:number>")
def whole(number: int) -> str:
    """All of a message."""
    return render_template("inbox/whole.html", message=messages.get(hive(), number))
