"""How words, moments and counts stand in a page; what somebody else wrote is cleaned wherever it stands."""

import re
from datetime import UTC, datetime
from typing import Final

from jinja2 import Environment
from markupsafe import Markup, escape

from hyperhive.core.safe_text import clean
from hyperhive.core.words import count, duration, money, size

# Nothing but these becomes a link, whatever somebody wrote; what ends a sentence is not part of it.
_LINK: Final = re.compile(r"https?://[^\s<>\"'`\\\u2000-\u206f]+[^\s<>\"'`\\\u2000-\u206f.,;:!?)\]}]")


def prepare(jinja: Environment) -> None:
    """Give templates their words."""
    # Also what is put into an attribute goes through it.
    jinja.finalize = _cleaned
    jinja.filters |= {
        "age": age, "left": left, "clock": clock, "exact": exact, "linked": linked,
        "duration": duration, "money": money, "count": count, "size": size,
    }  # fmt: skip
    jinja.trim_blocks = jinja.lstrip_blocks = True


def age(instant: datetime | None) -> Markup:
    """How long ago, which counts by itself."""
    return _time(instant, "age")


def left(instant: datetime | None) -> Markup:
    """How long until then, which counts by itself."""
    return _time(instant, "left")


def clock(instant: datetime | None) -> Markup:
    """The time of day where the reader is."""
    return _time(instant, "clock")


def exact(instant: datetime | None) -> Markup:
    """The time of day where the reader is, with its seconds."""
    return _time(instant, "exact")


def linked(text: str) -> Markup:
    """What somebody wrote, with its web addresses as links."""
    parts: list[str] = []
    at = 0
    for found in _LINK.finditer(text):
        address = escape(clean(found[0]))
        link = f'<a href="{address}" rel="noopener noreferrer nofollow" target="_blank">{address}</a>'
        parts += [str(escape(clean(text[at : found.start()]))), link]
        at = found.end()
    return Markup("".join([*parts, str(escape(clean(text[at:])))]))


def _time(instant: datetime | None, how: str) -> Markup:
    if instant is None:
        return Markup("")
    utc = instant.astimezone(UTC)
    # What stands in it is for those without script; the script says it as the reader's clock does.
    return Markup('<time datetime="{}" data-{}>{} UTC</time>').format(
        f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03}Z",
        how,
        f"{utc:%Y-%m-%d %H:%M:%S}" if how == "exact" else f"{utc:%Y-%m-%d %H:%M}",
    )


def _cleaned(value: object) -> object:
    return clean(value) if type(value) is str else value
