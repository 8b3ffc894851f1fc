"""A container that crashed is started again where its agent's configuration says so, ever later, and not for ever."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine

from hyperhive.core import agents, builds, holding, operations, restarts
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, Blocked, Flavor, OperationState, Restart, Verb, Wanted
from hyperhive.core.observations import CRASHES, WAITS
from tests.core.hives import ADA, BOB, EVE, add_agent, row_of, set_row
from tests.core.machines import NAME, Machines, machines
from tests.core.test_crash_watch import inbox, told

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOW, tick=False) as coordinates:
        yield coordinates


@pytest.fixture
def booted(hive: Hive, home: Path, clock: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch) -> Machines:
    """The containers of ada, which is always started again, and of bob, which is not."""
    add_agent(hive, EVE, flavor=Flavor.MANAGER)
    made = machines(home, monkeypatch)
    for number, (name, restart) in enumerate(((ADA, Restart.ALWAYS), (BOB, Restart.MANAGER)), 1):
        builds.write_build(hive, name, number, AgentConfig(restart=restart))
        set_row(hive, name, runtime=NAME, deployed=number)
    made.run(ADA, BOB)
    assert told(hive) == []
    return made


def asked(hive: Hive) -> list[str]:
    """Whose container is to be started."""
    waiting = [one for one in operations.listed(hive) if one.state is OperationState.PENDING]
    assert all((one.verb, one.asked_by, one.argument) == (Verb.START, operations.HIVE, restarts.CRASHED) for one in waiting)
    return [one.agent for one in waiting]


def carry_out(hive: Hive, *, starts: bool, booted: Machines) -> None:
    """Do what a hub does with what was asked."""
    for one in operations.ready(hive):
        with holding.under_way(hive, ADA, one.verb, by=one.asked_by, number=one.number):
            if starts:
                booted.run(ADA, BOB)


def test_one_that_is_always_started_again_is_asked_for_and_of_the_other_the_manager_is_told(hive: Hive, booted: Machines) -> None:
    booted.run()
    assert told(hive) == ["container_crash ada", "container_crash bob"]
    assert asked(hive) == [ADA]
    # Once, however long it takes.
    assert told(hive) == []
    assert asked(hive) == [ADA]
    carry_out(hive, starts=True, booted=booted)
    booted.run(ADA)
    assert told(hive) == []
    assert asked(hive) == []


def test_each_start_waits_a_little_longer_and_the_fifth_crash_holds_it_back(
    hive: Hive, booted: Machines, clock: time_machine.Traveller
) -> None:
    waits = []
    for _ in range(CRASHES - 1):
        booted.run(BOB)
        seen = told(hive)
        assert seen == ["container_crash ada"]
        begun = hive.now()
        while not asked(hive):
            clock.shift(1)
            told(hive)
        waits.append((hive.now() - begun).total_seconds())
        carry_out(hive, starts=True, booted=booted)
        told(hive)
    assert waits == list(WAITS)
    booted.run(BOB)
    assert told(hive) == ["container_crash ada", "crashed ada"]
    assert row_of(hive, ADA).blocked is Blocked.CRASHED
    clock.shift(timedelta(days=1))
    assert told(hive) == []
    assert asked(hive) == []
    assert inbox(hive)[-1].startswith("crashed: ada is not started again: its container ended 5 times in ten minutes.")
    # The operator lets it try again, and it may crash as often as before.
    agents.start(hive, ADA, by=OPERATOR)
    assert row_of(hive, ADA).blocked is Blocked.NONE
    booted.run(ADA, BOB)
    told(hive)
    booted.run(BOB)
    assert told(hive) == ["container_crash ada"]
    assert asked(hive) == [ADA]


def test_a_start_that_comes_to_nothing_counts_as_a_crash_and_is_not_told_as_one(
    hive: Hive, booted: Machines, clock: time_machine.Traveller
) -> None:
    booted.run(BOB)
    assert told(hive) == ["container_crash ada"]
    tries = 0
    while row_of(hive, ADA).blocked is Blocked.NONE:
        if asked(hive):
            tries += 1
            carry_out(hive, starts=False, booted=booted)
        clock.shift(10)
        assert told(hive) in ([], ["crashed ada"])
        assert hive.now() < NOW + timedelta(minutes=10)
    assert tries == CRASHES - 1


def test_crashes_that_lie_far_apart_hold_nobody_back(hive: Hive, booted: Machines, clock: time_machine.Traveller) -> None:
    for _ in range(2 * CRASHES):
        booted.run(BOB)
        assert told(hive) == ["container_crash ada"]
        assert asked(hive) == [ADA]
        carry_out(hive, starts=True, booted=booted)
        told(hive)
        clock.shift(timedelta(minutes=11))


@pytest.mark.parametrize("jump", [timedelta(days=1), timedelta(days=-1)], ids=str)
def test_a_clock_that_jumps_makes_no_start_wait_for_long(
    hive: Hive, booted: Machines, clock: time_machine.Traveller, jump: timedelta
) -> None:
    for _ in range(2):
        booted.run(BOB)
        told(hive)
        carry_out(hive, starts=True, booted=booted)
        told(hive)
    clock.shift(jump)
    told(hive)
    booted.run(BOB)
    told(hive)
    clock.shift(max(WAITS))
    told(hive)
    assert asked(hive) == [ADA]


def test_who_was_stopped_meanwhile_is_not_started(hive: Hive, booted: Machines) -> None:
    set_row(hive, ADA, wanted=Wanted.STOPPED)
    booted.run(BOB)
    assert told(hive) == []
    assert asked(hive) == []


def test_a_configuration_that_is_damaged_starts_nobody(hive: Hive, booted: Machines) -> None:
    (hive.paths.build(ADA, 1) / "agent.json").write_text("{", encoding="utf-8")
    booted.run(BOB)
    assert told(hive) == ["container_crash ada"]
    assert asked(hive) == []
