"""Where words go: drawn on a terminal, plain in a pipe, and never with a control that somebody wrote into them."""

import contextlib
import functools
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, TextIO

from hyperhive.core.errors import Unavailable
from hyperhive.core.safe_text import clean

if TYPE_CHECKING:
    from rich.console import Console

# A piece of a line: its text, or its text with a style of rich's.
Piece = str | tuple[str, str]
# A line that was gathered.
Line = list[tuple[str, str]]

# Stands before every line that an agent wrote, so that none of them passes for one of ours.
GUTTER: Final = "│ "
# In a pipe nothing is cut but what is said in one line on purpose.
PIPE_WIDTH: Final = 200
_NARROWEST: Final = 20
_BLANK_MOST: Final = 2
# Where a line may end: at spaces, and beside each sign of the scripts that are written without them.
_WIDE: Final = "\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff00-\uff60"
# Compiled when first used: it takes milliseconds, and most lines fit.
_WORDS: Final = f" +|[{_WIDE}]|[^ {_WIDE}]+"

_gathered: Final[ContextVar[tuple[int, list[Line]] | None]] = ContextVar("gathered", default=None)


@contextlib.contextmanager
def gathered(columns: int) -> Iterator[list[Line]]:
    """What is written in the block comes into this list, a line each, as for a terminal of so many columns."""
    lines: list[Line] = []
    token = _gathered.set((columns, lines))
    try:
        yield lines
    finally:
        _gathered.reset(token)


def is_terminal() -> bool:
    """Somebody looks at standard output."""
    return _gathered.get() is None and sys.stdout.isatty()


def is_drawn() -> bool:
    """Standard output takes colours."""
    return is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def width() -> int | None:
    """The columns of the terminal; a pipe has no end to its lines."""
    if (into := _gathered.get()) is not None:
        return max(_NARROWEST, into[0])
    return max(_NARROWEST, shutil.get_terminal_size().columns) if is_terminal() else None


def line(*pieces: Piece) -> None:
    """Write one line of an answer."""
    safe = [(one_line(piece), "") if isinstance(piece, str) else (one_line(piece[0]), piece[1]) for piece in pieces]
    if (into := _gathered.get()) is not None:
        into[1].append(safe)
    elif is_drawn():
        from rich.text import Text

        _console(sys.stdout).print(Text.assemble(*safe), soft_wrap=True)
    else:
        raw("".join(text for text, _ in safe).rstrip() + "\n")


def hanging(*head: Piece, text: str, style: str = "") -> None:
    """Write a text behind a head; what does not fit goes on below its beginning."""
    indent = sum(cells(piece if isinstance(piece, str) else piece[0]) for piece in head)
    first, *others = wrapped(one_line(text), indent) if text.strip() else [""]
    line(*head, (first, style))
    for part in others:
        line(" " * indent, (part, style))


def quote(text: str, *, style: str = "", most: int | None = None) -> None:
    """Write what somebody else wrote, each line behind the gutter; at most `most` lines of it."""
    lines = list(_without_gaps(text))
    for shown in lines[:most]:
        for part in wrapped(shown, cells(GUTTER)):
            line((GUTTER, "dim"), (part, style))
    if most is not None and len(lines) > most:
        line((f"{GUTTER}… {len(lines) - most} more lines", "dim"))


def item(mark: str, text: str, *, style: str = "") -> None:
    """Write one of several things that somebody else named, on one line; what does not fit goes on below its beginning."""
    for at, part in enumerate(wrapped(one_line(text), cells(GUTTER + mark))):
        line((GUTTER, "dim"), (mark if at == 0 else " " * cells(mark), style), (part, style))


def cut(text: str, *, used: int = 0) -> str:
    """The text as one line without gaps that fits beside `used` columns."""
    return fit(" ".join(one_line(text).split()), (width() or PIPE_WIDTH) - used)


def fit(text: str, columns: int) -> str:
    """The beginning of a text that fits into so many columns, with an ellipsis where it goes on."""
    if cells(text) <= columns:
        return text
    taken, room = "", columns - 1
    for character in text:
        room -= cells(character)
        if room < 0:
            break
        taken += character
    return taken + "…"


def cells(text: str) -> int:
    """How many columns a terminal needs for a text, rather one too many."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def one_line(text: str) -> str:
    """The text without controls and line breaks."""
    return clean(text).replace("\n", " ").replace("\t", " ")


def talk(text: str) -> None:
    """Say something beside the answer, on standard error."""
    if _gathered.get() is not None:
        line((text, "yellow"))
        return
    # Nobody can be told that nobody can be told.
    with contextlib.suppress(OSError):
        print(one_line(text), file=sys.stderr, flush=True)


def raw(text: str) -> None:
    """Write an answer as it is. Raises `Unavailable` when it cannot be written."""
    with _written():
        sys.stdout.write(text)
        sys.stdout.flush()


def data(content: bytes) -> None:
    """Write what is in a file, byte for byte, into a pipe. Raises `Unavailable` when it cannot be written."""
    with _written():
        sys.stdout.buffer.write(content)
        sys.stdout.flush()


@contextlib.contextmanager
def _written() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Unavailable(f"the answer cannot be written: {error.strerror}", hint="look at what standard output is") from None


@functools.cache
def _console(stream: TextIO) -> "Console":
    from rich.console import Console

    return Console(file=stream, highlight=False, markup=False, emoji=False)


def _without_gaps(text: str) -> Iterator[str]:
    """The lines of a text; many blank ones in a row, which would push away what is above them, as one line."""
    blank = 0
    # splitlines knows more ends of lines than a terminal does; they must not join what they part.
    for shown in [*text.rstrip().splitlines(), None]:
        if shown is not None and not shown.strip():
            blank += 1
            continue
        if blank > _BLANK_MOST:
            yield f"({blank} blank lines)"
        else:
            yield from [""] * blank
        blank = 0
        if shown is not None:
            yield clean(shown).expandtabs(4)


def wrapped(text: str, indent: int) -> Iterator[str]:
    """Pieces that fit behind so many columns: what the terminal itself wraps would begin at its left edge.

    They end between words; only a word that is longer than a line is cut.
    """
    columns = width()
    if columns is None or cells(text) <= columns - indent:
        yield text
        return
    room = max(columns - indent, _NARROWEST - cells(GUTTER))
    taken = ""
    for word in re.findall(_WORDS, text):
        used, need = cells(taken), cells(word)
        if used + need <= room:
            taken += word
        elif word.isspace():
            # At the end of a line nobody sees them.
            if taken:
                yield taken
            taken = ""
        elif need <= room and taken.strip():
            yield taken.rstrip()
            taken = word
        else:
            if taken.strip():
                yield taken.rstrip()
                taken = ""
            *full, taken = _cut_up(taken + word, room)
            yield from full
    if taken:
        yield taken


def _cut_up(text: str, room: int) -> Iterator[str]:
    """Pieces of so many columns."""
    taken, used = "", 0
    for character in text:
        need = _cells(character)
        if used + need > room:
            yield taken
            taken, used = "", 0
        taken += character
        used += need
    yield taken


def _cells(character: str) -> int:
    if unicodedata.east_asian_width(character) in "WF":
        return 2
    # A variation selector can make the character before it wider.
    return 0 if unicodedata.category(character) in ("Mn", "Me") and not "\ufe00" <= character <= "\ufe0f" else 1
