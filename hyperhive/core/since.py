"""From when on something is wanted, as people write it."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from hyperhive.core.errors import Invalid

_SPAN: Final = re.compile(r"(\d{1,5})([mhdw])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def since(text: str, *, now: datetime, option: str = "--since ") -> datetime:
    """A day or a time, of UTC where it names no zone, or how far back: 2026-01-31, 2026-01-31T12:00, 12h, 7d.

    `option` is what stands before it where it is typed. Raises `Invalid`.
    """
    try:
        if span := _SPAN.fullmatch(text):
            return now - timedelta(**{_UNITS[span[2]]: int(span[1])})
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise Invalid(f"{text!a} is no time and no span of time", hint=f"{option}2026-01-31, or {option}7d") from None
