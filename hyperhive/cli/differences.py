"""How a difference between files looks: behind the gutter, or in the operator's pager."""

import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from typing import Final

from hyperhive.cli import screen
from hyperhive.core import process
from hyperhive.core.errors import HyperhiveError
from hyperhive.core.safe_text import clean

# Stands before what a line goes on with, so that it does not pass for a line of its own.
_ON: Final = "↳ "
_STYLES: Final = {"+": "green", "-": "red", "@": "cyan", " ": ""}
_CODES: Final = {"green": 32, "red": 31, "cyan": 36, "bold": 1, "dim": 2}


def show(diff: str) -> None:
    """Write it; what is longer than the terminal comes in the pager."""
    shown = list(_lines(diff))
    if screen.is_terminal() and sys.stdin.isatty() and len(shown) > shutil.get_terminal_size().lines - 2 and _page(shown):
        return
    for text, style in shown:
        screen.line((screen.GUTTER, "dim"), (text, style))


def _lines(diff: str) -> Iterator[tuple[str, str]]:
    """Each line as it fits behind the gutter, with its style."""
    # Only git's own ends of lines: others that are in a file would make lines that it has not.
    for written in diff.removesuffix("\n").split("\n") if diff else ():
        text = clean(written).expandtabs(4)
        style = _STYLES.get(text[:1], "bold")
        gutter = screen.cells(screen.GUTTER)
        first, *others = screen.wrapped(text, gutter) if text else [""]
        yield first, style
        if others:
            rest = text[len(first) :].lstrip(" ")
            yield from ((_ON + part, style) for part in screen.wrapped(rest, gutter + screen.cells(_ON)))


def _page(shown: list[tuple[str, str]]) -> bool:
    """Show it in `$PAGER`. Says whether that could be started."""
    words = shlex.split(os.environ.get("PAGER", "")) or ["less", "-R"]
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", errors="replace", prefix="hyperhive-", suffix=".diff") as file:
        for text, style in shown:
            code = _CODES.get(style) if screen.is_drawn() else None
            line = screen.GUTTER + text
            file.write(f"{line}\n" if code is None else f"\x1b[{code}m{line}\x1b[m\n")
        file.flush()
        try:
            process.attach([*words, file.name], env={"LESS": "R", **os.environ})
        except HyperhiveError as error:
            screen.talk(f"note: {error.message}")
            return False
    return True
