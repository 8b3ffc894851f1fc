"""What is under way is a row whose lock is held: it clears itself when its process dies."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine

from hyperhive.core import holding, operations
from hyperhive.core.db import next_number
from hyperhive.core.errors import Conflict, NotFound, Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock
from hyperhive.core.model import OPERATOR, OperationState, Verb
from tests.core.hives import ADA, BOB, program

HOLD = """
with holding.under_way(hive, ADA, Verb.DESTROY, by=OPERATOR):
    print("in", flush=True)
    sys.stdin.readline()
"""


def ask(hive: Hive, verb: Verb, argument: str | None = None) -> int:
    with hive.db.write():
        return operations.ask(hive, ADA, verb, by=OPERATOR, argument=argument)


def test_only_one_thing_is_done_to_an_agent_at_a_time_and_the_second_hears_what(hive: Hive, home: Path) -> None:
    with program(home, HOLD) as other:
        assert other.heard() == "in"
        assert holding.running(hive)[ADA].what == "destroying"
        with (
            pytest.raises(Conflict, match=r"ada is destroying since \d\d:\d\d:\d\d UTC"),
            holding.under_way(hive, ADA, Verb.STOP, by=OPERATOR),
        ):
            pass
        with holding.under_way(hive, BOB, Verb.STOP, by=OPERATOR):
            assert set(holding.running(hive)) == {ADA, BOB}
        other.tell()
        assert other.wait() == 0
    assert holding.running(hive) == {}
    assert operations.get(hive, 1).state is OperationState.DONE


@pytest.mark.parametrize(
    ("verb", "urgent", "taken"),
    [(Verb.KILL, True, True), (Verb.DESTROY, True, True), (Verb.STOP, True, False), (Verb.START, False, False)],
)
def test_what_ends_everything_ends_a_build_and_nothing_else_does(
    hive: Hive, home: Path, verb: Verb, urgent: bool, taken: bool
) -> None:
    with program(home, HOLD.replace("DESTROY", "DEPLOY")) as other:
        assert other.heard() == "in"
        if not taken:
            with pytest.raises(holding.Busy), holding.under_way(hive, ADA, verb, by=OPERATOR, urgent=urgent):
                pass
            return
        with holding.under_way(hive, ADA, verb, by=OPERATOR, urgent=urgent):
            assert other.wait() == -9
            assert operations.get(hive, 1).state is OperationState.FAILED


def test_what_died_is_not_shown_and_the_next_one_says_that_it_failed(hive: Hive, home: Path) -> None:
    with program(home, HOLD) as other:
        assert other.heard() == "in"
        other.kill()
    assert holding.running(hive) == {}
    with holding.under_way(hive, ADA, Verb.STOP, by=OPERATOR):
        pass
    dead = operations.get(hive, 1)
    assert (dead.state, dead.error) == (OperationState.FAILED, "its process died")


def test_what_the_harness_does_is_not_failed_by_what_is_done_beside_it(hive: Hive) -> None:
    with Lock(hive.paths.harness_lock(ADA)) as lock:
        lock.take()
        number = ask(hive, Verb.CANCEL)
        operations.take(hive, ADA, Verb.CANCEL)
        with holding.under_way(hive, ADA, Verb.STOP, by=OPERATOR):
            assert operations.get(hive, number).state is OperationState.RUNNING
        assert holding.running(hive)[ADA].what == "cancelling"
    assert holding.running(hive) == {}


def test_what_fails_keeps_its_own_error(hive: Hive) -> None:
    with pytest.raises(Unavailable, match="no room"), holding.under_way(hive, ADA, Verb.STOP, by=OPERATOR):
        raise Unavailable("no room")
    assert operations.get(hive, 1).error == "no room"


def test_the_same_wish_that_waits_is_not_asked_twice_and_the_last_word_counts(hive: Hive) -> None:
    assert ask(hive, Verb.CANCEL) == ask(hive, Verb.CANCEL, "retry") == 1
    assert operations.take(hive, ADA, Verb.CANCEL, Verb.LEAVE) == [(1, Verb.CANCEL, "retry")]
    assert operations.take(hive, ADA, Verb.CANCEL) == []
    # What is under way already may be wished for again.
    assert ask(hive, Verb.CANCEL) == 2


def test_a_wish_that_nobody_took_in_ten_minutes_will_not_happen(hive: Hive) -> None:
    with time_machine.travel(datetime(2026, 3, 1, tzinfo=UTC), tick=False) as clock:
        number = ask(hive, Verb.COMPACT)
        clock.shift(operations.PENDING_MOST + timedelta(seconds=1))
        assert operations.take(hive, ADA, Verb.COMPACT) == []
    assert operations.get(hive, number).state is OperationState.EXPIRED


def test_what_is_over_stays_as_it_ended(hive: Hive) -> None:
    number = ask(hive, Verb.COMPACT)
    operations.take(hive, ADA, Verb.COMPACT)
    with hive.db.write():
        operations.drop(hive, ADA, reason="ada was destroyed")
    operations.finish(hive, number)
    ended = operations.get(hive, number)
    assert (ended.state, ended.error) == (OperationState.EXPIRED, "ada was destroyed")


def test_there_is_no_operation_of_that_number(hive: Hive) -> None:
    with pytest.raises(NotFound):
        operations.get(hive, 99)


def operations_that_fail(number: int) -> None:
    raise NotFound(f"nothing becomes of {number}")


def test_numbers_are_never_given_twice_also_when_what_they_named_came_to_nothing(hive: Hive) -> None:
    with pytest.raises(NotFound), hive.db.write():
        operations_that_fail(next_number())
    numbers = []
    for verb in (Verb.CANCEL, Verb.COMPACT):
        numbers.append(ask(hive, verb))
    with holding.under_way(hive, ADA, Verb.STOP, by=OPERATOR):
        pass
    assert numbers == [1, 2]
    assert operations.get(hive, 3).verb is Verb.STOP


@pytest.mark.parametrize(
    ("verb", "what"),
    [(Verb.UPDATE, "rebuilding"), (Verb.DEPLOY, "deploying"), (Verb.PROPOSE, "proposing"), (Verb.STOP, "stopping")],
)
def test_what_is_under_way_has_a_word_of_its_own(hive: Hive, verb: Verb, what: str) -> None:
    with holding.under_way(hive, ADA, verb, by=OPERATOR):
        assert holding.running(hive)[ADA].what == what
