"""How values look: tables, fields, JSON."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from hyperhive.cli import screen
from hyperhive.cli.screen import Piece
from hyperhive.core import as_json

_GAP: Final = "  "
_NARROWEST: Final = 6


class Column(NamedTuple):
    """A column of a table. On a narrow terminal one that `shrinks` is cut, and one that `drops` is left out at last."""

    title: str
    shrinks: bool = False
    drops: bool = False
    right: bool = False


class Row(NamedTuple):
    """A row of a table, with what is to be said about it on lines of their own."""

    cells: Sequence[Piece]
    notes: Sequence[str] = ()


def table(columns: Sequence[Column], rows: Iterable[Row]) -> None:
    """Write a table that fits the terminal. Only the last column of one without end may be cut by a pipe's reader."""
    filled = list(rows)
    texts = [[screen.one_line(_text(cell)) for cell in row.cells] for row in filled]
    widths = [max(screen.cells(column.title), *(screen.cells(row[i]) for row in texts), 0) for i, column in enumerate(columns)]
    shown = _fitted(columns, widths, screen.width())
    screen.line((_joined([_padded(columns[i].title, widths[i], columns[i]) for i in shown]), "bold"))
    for row, cells in zip(filled, texts, strict=True):
        pieces: list[Piece] = []
        for i in shown:
            text = _padded(screen.fit(cells[i], widths[i]), widths[i], columns[i])
            pieces += [_GAP] if pieces else []
            pieces.append((text, _style(row.cells[i])))
        screen.line(*pieces)
        for note in row.notes:
            screen.line(("  " + screen.cut(note, used=2), "yellow"))


def fields(named: Iterable[tuple[str, Piece]]) -> None:
    """Write a value as names and what they are, a line each."""
    pairs = list(named)
    room = max(len(name) for name, _ in pairs)
    for name, piece in pairs:
        screen.hanging((f"{name:<{room}}", "bold"), _GAP, text=_text(piece), style=_style(piece))


def json(value: Any) -> None:
    """Write a value as JSON for people and programs."""
    screen.raw(as_json.text(value))


def json_line(value: Any) -> None:
    """Write a value as JSON on one line."""
    screen.raw(as_json.one_line(value))


def _fitted(columns: Sequence[Column], widths: list[int], room: int | None) -> list[int]:
    """Narrow the widths until the table fits into the room. Gives back which columns are shown."""
    shown = list(range(len(columns)))
    if room is None:
        return shown
    while (over := sum(widths[i] for i in shown) + len(_GAP) * (len(shown) - 1) - room) > 0:
        narrowest = {i: max(_NARROWEST, len(columns[i].title)) for i in shown}
        shrinkable = [i for i in shown if columns[i].shrinks and widths[i] > narrowest[i]]
        if shrinkable:
            widest = max(shrinkable, key=lambda i: widths[i])
            widths[widest] = max(narrowest[widest], widths[widest] - over)
            continue
        droppable = [i for i in shown if columns[i].drops]
        if not droppable:
            break
        shown.remove(droppable[-1])
    return shown


def _padded(text: str, width: int, column: Column) -> str:
    space = " " * (width - screen.cells(text))
    return space + text if column.right else text + space


def _joined(cells: Sequence[str]) -> str:
    return _GAP.join(cells)


def _text(piece: Piece) -> str:
    return piece if isinstance(piece, str) else piece[0]


def _style(piece: Piece) -> str:
    return "" if isinstance(piece, str) else piece[1]
