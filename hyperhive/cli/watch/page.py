"""A screen full of lines that one can move through."""

from collections.abc import Iterable
from typing import Final

from hyperhive.cli import screen
from hyperhive.cli.screen import Line
from hyperhive.cli.watch.keys import Key
from hyperhive.cli.watch.painter import width_of

# Older lines of one that grows are left out.
LINES_MOST: Final = 5000


class Page:
    """Lines under a title. One that grows stays at its end, until somebody moves up."""

    def __init__(self, title: str, *, grows: bool = False) -> None:
        self.title = title
        self.grows = grows
        # Its last line was on the screen.
        self.was_seen = False
        self._lines: list[Line] = []
        self._columns = 0
        self._height = 1
        self._first = 0
        self._is_at_end = grows

    @property
    def below(self) -> int:
        """How many lines are below what is seen."""
        return max(0, len(self._lines) - self._first - self._height)

    @property
    def follows(self) -> bool:
        """What comes is seen."""
        return self.grows and self._is_at_end

    def refresh(self) -> None:
        """The hive has changed."""

    def filenos(self) -> list[int]:
        """What can be read when there is more."""
        return []

    def heard(self) -> None:
        """One of these can be read."""

    def close(self) -> None:
        """It is not shown any more."""

    def seen(self, columns: int, height: int) -> list[Line]:
        """As many of its lines as fit."""
        if height <= 0:
            return []
        if columns != self._columns:
            self._columns = columns
            self._lines = self._all(columns)
        self._height = height
        last = max(0, len(self._lines) - self._height)
        self._first = last if self._is_at_end else min(self._first, last)
        self.was_seen |= self.below == 0
        return self._lines[self._first : self._first + self._height]

    def press(self, key: Key) -> bool:
        """Move. Says whether it was a key for that."""
        steps = {
            "j": 1, "down": 1, "k": -1, "up": -1,
            " ": self._height - 1, "pagedown": self._height - 1, "ctrl-f": self._height - 1, "ctrl-d": self._height // 2,
            "b": 1 - self._height, "pageup": 1 - self._height, "ctrl-b": 1 - self._height, "ctrl-u": -(self._height // 2),
            "g": -len(self._lines), "home": -len(self._lines), "G": len(self._lines), "end": len(self._lines),
        }  # fmt: skip
        step = steps.get(key.name)
        if step is None:
            return False
        last = max(0, len(self._lines) - self._height)
        self._first = min(max(self._first + step, 0), last)
        self._is_at_end = self.grows and self._first == last
        return True

    def _all(self, columns: int) -> list[Line]:
        """All of its lines, for so many columns."""
        raise NotImplementedError

    def _anew(self) -> None:
        """What it shows is another thing now."""
        self._columns = 0
        self._first = 0
        self.was_seen = False

    def _add(self, lines: list[Line]) -> None:
        """More lines have come."""
        self._lines += lines
        over = len(self._lines) - LINES_MOST
        if over > 0:
            del self._lines[:over]
            self._first = max(0, self._first - over)


def fitted(lines: Iterable[Line], columns: int) -> list[Line]:
    """Lines that were gathered, each in as many parts as it takes."""
    return [part for line in lines for part in folded(line, columns)]


def folded(line: Line, columns: int) -> list[Line]:
    """A line that is too long as several: what a terminal would do."""
    parts: list[Line] = []
    rest = list(line)
    while width_of(rest) > columns:
        part: Line = []
        room = columns
        while rest and room > 0:
            text, style = rest[0]
            taken = _fitting(text, room)
            if taken:
                part.append((text[:taken], style))
                room -= screen.cells(text[:taken])
            if taken == len(text):
                rest.pop(0)
            else:
                rest[0] = (text[taken:], style)
                break
        if not part:
            break
        parts.append(part)
    return [*parts, rest] if rest or not parts else parts


def _fitting(text: str, columns: int) -> int:
    """How many characters fit into so many columns."""
    used = 0
    for at, character in enumerate(text):
        used += screen.cells(character)
        if used > columns:
            return at
    return len(text)
