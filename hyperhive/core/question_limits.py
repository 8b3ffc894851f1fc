"""What an agent may ask the operator, how much, how often."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from hyperhive.core.columns import from_milliseconds, to_milliseconds
from hyperhive.core.errors import Conflict, Denied, Invalid
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, Wanted
from hyperhive.core.safe_text import clean
from hyperhive.core.tables import AgentRow

# A question, an answer, a default, in bytes.
TEXT_MOST: Final = 16 * 1024
CHOICES_MOST: Final = 20
# A choice, in characters.
CHOICE_MOST: Final = 200
# The open questions of one agent.
OPEN_MOST: Final = 50
# How long a question may stay open, in seconds.
TTL_LEAST: Final = 1.0
TTL_MOST: Final = 30 * 24 * 3600.0


def check_text(what: str, text: str) -> None:
    """Refuse what is no text for a question, an answer or a default. Raises `Invalid`."""
    if not text.strip():
        raise Invalid(f"the {what} is empty", hint="say something")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise Invalid(f"the {what} is not valid text", hint="give UTF-8") from None
    if "\0" in text:
        raise Invalid(f"the {what} holds a NUL character", hint="give text")
    if size > TEXT_MOST:
        raise Invalid(
            f"the {what} has {size} bytes, and at most {TEXT_MOST} are taken", hint="put it into a file and give its path"
        )


def check_choices(choices: Sequence[str], choices_only: bool) -> None:
    """Refuse choices that could not be told apart, or not be read. Raises `Invalid`."""
    if choices_only and not choices:
        raise Invalid("only choices are taken, and there are none", hint="give choices")
    if len(choices) > CHOICES_MOST:
        raise Invalid(f"there are {len(choices)} choices, and at most {CHOICES_MOST} are taken", hint="give fewer choices")
    for choice in choices:
        # One line as it is seen: what is answered with a number must be what was read beside it.
        if not 0 < len(choice) <= CHOICE_MOST or choice != clean(choice).strip() or "\n" in choice or "\t" in choice:
            raise Invalid(
                f"{choice[:40]!a} cannot be a choice",
                hint=f"a choice is one line of 1 to {CHOICE_MOST} characters, without blanks around it; say more in the text",
            )
    if len({choice.casefold() for choice in choices}) < len(choices):
        raise Invalid("two choices are the same", hint="give each choice once")


def check_end(choices: Sequence[str], choices_only: bool, ttl_seconds: float | None, default: str | None) -> None:
    """Refuse a deadline or a default that makes no sense. Raises `Invalid`."""
    # Not a chain of or: whatever is no number is refused too.
    if ttl_seconds is not None and not TTL_LEAST <= ttl_seconds <= TTL_MOST:
        raise Invalid(
            f"a question cannot wait {ttl_seconds:g} seconds", hint=f"{TTL_LEAST:g} to {TTL_MOST:.0f} seconds, or no deadline"
        )
    if default is None:
        return
    check_text("default", default)
    if ttl_seconds is None:
        raise Invalid("a default is the answer at the deadline, and there is no deadline", hint="give ttl_seconds")
    if choices_only and default not in choices:
        raise Invalid("the default is none of the choices", hint="give one of the choices as it is written there")


def check_asker(hive: Hive, asker: AgentName, now: datetime) -> None:
    """Refuse who is no agent or asks too much. Within a write. Raises `Denied`, `Conflict`."""
    row = AgentRow.get_or_none(AgentRow.name == asker)
    if row is None or row.wanted is Wanted.DESTROYED:
        raise Denied(f"{asker} is no agent any more")
    ((waiting,),) = hive.db.ask(
        "SELECT count(*) FROM question WHERE asker = ? AND outcome IS NULL AND (deadline IS NULL OR deadline > ?)",
        asker, to_milliseconds(now),
    )  # fmt: skip
    if waiting >= OPEN_MOST:
        raise Conflict(
            f"{asker} has {waiting} open questions, and more are not taken", hint="end your turn: each answer wakes you"
        )
    most = hive.settings.limits.sends_per_minute
    before = hive.db.ask("SELECT asked_at FROM question WHERE asker = ? ORDER BY number DESC LIMIT 1 OFFSET ?", asker, most - 1)
    # What was asked in the future was asked before the clock was set back.
    if before and now - timedelta(minutes=1) < from_milliseconds(before[0][0]) <= now:
        raise Denied(f"{asker} has asked {most} questions in a minute", hint="wait a minute, and ask less in fewer questions")
