"""A container that boots and is gone is a crash, unless somebody took it away on purpose."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine

from hyperhive.core import crash_watch, holding, operations, roster, turns
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, Flavor, Verb, Wanted
from tests.core.hives import ADA, BOB, EVE, add_agent, program, set_row
from tests.core.machines import NAME, Machines, machines
from tests.core.test_crash_watch import HARNESS, crashes, told


@pytest.fixture
def booted(hive: Hive, home: Path, monkeypatch: pytest.MonkeyPatch) -> Machines:
    """The containers of ada and bob, which run."""
    add_agent(hive, EVE, flavor=Flavor.MANAGER)
    made = machines(home, monkeypatch)
    for name in (ADA, BOB):
        set_row(hive, name, runtime=NAME)
    made.run(ADA, BOB)
    assert told(hive) == []
    return made


def test_a_container_that_vanishes_is_told_once_each_time(hive: Hive, booted: Machines) -> None:
    with time_machine.travel(datetime(2026, 3, 1, tzinfo=UTC), tick=False) as clock:
        for number in range(1, 4):
            booted.run(BOB)
            assert told(hive) == ["container_crash ada"]
            assert told(hive) == []
            assert not roster.get(hive, ADA).running
            booted.run(ADA, BOB)
            assert told(hive) == []
            assert roster.get(hive, ADA).running
            assert crashes(hive) == number
            clock.shift(timedelta(seconds=10))


def test_one_whose_harness_went_with_it_is_one_crash(hive: Hive, home: Path, booted: Machines) -> None:
    with program(home, HARNESS, ADA) as harness:
        assert harness.heard()
    booted.run(BOB)
    assert told(hive) == ["container_crash ada"]
    turns.begin_epoch(hive, ADA)
    assert crashes(hive) == 1


def test_a_container_that_was_stopped_is_no_crash(hive: Hive, booted: Machines) -> None:
    set_row(hive, ADA, wanted=Wanted.STOPPED)
    booted.run(BOB)
    assert told(hive) == []
    set_row(hive, ADA, wanted=Wanted.STARTED)
    assert told(hive) == []
    booted.run(ADA, BOB)
    assert told(hive) == []


@pytest.mark.parametrize("verb", [Verb.RESTART, Verb.KILL, Verb.DESTROY, Verb.UPDATE, Verb.DEPLOY, Verb.START])
def test_what_is_under_way_explains_it(hive: Hive, booted: Machines, verb: Verb) -> None:
    with holding.under_way(hive, ADA, verb, by=OPERATOR):
        booted.run(BOB)
        assert told(hive) == []
        booted.run()
        # But of nobody else.
        assert told(hive) == ["container_crash bob"]
    assert told(hive) == []


def interrupted(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Something happens in the moment when the containers are listed."""
    run = Hive.run

    def first(hive: Hive, *words: Any, **more: Any) -> Any:
        act()
        return run(hive, *words, **more)

    monkeypatch.setattr(Hive, "run", first)


@pytest.mark.parametrize("asked", [False, True])
def test_what_begins_and_ends_during_a_look_explains_what_the_look_saw(
    hive: Hive, booted: Machines, monkeypatch: pytest.MonkeyPatch, asked: bool
) -> None:
    number = None
    if asked:
        with hive.db.write():
            number = operations.ask(hive, ADA, Verb.RESTART, by=EVE)

    def restart() -> None:
        with holding.under_way(hive, ADA, Verb.RESTART, by=EVE, number=number):
            booted.run(BOB)

    interrupted(monkeypatch, restart)
    assert told(hive) == []


def test_what_only_waits_explains_nothing(hive: Hive, booted: Machines) -> None:
    with hive.db.write():
        operations.ask(hive, ADA, Verb.RESTART, by=EVE)
    booted.run(BOB)
    assert told(hive) == ["container_crash ada"]


def test_what_was_done_before_explains_nothing(hive: Hive, booted: Machines) -> None:
    with holding.under_way(hive, ADA, Verb.RESTART, by=OPERATOR):
        pass
    booted.run(BOB)
    assert told(hive) == ["container_crash ada"]


def test_what_nobody_can_tell_is_as_it_was_and_said(hive: Hive, booted: Machines) -> None:
    booted.file.unlink()
    with crash_watch.alone(hive):
        seen = crash_watch.look(hive)
    assert seen.told == ()
    assert seen.troubles[0].startswith("which containers of machines run cannot be told: ")
    booted.run(BOB)
    assert told(hive) == ["container_crash ada"]


def test_no_more_than_one_program_is_run_and_none_where_no_container_boots(
    hive: Hive, booted: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[None] = []
    interrupted(monkeypatch, lambda: ran.append(None))
    told(hive)
    assert len(ran) == 1
    for name in (ADA, BOB):
        set_row(hive, name, runtime="host")
    told(hive)
    assert len(ran) == 1
