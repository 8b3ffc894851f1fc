"""The hub does what waits, however long it has to wait, and asks again for what did not come about, ever more rarely."""

import itertools
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from hyperhive.core import holding, hub_operations, operations
from hyperhive.core.hive import Hive
from hyperhive.core.hub_operations import SETTLE, SETTLE_MOST, HubOperations, Patience
from hyperhive.core.hub_workers import Processes
from hyperhive.core.log import Log
from hyperhive.core.model import OPERATOR, OperationState, Verb, Wanted
from tests.core.hives import ADA, BOB, program, row_of

LATER = timedelta(minutes=20)


@pytest.fixture
def hub(hive: Hive, home: Path) -> Iterator[HubOperations]:
    """The hub's part in operations, whose processes end with the test."""
    log = Log("hub", home / "hub.log", quiet=True)
    workers = Processes("operate", log)
    yield HubOperations(hive, workers, log)
    workers.kill()


def ask(hive: Hive, verb: Verb = Verb.STOP) -> int:
    with hive.db.write():
        return operations.ask(hive, ADA, verb, by=OPERATOR)


def state(hive: Hive, number: int) -> OperationState:
    return operations.get(hive, number).state


def jump(hive: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is later all of a sudden."""
    now = hive.now() + LATER
    monkeypatch.setattr(hive, "now", lambda: now)


def finish(hub: HubOperations) -> None:
    """Wait for all that the hub has started."""
    while hub.numbers:
        hub.reap()
        time.sleep(0.01)


def test_what_waits_behind_something_long_is_done_after_it(
    hive: Hive, hub: HubOperations, monkeypatch: pytest.MonkeyPatch
) -> None:
    with holding.under_way(hive, ADA, Verb.RESTART, by=OPERATOR):
        number = ask(hive)
        # Not even a hub that comes only now gives it up.
        jump(hive, monkeypatch)
        hub.look()
        assert state(hive, number) is OperationState.PENDING
        assert operations.take(hive, ADA, Verb.CANCEL) == []
        ask(hive, Verb.CANCEL)
        operations.take(hive, ADA, Verb.CANCEL)
        assert state(hive, number) is OperationState.PENDING
    hub.look()
    finish(hub)
    assert state(hive, number) is OperationState.DONE
    assert row_of(hive, ADA).wanted is Wanted.STOPPED


def test_what_waits_for_a_place_is_not_given_up(hive: Hive, hub: HubOperations, monkeypatch: pytest.MonkeyPatch) -> None:
    number = ask(hive)
    with monkeypatch.context() as full:
        full.setattr(hub_operations, "MOST", 0)
        hub.look()
        jump(hive, monkeypatch)
        hub.look()
    assert state(hive, number) is OperationState.PENDING


def test_what_waited_while_there_was_no_hub_is_given_up(hive: Hive, hub: HubOperations, monkeypatch: pytest.MonkeyPatch) -> None:
    number = ask(hive)
    jump(hive, monkeypatch)
    hub.look()
    assert state(hive, number) is OperationState.EXPIRED
    assert hub.numbers == set()


def test_what_nobody_does_any_more_is_not_under_way_for_ever(hive: Hive, home: Path, hub: HubOperations) -> None:
    code = """
with holding.under_way(hive, ADA, Verb.STOP, by=OPERATOR):
    print("in", flush=True)
    sys.stdin.readline()
"""
    with program(home, code) as other:
        assert other.heard() == "in"
        hub.look()
        assert state(hive, 1) is OperationState.RUNNING
        other.kill()
    hub.look()
    assert state(hive, 1) is OperationState.FAILED


def test_one_that_found_the_agent_busy_is_tried_as_often_as_it_takes(
    hive: Hive, hub: HubOperations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_operations, "PAUSE", 0.0)
    # As if the lock were free when the hub looks, and taken when its process comes.
    monkeypatch.setattr(operations, "is_held", lambda _: False)
    number = ask(hive)
    with holding.under_way(hive, ADA, Verb.KILL, by=OPERATOR):
        for _ in range(hub_operations.TRIES + 2):
            hub.look()
            assert len(hub.numbers) == 1
            finish(hub)
            assert state(hive, number) is OperationState.PENDING


def tries(patience: Patience, *, seconds: float) -> list[float]:
    """When ada is tried, where nothing of it ever succeeds and somebody looks once a second."""
    found = []
    for now in map(float, range(int(seconds))):
        if due := patience.due([ADA], now):
            patience.tried(due, now)
            found.append(now)
    return found


def test_what_never_succeeds_is_tried_ever_more_rarely() -> None:
    tried = tries(Patience(), seconds=48 * 3600)
    pauses = [later - earlier for earlier, later in itertools.pairwise(tried)]
    assert pauses[:3] == [SETTLE, 2 * SETTLE, 4 * SETTLE]
    assert pauses == sorted(pauses)
    assert set(pauses[7:]) == {SETTLE_MOST}


def test_what_succeeded_meanwhile_begins_anew_and_nobody_waits_for_another() -> None:
    patience = Patience()
    tried = tries(patience, seconds=1000)
    assert patience.due([ADA, BOB], tried[-1] + 1) == [BOB]
    later = tried[-1] + 24 * 3600
    assert patience.due([ADA], later) == [ADA]
    patience.tried([ADA], later)
    assert patience.due([ADA], later + SETTLE) == [ADA]
