"""What a notification of the desktop tells: whatever waits for the operator, in a few words."""

from collections.abc import Mapping
from typing import Final

import msgspec

from hyperhive.core import messages, pending
from hyperhive.core.hive import Hive
from hyperhive.core.messages import WAITING
from hyperhive.core.model import OPERATOR, Message
from hyperhive.core.pending import Pending, PendingKind

# Of the newest so many messages, those that wait. The rows of the inbox are its oldest, where what is new may be missing.
MESSAGES_MOST: Final = 50
# How much of a message is told, in characters.
TEXT_MOST: Final = 200


class News(msgspec.Struct, frozen=True):
    """One thing that waits: a title, and what it is about."""

    title: str
    text: str


def seen(of: Hive) -> Mapping[str, News]:
    """All that waits: by `news-` and the key of its own row, which is also the tag of its notification."""
    found = {f"news-{_key(one)}": News(title=_title(one), text=one.about) for one in pending.listed(of)}
    for letter in messages.inbox(of, OPERATOR, everything=True, limit=MESSAGES_MOST):
        if letter.state in WAITING:
            found[f"news-message-{letter.number}"] = _of_message(letter)
    return found


def _key(one: Pending) -> str:
    match one.kind:
        case PendingKind.SPAWN | PendingKind.CONFIG:
            return f"approval-{one.number}"
        case PendingKind.TOOL:
            return f"tool-{one.number}"
        case PendingKind.QUESTION:
            return f"question-{one.number}"


def _title(one: Pending) -> str:
    match one.kind:
        case PendingKind.SPAWN:
            return f"{one.asker} asks for a new agent, {one.agent}"
        case PendingKind.CONFIG:
            return f"{one.asker} asks for a configuration of {one.agent}"
        case PendingKind.TOOL:
            return f"{one.agent} wants to use a tool"
        case PendingKind.QUESTION:
            return f"{one.asker} asks you"


def _of_message(letter: Message) -> News:
    text = " ".join(letter.body[: 2 * TEXT_MOST].split())
    return News(title=f"{letter.sender} writes to you", text=text if len(text) <= TEXT_MOST else f"{text[: TEXT_MOST - 1]}…")
