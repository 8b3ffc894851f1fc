"""The figures as a table of plain text."""

from collections.abc import Sequence
from typing import Final

from tests.bench.figures import Aim, Figure, Unit

_HEAD: Final = ("", "rounds", "median", "99 %", "ratio", "beside it", "median", "99 %", "aim")
_LEFT: Final = (0, 5, 8)


def table(figures: Sequence[Figure]) -> str:
    """One line a figure, below the heading of its measurement."""
    rows = [_HEAD, *(_row(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = [_line(_HEAD, widths)]
    heading = ""
    for figure, row in zip(figures, rows[1:], strict=True):
        group = figure.name.partition(".")[0]
        if group != heading:
            heading = group
            lines.append(group)
        lines.append(_line(row, widths))
    return "\n".join(lines)


def value(number: float, unit: Unit) -> str:
    """A number as a person reads it."""
    match unit:
        case Unit.SECONDS:
            return f"{number:.2f} s" if number >= 1 else f"{number * 1e3:.0f} ms" if number >= 0.1 else f"{number * 1e3:.2f} ms"
        case Unit.BYTES:
            return f"{number / 1e6:.1f} MB"
        case Unit.NUMBER:
            return f"{number:g}"
        case Unit.SHARE:
            return f"{number * 100:.2f} %"


def _row(figure: Figure) -> tuple[str, ...]:
    sample, beside = figure.sample, figure.beside
    return (
        f"  {sample.what}",
        str(len(sample.values)),
        value(sample.median, figure.unit),
        value(sample.worst, figure.unit) if len(sample.values) > 1 else "",
        "" if figure.ratio is None else f"{figure.ratio:.2f}",
        "" if beside is None else beside.what,
        "" if beside is None else value(beside.median, figure.unit),
        "" if beside is None or len(beside.values) < 2 else value(beside.worst, figure.unit),
        "" if figure.aim is None else f"{_aim(figure.aim, figure.unit)}: {'met' if figure.is_met else 'MISSED'}",
    )


def _aim(aim: Aim, unit: Unit) -> str:
    parts = [
        "" if aim.median is None else f"≤ {value(aim.median, unit)}",
        "" if aim.worst is None else f"99 % ≤ {value(aim.worst, unit)}",
        "" if aim.ratio is None else f"ratio ≤ {aim.ratio:g}",
    ]
    return ", ".join(part for part in parts if part)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = (
        cell.ljust(width) if column in _LEFT else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join(cells).rstrip()
