"""Text of whatever origin, made safe to show on a terminal."""

import unicodedata
from typing import Final

_BIDI: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")


def clean(text: str) -> str:
    """Text that is safe to show on a terminal: line breaks and tabs stay, every other control is shown as its picture.

    C0 and DEL become their pictures (U+2400…), C1, bidirectional controls and lone surrogates a U+FFFD, so that
    nothing that an agent wrote moves the cursor, sets the clipboard or turns the reading direction.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_clean_character, text))


def _clean_character(character: str) -> str:
    if character in "\n\t":
        return character
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if 0x80 <= code < 0xA0 or character in _BIDI or unicodedata.category(character) in ("Cs",):
        return "\ufffd"
    return character
