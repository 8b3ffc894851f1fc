"""How every value becomes JSON, whoever prints or sends it."""

import re
from typing import Any, Final

import msgspec

# msgspec escapes C0 alone; these too move a cursor or turn the reading direction.
_CONTROLS: Final = "[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"


def text(value: Any) -> str:
    """A value as JSON that people can read, too, with a line's end behind it."""
    return _escaped(msgspec.json.format(msgspec.json.encode(value), indent=2)) + "\n"


def one_line(value: Any) -> str:
    """A value as JSON on one line, with its end."""
    return _escaped(msgspec.json.encode(value)) + "\n"


def _escaped(data: bytes) -> str:
    # Outside of strings JSON has none of these characters.
    return re.sub(_CONTROLS, lambda found: f"\\u{ord(found[0]):04x}", data.decode())
