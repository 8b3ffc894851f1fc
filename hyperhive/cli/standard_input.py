"""Text that a command is given on standard input."""

import sys
from typing import Final

from hyperhive.core.errors import Invalid

_READ_LEAST: Final = 1024 * 1024


def text(most: int) -> str:
    """All of it, of which `most` bytes may be used. Raises `Invalid` for what is not UTF-8."""
    # One byte more than may be sent is enough to be refused with a clear word.
    data = sys.stdin.buffer.read(max(4 * most, _READ_LEAST) + 1)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise Invalid("standard input is not UTF-8 text", hint="send UTF-8, or the path of the file") from None
