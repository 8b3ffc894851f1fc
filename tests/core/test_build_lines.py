"""Whoever follows a build reads each of its lines once, however it is written."""

from hyperhive.core import build_lines, building
from hyperhive.core.hive import Hive
from tests.core.hives import ADA


def test_lines_are_read_whole_and_once(hive: Hive) -> None:
    log = building.log_of(hive, ADA, 7)
    assert build_lines.read(hive, ADA, 7) == build_lines.Lines([], 0)
    log.parent.mkdir(parents=True)
    log.write_text("one\ntw")
    first = build_lines.read(hive, ADA, 7)
    assert (first.lines, first.at) == (["one"], 4)
    assert build_lines.read(hive, ADA, 7, at=first.at) == build_lines.Lines([], 4)
    log.write_text("one\ntwo\n\nthree\n")
    second = build_lines.read(hive, ADA, 7, at=first.at)
    assert second.lines == ["two", "", "three"]
    assert build_lines.read(hive, ADA, 7, at=second.at).lines == []


def test_a_log_is_read_in_pieces_also_where_a_line_is_longer_than_one(hive: Hive) -> None:
    log = building.log_of(hive, ADA, 7)
    log.parent.mkdir(parents=True)
    log.write_text("a" * 25 + "\nb\nc\n")
    found: list[str] = []
    at = 0
    while (came := build_lines.read(hive, ADA, 7, at=at, most=10)).at != at:
        at = came.at
        found += came.lines
    assert "".join(found) == "a" * 25 + "bc"
    assert at == log.stat().st_size


def test_of_a_long_log_the_end_is_shown_first(hive: Hive) -> None:
    log = building.log_of(hive, ADA, 7)
    log.parent.mkdir(parents=True)
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    came = build_lines.newest(hive, ADA, 7, most=30)
    assert came.lines == ["line 97", "line 98", "line 99"]
    assert came.at == log.stat().st_size
    assert came.left_out == came.at - len("line 97\nline 98\nline 99\n")
    assert build_lines.newest(hive, ADA, 7, most=10_000).left_out == 0


def test_a_log_that_begins_anew_is_read_from_its_beginning(hive: Hive) -> None:
    log = building.log_of(hive, ADA, 7)
    log.parent.mkdir(parents=True)
    log.write_text("again\n")
    assert build_lines.read(hive, ADA, 7, at=500).lines == ["again"]
