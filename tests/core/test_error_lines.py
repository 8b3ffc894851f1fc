"""What a program says on standard error is written down line by line, and a flood of it in short."""

from pathlib import Path

import pytest

from hyperhive.core.error_lines import ErrorLines
from hyperhive.core.log import Log


class Kept(ErrorLines):
    """With what was written down."""

    def __init__(self, path: Path) -> None:
        self._file = path / "log"
        super().__init__(Log("c", self._file, quiet=True))

    @property
    def lines(self) -> list[str]:
        return [line.partition("Z c: ")[2] for line in self._file.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def test_a_line_is_written_when_it_ends_and_the_last_one_at_the_end(kept: Kept) -> None:
    for data in (b"one\ntw", b"o\n\n", b"\xc3", b"\xb6 three"):
        kept.feed(data)
    assert kept.lines == ["one", "two", ""]
    kept.feed(b"")
    assert kept.lines == ["one", "two", "", "ö three"]
    assert kept.tail == "one\ntwo\n\nö three"


def test_a_line_that_does_not_end_is_written_all_the_same(kept: Kept) -> None:
    kept.feed(b"x" * 5000)
    assert kept.lines == ["x" * 4096 + "… (904 more characters)"]


def test_of_a_flood_the_beginning_is_written_and_how_much_is_left_out(kept: Kept) -> None:
    kept.feed(b"y\n" * 100_000)
    *shown, last = kept.lines
    assert set(shown) == {"y"}
    assert last == f"({100_000 - len(shown)} more lines are left out)"
    assert len(shown) < 10_000
    kept.feed(b"and on\n")
    assert kept.lines[-1] == "and on"
    assert len(kept.tail) == 2000
