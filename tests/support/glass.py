"""What is seen on a terminal, from the few things that a program may send to it."""

import re

from hyperhive.cli import screen

# A position, a colour, clearing, and the modes that are set and reset.
SEQUENCE = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])")
MODES = {"1049", "25", "7", "2004", "2026"}


class Glass:
    """The screen of a terminal that understands nothing but what it has to; all else fails the test."""

    def __init__(self, columns: int, rows: int) -> None:
        self.modes: set[str] = {"25", "7"}
        self.is_other = False
        self.resize(columns, rows)

    def resize(self, columns: int, rows: int) -> None:
        self.columns, self._height = columns, rows
        self._cells = [[" "] * columns for _ in range(rows)]
        self._reversed: list[bool] = [False] * rows
        self._row = self._column = 0

    @property
    def rows(self) -> list[str]:
        """What stands in each row, without the blanks behind it."""
        return ["".join(row).rstrip() for row in self._cells]

    @property
    def text(self) -> str:
        return "\n".join(self.rows)

    def feed(self, said: str) -> None:
        """Show what was sent; it must be whole."""
        at = 0
        while at < len(said):
            if said[at] != "\x1b":
                self._put(said[at])
                at += 1
                continue
            found = SEQUENCE.match(said, at)
            assert found, f"unknown to the terminal: {said[at : at + 20]!r}"
            self._act(found[1], found[2], found[3])
            at = found.end()

    def _put(self, character: str) -> None:
        if not self.is_other:
            # What stands on the screen from before: it comes back as it was.
            return
        assert character.isprintable(), f"a control: {character!r}"
        width = screen.cells(character)
        if width == 0:
            return
        assert self._column + width <= self.columns, f"too long: {self.rows[self._row]!r} and {character!r}"
        self._cells[self._row][self._column] = character
        for more in range(1, width):
            self._cells[self._row][self._column + more] = ""
        self._column += width

    def _act(self, private: str, numbers: str, letter: str) -> None:
        match private, letter:
            case "?", "h" | "l":
                assert numbers in MODES, numbers
                (self.modes.add if letter == "h" else self.modes.discard)(numbers)
                self.is_other = "1049" in self.modes
            case "", "H":
                row, column = (int(number or 1) for number in (numbers or "1;1").split(";"))
                assert 1 <= row <= self._height
                self._row, self._column = row - 1, column - 1
            case "", "J":
                assert numbers == "2"
                self._cells = [[" "] * self.columns for _ in range(self._height)]
            case "", "K":
                first = 0 if numbers == "2" else self._column
                self._cells[self._row][first:] = [" "] * (self.columns - first)
            case "", "m":
                pass
            case _:
                raise AssertionError(f"unknown to the terminal: {private}{numbers}{letter}")
