"""`up` keeps its parts alive, says when one crashes, and lets those that work and end work at their times."""

import os
from pathlib import Path

import pytest

from hyperhive.core import crash_watch, up
from hyperhive.core.errors import Conflict, HyperhiveError, Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock
from tests.core.hives import ADA, set_row


class Fake:
    """A child that ends when the test says so."""

    pid = 1

    def __init__(self) -> None:
        self.code: int | None = None

    def poll(self) -> int | None:
        return self.code

    def end(self) -> None:
        self.code = -9


class Clock:
    """The time that is never set back, as the test sets it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(up, "time", made)
    return made


class Kept:
    """A part that is kept, with all that was said and started."""

    def __init__(self, hive: Hive, every: float | None, *, besides: bool = False) -> None:
        self.started: list[Fake] = []
        self.said: list[str] = []
        self.keeper = up._Keeper(hive, up.Part("thing", lambda *_: self.start(), every, besides), self.said.append)

    def start(self) -> Fake:
        self.started.append(Fake())
        return self.started[-1]

    def end(self, code: int) -> float:
        """The child ends; gives back when it is looked again."""
        self.started[-1].code = code
        return self.keeper.look()


def test_what_always_lives_is_started_again_ever_later_and_at_once_after_a_minute_of_health(hive: Hive, clock: Clock) -> None:
    kept = Kept(hive, None)
    assert kept.keeper.look() == float("inf")
    waits = []
    for number in range(1, len(up.BACK_OFF) + 2):
        due = kept.end(-9)
        waits.append(due - clock.now)
        clock.now = due - 0.01
        kept.keeper.look()
        assert len(kept.started) == number
        clock.now = due
        kept.keeper.look()
        assert len(kept.started) == number + 1
    assert waits == pytest.approx([*up.BACK_OFF, up.BACK_OFF[-1]])
    assert kept.said[0] == f"the thing was ended by signal 9; it is started again in 0.2 s ({hive.paths.log}/thing.log)"
    clock.now += up.HEALTHY + 1
    assert kept.end(1) - clock.now == pytest.approx(up.BACK_OFF[0])
    assert "the thing ended with code 1; it is started again in 0.2 s" in kept.said[-1]


def test_one_that_always_lives_and_ends_well_has_crashed_all_the_same(hive: Hive, clock: Clock) -> None:
    kept = Kept(hive, None)
    kept.keeper.look()
    kept.end(0)
    assert "the thing ended with code 0" in kept.said[0]


def test_what_works_and_ends_is_started_at_its_times_and_nothing_is_said(hive: Hive, clock: Clock) -> None:
    kept = Kept(hive, 10.0)
    kept.keeper.look()
    clock.now += 3
    assert kept.end(0) == 1010
    clock.now = 1010
    kept.keeper.look()
    assert len(kept.started) == 2
    # One that takes longer than the time between is followed at once, and never by two.
    clock.now = 1035
    assert kept.keeper.look() == float("inf")
    kept.end(0)
    assert len(kept.started) == 3
    assert kept.said == []


def test_one_that_fails_is_said_and_not_tried_sooner(hive: Hive, clock: Clock) -> None:
    kept = Kept(hive, 10.0)
    kept.keeper.look()
    waits = [0.0]
    for _ in range(6):
        due = kept.end(7)
        waits.append(due - clock.now)
        clock.now = due
        kept.keeper.look()
    assert waits[1:] == [10, 10, 10, 10, 10, 30]
    assert len(kept.said) == 6


def test_behind_another_one_it_waits_for_a_while_and_then_gives_up(hive: Hive, clock: Clock) -> None:
    kept = Kept(hive, None)
    kept.keeper.look()
    for _ in range(len(up.BACK_OFF) - 1):
        clock.now = kept.end(Conflict.exit_code)
        kept.keeper.look()
    with pytest.raises(Conflict, match="somebody else keeps this hive up"):
        kept.end(Conflict.exit_code)


def test_one_that_cannot_be_started_is_tried_again(hive: Hive, clock: Clock) -> None:
    kept = Kept(hive, None)
    failing: list[HyperhiveError] = [Unavailable("no room")]

    def start(*_: object) -> Fake:
        if failing:
            raise failing.pop()
        return kept.start()

    kept.keeper = up._Keeper(hive, up.Part("thing", start), kept.said.append)
    due = kept.keeper.look()
    assert due - clock.now == pytest.approx(up.BACK_OFF[0])
    assert kept.said == ["the thing cannot be started: no room; it is tried again in 0.2 s"]
    clock.now = due
    kept.keeper.look()
    assert len(kept.started) == 1


# ---- the watch as a part ----


def watched(hive: Hive) -> tuple[int, list[str]]:
    """One look as `up` lets it be taken; its exit code, and what was said."""
    said: list[str] = []
    return up._worked(hive, said.append, "crash-watch", up._watch), said


def test_the_watch_says_what_it_told(hive: Hive) -> None:
    assert watched(hive) == (0, [])
    set_row(hive, ADA, epoch=1, boot=hive.boot())
    code, said = watched(hive)
    assert code == 0
    assert [line.partition(" died")[0] for line in said] == ["container_crash: ada"]


def test_a_watch_that_fails_says_why_and_one_that_comes_second_is_none(
    hive: Hive, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Lock(hive.paths.lock("crash-watch")) as lock:
        lock.take()
        assert watched(hive) == (0, [])
    hive.paths.settings.write_text("linger_seconds = 'x'\n", encoding="utf-8")
    code, said = watched(hive)
    assert (code, said[0].partition(":")[0]) == (2, "the crash-watch cannot do its work")
    hive.paths.settings.unlink()
    monkeypatch.setattr(crash_watch, "look", breaks)
    code, said = watched(hive)
    assert (code, said) == (HyperhiveError.exit_code, [])
    assert "ZeroDivisionError" in (hive.paths.log / "crash-watch.log").read_text(encoding="utf-8")


def breaks(hive: Hive) -> crash_watch.Look:
    return crash_watch.Look((), (str(1 // 0),))


# ---- the sweep as a part ----


def swept(hive: Hive) -> tuple[int, list[str]]:
    """One pass as `up` lets it be made; its exit code, and what was said."""
    said: list[str] = []
    return up._worked(hive, said.append, "vacuum", up._sweep), said


def test_the_sweep_says_what_it_removed_and_what_it_could_not(hive: Hive) -> None:
    assert swept(hive) == (0, [])
    old = hive.paths.log / "hub.1"
    old.touch()
    os.utime(old, (0, 0))
    hive.paths.agent(ADA).mkdir()
    hive.paths.agent_events(ADA).mkdir()
    code, (removed, trouble) = swept(hive)
    assert (code, removed) == (0, "removed 1 log")
    assert trouble.startswith("the events of ada cannot be swept: ")


def test_a_sweep_beside_another_is_none_and_the_settings_are_read_anew(hive: Hive) -> None:
    with Lock(hive.paths.lock("vacuum")) as lock:
        lock.take()
        assert swept(hive) == (0, [])
    hive.paths.settings.write_text("[keep]\nlog_days = 0\n", encoding="utf-8")
    code, said = swept(hive)
    assert (code, said[0].partition(":")[0]) == (2, "the vacuum cannot do its work")


def test_it_is_swept_first_when_the_hive_comes_up_then_hourly(hive: Hive, clock: Clock) -> None:
    (part,) = (part for part in up.PARTS if part.name == "vacuum")
    kept = Kept(hive, part.every)
    kept.keeper.look()
    assert len(kept.started) == 1
    clock.now += 60
    assert kept.end(0) == 1000 + 3600
    kept.keeper.look()
    assert len(kept.started) == 1
    clock.now = 4600
    kept.keeper.look()
    clock.now += 0.2
    kept.end(7)
    assert kept.said == [f"the thing ended with code 7; it is started again in 3599.8 s ({hive.paths.log}/thing.log)"]


def test_what_is_besides_the_hive_and_has_no_place_is_tried_ever_later_and_ends_nothing(hive: Hive, clock: Clock) -> None:
    kept = Kept(hive, None, besides=True)
    kept.keeper.look()
    for _ in range(2 * len(up.BACK_OFF)):
        clock.now = kept.end(Conflict.exit_code)
        kept.keeper.look()
    assert len(kept.started) == 2 * len(up.BACK_OFF) + 1
    assert kept.said[-1].startswith("the thing ended with code 5; it is started again in 30 s")
