"""Durations, ages, money and numbers are said in one way."""

from datetime import UTC, datetime, timedelta

import pytest

from hyperhive.cli import screen, words

NOW = datetime(2026, 3, 5, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0ms"),
        (-3, "0ms"),
        (0.85, "850ms"),
        (0.9996, "1.0s"),
        (12.34, "12.3s"),
        (59.94, "59.9s"),
        (59.99, "1m 00s"),
        (125, "2m 05s"),
        (3599.6, "1h 00m"),
        (7500, "2h 05m"),
        (86_399, "23h 59m"),
        (100_000, "1d 03h"),
    ],
)
def test_a_duration(seconds: float, said: str) -> None:
    assert words.duration(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(-5, "0s"), (0, "0s"), (59, "59s"), (60, "1m"), (3599, "59m"), (7200, "2h"), (200_000, "2d")]
)
def test_an_age(seconds: int, said: str) -> None:
    assert words.age(NOW - timedelta(seconds=seconds), NOW) == said


def test_an_unknown_age_is_nothing() -> None:
    assert words.age(None, NOW) == ""


@pytest.mark.parametrize(("dollars", "said"), [(0, "$0.0000"), (0.0123, "$0.0123"), (1.5, "$1.50"), (12345.678, "$12,345.68")])
def test_money(dollars: float, said: str) -> None:
    assert words.money(dollars) == said


def test_a_moment_of_another_day_has_its_date() -> None:
    assert ":" in words.moment(NOW, NOW)
    assert "-" not in words.moment(NOW, NOW)
    assert words.moment(NOW - timedelta(days=2), NOW).startswith("2026-03-0")


@pytest.mark.parametrize(("number", "said"), [(0, "0 messages"), (1, "1 message"), (2, "2 messages")])
def test_a_count(number: int, said: str) -> None:
    assert words.count(number, "message") == said


@pytest.mark.parametrize(
    ("text", "columns", "shown"),
    [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("日本語", 5, "日本…"), ("日本語", 4, "日…"), ("é", 1, "é")],
)
def test_a_text_that_is_too_wide_is_cut(text: str, columns: int, shown: str) -> None:
    assert screen.fit(text, columns) == shown
    assert screen.cells(shown) <= columns
