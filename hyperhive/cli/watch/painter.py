"""Draws lines on a terminal, and of them only those that have changed."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Final

from rich.color import ColorSystem
from rich.style import Style

from hyperhive.cli import screen
from hyperhive.cli.screen import Line

# The terminal shows what is between them at once (https://gist.github.com/christianparpart/d8a62cc1ab659194337d73e399004036).
_AT_ONCE: Final = "\x1b[?2026h"
_SHOWN: Final = "\x1b[?2026l"


class Painter:
    """What a terminal shows, as far as it was drawn by this."""

    def __init__(self, write: Callable[[str], None], *, colours: bool) -> None:
        self._write = write
        self._colours = colours
        self._size = (0, 0)
        self._shown: list[Line] = []

    def forget(self) -> None:
        """All is to be drawn again."""
        self._size = (0, 0)

    def paint(self, lines: Sequence[Line], *, columns: int, rows: int) -> None:
        """Show these lines and nothing else."""
        whole = [list(line) for line in lines[:rows]] + [[] for _ in range(rows - len(lines))]
        anew = self._size != (columns, rows)
        parts = ["\x1b[2J"] if anew else []
        for at, line in enumerate(whole):
            if anew or line != self._shown[at]:
                parts.append(f"\x1b[{at + 1};1H" + self._drawn(cut(line, columns), columns))
        self._size, self._shown = (columns, rows), whole
        if parts:
            self._write(_AT_ONCE + "".join(parts) + _SHOWN)

    def _drawn(self, line: Line, columns: int) -> str:
        text = "".join(
            _style(style, self._colours).render(part, color_system=ColorSystem.STANDARD) for part, style in line if part
        )
        # Behind a line that fills its row the cursor stands on its last character.
        return f"\x1b[2K{text}" if width_of(line) >= columns else f"{text}\x1b[K"


def width_of(line: Line) -> int:
    """How many columns a line takes."""
    return sum(screen.cells(text) for text, _ in line)


def cut(line: Line, columns: int) -> Line:
    """As much of a line as fits into so many columns, without controls."""
    kept: Line = []
    for text, style in line:
        room = columns - width_of(kept)
        if room <= 0:
            break
        kept.append((screen.fit(screen.one_line(text), room), style))
    return kept


@cache
def _style(name: str, colours: bool) -> Style:
    style = Style.parse(name) if name else Style.null()
    return style if colours else style.without_color
