"""The line of ours that stands above whatever somebody else wrote."""

from typing import Final

from hyperhive.cli import screen
from hyperhive.cli.screen import Line

_DASH: Final = "─"


def rule(title: str, columns: int, *, more: str = "") -> Line:
    """A line with a title, and at its end how much more there is."""
    end = f" {more} {_DASH}" if more else ""
    shown = screen.fit(title, max(8, columns - screen.cells(end) - 6))
    dashes = columns - screen.cells(shown) - screen.cells(end) - 4
    return [(f"{_DASH * 2} ", "dim"), (shown, "bold"), (f" {_DASH * max(0, dashes)}{end}", "dim")]


def plain(columns: int) -> Line:
    """A line without a title."""
    return [(_DASH * columns, "dim")]
