"""What the hub lets run at a time, and what becomes of what nobody takes."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from hyperhive.core import messages, operate, operations
from hyperhive.core.errors import Conflict, HyperhiveError
from hyperhive.core.hive import Hive
from hyperhive.core.hub_operations import AGENT_MOST, MOST, HubOperations
from hyperhive.core.hub_workers import Processes
from hyperhive.core.log import Log
from hyperhive.core.model import OPERATOR, AgentName, Flavor, OperationState, Verb
from tests.core.hives import EVE, add_agent


@pytest.fixture
def hub(hive: Hive) -> Iterator[HubOperations]:
    add_agent(hive, EVE, flavor=Flavor.MANAGER)
    log = Log("hub", quiet=True)
    workers = Processes("operate", log)
    yield HubOperations(hive, workers, log)
    workers.kill()


def ask(hive: Hive, verb: Verb, *, by: str, count: int) -> list[int]:
    """The same of many agents."""
    with hive.db.write():
        return [
            operations.ask(hive, AgentName(f"{by[0]}-{verb}-{number}"), verb, by=by, argument=None) for number in range(count)
        ]


def test_one_agents_proposals_leave_room_for_others(hive: Hive, hub: HubOperations) -> None:
    ask(hive, Verb.PROPOSE, by=EVE, count=5)
    hub.look()
    assert len(hub.numbers) == AGENT_MOST
    ask(hive, Verb.DEPLOY, by=OPERATOR, count=5)
    hub.look()
    assert len(hub.numbers) == MOST


def test_what_waits_for_turns_holds_nothing_up(hive: Hive, hub: HubOperations) -> None:
    ask(hive, Verb.STOP, by=EVE, count=MOST + 1)
    hub.look()
    assert len(hub.numbers) == MOST + 1
    ask(hive, Verb.PROPOSE, by=EVE, count=1)
    hub.look()
    assert len(hub.numbers) == MOST + 2


def test_places_are_given_back(hive: Hive, hub: HubOperations) -> None:
    numbers = ask(hive, Verb.START, by=EVE, count=AGENT_MOST + 1)
    deadline = time.monotonic() + 30
    while any(operations.get(hive, number).ended_at is None for number in numbers):
        assert time.monotonic() < deadline
        hub.look()
        hub.reap()
        time.sleep(0.01)
    assert {operations.get(hive, number).state for number in numbers} == {OperationState.FAILED}


def test_an_agent_that_asks_without_end_is_stopped_for_an_hour_and_the_operator_never(hive: Hive, hub: HubOperations) -> None:
    with time_machine.travel(datetime(2026, 3, 1, tzinfo=UTC), tick=False) as clock:
        for number in range(operations.HOURLY_MOST):
            for by in (EVE, OPERATOR):
                with hive.db.write():
                    one = operations.ask(hive, EVE, Verb.PROPOSE, by=by, argument=str(number))
                operations.refuse(hive, one, error="no")
        with pytest.raises(Conflict, match="eve has asked for 300 operations in an hour"):
            ask(hive, Verb.START, by=EVE, count=1)
        ask(hive, Verb.START, by=OPERATOR, count=1)
        clock.shift(timedelta(hours=1))
        ask(hive, Verb.START, by=EVE, count=1)


def test_who_asked_for_what_nobody_took_is_told(hive: Hive, hub: HubOperations) -> None:
    with time_machine.travel(datetime(2026, 3, 1, tzinfo=UTC), tick=False) as clock:
        ask(hive, Verb.PROPOSE, by=EVE, count=1)
        clock.shift(operations.PENDING_MOST + timedelta(seconds=1))
        hub.look()
        (told,) = messages.inbox(hive, EVE)
    assert told.body == (
        "operation_failed: what you asked for, to propose e-propose-0 (operation 1), did not happen: nobody came to do it in ten "
        "minutes"
    )


@pytest.mark.parametrize(
    ("verb", "seconds", "is_told"),
    [
        (Verb.START, operations.QUICK_MOST, False),
        (Verb.START, operations.QUICK_MOST + 0.001, True),
        (Verb.UPDATE, operations.QUICK_MOST, False),
        (Verb.PROPOSE, operations.ANSWER_MOST, False),
        (Verb.PROPOSE, operations.ANSWER_MOST + 0.001, True),
        # Nobody waits for the end of a turn.
        (Verb.STOP, 0, True),
        (Verb.RESTART, 0, True),
    ],
)
def test_a_failure_is_told_where_nobody_waits_for_it(
    hive: Hive, hub: HubOperations, verb: Verb, seconds: float, is_told: bool
) -> None:
    with time_machine.travel(datetime(2026, 3, 1, tzinfo=UTC), tick=False) as clock:
        with hive.db.write():
            number = operations.ask(hive, AgentName("nobody"), verb, by=EVE, argument='{"kind": "spawn"}')
        clock.shift(timedelta(seconds=seconds))
        # For a proposal without a commit there may be nothing there yet.
        (hive.paths.proposed(EVE) / "nobody").mkdir(parents=True)
        with pytest.raises(HyperhiveError):
            operate.run(hive, number)
        told = [message.body for message in messages.inbox(hive, EVE)]
    assert len(told) == is_told
    assert all(f"to {verb} nobody (operation {number}), did not happen: " in body for body in told)
    ended = operations.get(hive, number)
    # The hint comes along: it is what the one who asked can do.
    assert (ended.state, "(" in str(ended.error)) == (OperationState.FAILED, True)
