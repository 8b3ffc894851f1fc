"""What a program says on standard error, as lines of a log."""

import codecs
from typing import Final

from hyperhive.core.log import Log

# The longest line, and how much of what is said at once is written down, in characters.
_LINE_MOST: Final = 4096
_ONCE_MOST: Final = 16 * 1024
# How much of the end is kept for a person, in characters.
_TAIL: Final = 2000


class ErrorLines:
    """Of one program: lines as they end, and no more of a flood than a log holds."""

    def __init__(self, log: Log) -> None:
        self.tail = ""
        self._log = log
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""

    def feed(self, data: bytes) -> None:
        """What it has said since the last time; nothing when that was all."""
        text = self._decode(data, final=not data)
        self.tail = (self.tail + text)[-_TAIL:]
        *lines, self._rest = (self._rest + text).split("\n")
        if self._rest and (not data or len(self._rest) > _LINE_MOST):
            # The end of it may never come.
            lines.append(self._rest)
            self._rest = ""
        written, room = [], _ONCE_MOST
        for line in lines:
            if room <= 0:
                break
            kept = line[: min(_LINE_MOST, room)]
            room -= len(kept) + 1
            left = len(line) - len(kept)
            written.append(kept + (f"… ({left} more characters)" if left else ""))
        if len(written) < len(lines):
            written.append(f"({len(lines) - len(written)} more lines are left out)")
        if written:
            self._log.lines(written)
