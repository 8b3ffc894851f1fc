"""Which of the things in a list that changes is the selected one."""

from collections.abc import Sequence
from typing import TypeAlias

Thing: TypeAlias = int | str
"""What waits, by its number, or an agent, by its name: what is selected stays so wherever it moves to."""


class Selection:
    """What waits comes first, then the agents."""

    def __init__(self, selected: Thing | None = None) -> None:
        self.selected = selected
        self._things: tuple[Thing, ...] = ()

    def update(self, things: Sequence[Thing]) -> None:
        """These are there now. What takes the place of one that is gone is selected in its place."""
        before, self._things = self._things, tuple(things)
        if self.selected in self._things:
            return
        if not self._things:
            # It is remembered by nothing: what comes next is selected.
            self.selected = None
            return
        at = before.index(self.selected) if self.selected in before else 0
        self.selected = self._things[min(at, len(self._things) - 1)]

    def move(self, by: int) -> None:
        """Select the one so many places further down, or up."""
        if self._things:
            self.selected = self._things[min(max(self._at() + by, 0), len(self._things) - 1)]

    def to_end(self, *, last: bool) -> None:
        """Select the first one, or the last."""
        if self._things:
            self.selected = self._things[-1 if last else 0]

    def to_other_kind(self) -> None:
        """Select the first agent where something that waits is selected, and the other way round."""
        others = [thing for thing in self._things if isinstance(thing, int) is not isinstance(self.selected, int)]
        if others:
            self.selected = others[0]

    def _at(self) -> int:
        return self._things.index(self.selected) if self.selected in self._things else 0
