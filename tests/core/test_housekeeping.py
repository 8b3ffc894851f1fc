"""What is overdue or dead is ended once, whoever comes by, and nothing else is."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import time_machine

from hyperhive.core import (
    approvals,
    crash_watch,
    deployments,
    doorbell,
    eligibility,
    holding,
    housekeeping,
    messages,
    notices,
    operations,
    questions,
    rests,
    turns,
)
from hyperhive.core.db import Store
from hyperhive.core.errors import Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock
from hyperhive.core.model import (
    AgentName,
    ApprovalState,
    Blocked,
    DeploymentOutcome,
    Flavor,
    Occasion,
    Operation,
    OperationState,
    Outcome,
    QuestionOutcome,
    Verb,
)
from tests.core.hives import ADA, BOB, EVE, add_agent, begin, one_turn, program, row_of, send, set_row

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOLD = """
with holding.under_way(hive, ADA, Verb.DEPLOY, by=EVE, number=int(sys.argv[2])):
    print("in", flush=True)
    sys.stdin.readline()
"""
# A harness in a turn that has asked for a tool.
ASKS = """
from datetime import timedelta
from hyperhive.core import approvals
with Lock(hive.paths.harness_lock(ADA)) as lock:
    lock.take()
    epoch = turns.begin_epoch(hive, ADA)
    turn = turns.begin_without_mail(hive, ADA, epoch=epoch, model=None, conversation="c", activity=Activity.THINKING)
    deadline = hive.now() + timedelta(minutes=10)
    number = approvals.ask_tool(
        hive, ADA, epoch=epoch, turn=turn, request="r", tool="Bash", given="{}", deadline=deadline
    )
    print(number, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def kept(hive: Hive) -> Hive:
    """A hive with the manager eve as well."""
    add_agent(hive, EVE, flavor=Flavor.MANAGER)
    return hive


def tidy(hive: Hive) -> None:
    """As the watch does it where no hub lives."""
    housekeeping.tidy(hive, known=())


def inbox(hive: Hive, name: str) -> list[str]:
    return [one.body for one in messages.inbox(hive, name, everything=True) if one.sender == notices.SENDER]


def queue(hive: Hive, name: AgentName = ADA) -> tuple[int, int]:
    """A deployment that was decided. Gives back it and its operation."""
    with hive.db.write():
        operation = deployments.queue(hive, name, occasion=Occasion.DEPLOY, commit="c" * 40, onto=None, approval=None, by=EVE)
    return int(operations.get(hive, operation).argument or 0), operation


# ---- deadlines ----


def test_questions_and_tools_end_at_their_deadline_and_once(kept: Hive) -> None:
    with time_machine.travel(NOW, tick=False) as clock, Lock(kept.paths.harness_lock(ADA)) as lock:
        lock.take()
        question = questions.ask(kept, asker=ADA, text="which?", ttl_seconds=60, default="this")
        tool = approvals.ask_tool(
            kept, ADA, epoch=1, turn=1, request="r", tool="Bash", given="{}", deadline=NOW + timedelta(seconds=60)
        )
        tidy(kept)
        assert questions.get(kept, question.number).outcome is None
        clock.shift(60)
        for _ in range(2):
            tidy(kept)
        assert questions.get(kept, question.number).outcome is QuestionOutcome.DEFAULTED
        assert approvals.get(kept, tool).state is ApprovalState.EXPIRED
    assert len(inbox(kept, ADA)) == 1


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(days=1), timedelta(hours=-1), timedelta(days=-1)], ids=str)
def test_a_clock_that_jumps_lets_each_deadline_fire_once(kept: Hive, jump: timedelta) -> None:
    with time_machine.travel(NOW, tick=False) as clock, Lock(kept.paths.harness_lock(ADA)) as lock:
        lock.take()
        question = questions.ask(kept, asker=ADA, text="which?", ttl_seconds=600)
        tool = approvals.ask_tool(
            kept, ADA, epoch=1, turn=1, request="r", tool="Bash", given="{}", deadline=NOW + timedelta(seconds=600)
        )
        send(kept, to=BOB)
        one_turn(kept, Outcome.LIMITED, name=BOB, until=NOW + timedelta(seconds=600))
        clock.shift(jump)
        # Looked at every ten seconds for as long as they were to take, and back again.
        for step in (10, 10, -10, -10):
            for _ in range(62 if step > 0 else 30):
                tidy(kept)
                clock.shift(step)
        assert questions.get(kept, question.number).outcome is QuestionOutcome.EXPIRED
        assert approvals.get(kept, tool).state is ApprovalState.EXPIRED
        assert row_of(kept, BOB).blocked is Blocked.NONE
    assert [body.partition(":")[0] for body in inbox(kept, ADA)] == ["operator_answered"]
    assert [body.partition(":")[0] for body in inbox(kept, EVE)] == ["limited"]


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(days=1), timedelta(hours=-1), timedelta(days=-1)], ids=str)
def test_a_clock_that_jumps_takes_no_lease_and_no_permission_from_a_turn_that_runs(kept: Hive, jump: timedelta) -> None:
    with time_machine.travel(NOW, tick=False) as clock, Lock(kept.paths.harness_lock(ADA)) as lock:
        lock.take()
        sent = send(kept)
        epoch, begun = begin(kept)
        clock.shift(jump)
        before = messages.get(kept, sent.number)
        for _ in range(3):
            with crash_watch.alone(kept):
                assert crash_watch.look(kept).told == ()
            clock.shift(10)
        assert messages.get(kept, sent.number) == before
        assert turns.current(kept, ADA) == turns.Current(epoch, begun.number)


# ---- what is dead ----


def test_a_deployment_whose_process_died_fails_once_and_is_told(kept: Hive, home: Path) -> None:
    number, operation = queue(kept)
    with program(home, HOLD, str(operation)) as process:
        assert process.heard() == "in"
        tidy(kept)
        assert deployments.get(kept, number).outcome is None
    for _ in range(2):
        tidy(kept)
    assert operations.get(kept, operation).state is OperationState.FAILED
    failed = deployments.get(kept, number)
    assert (failed.outcome, failed.error) == (DeploymentOutcome.FAILED, deployments.DIED)
    assert [body.partition(":")[0] for body in inbox(kept, EVE)] == ["deploy_failed"]
    # What needs git is asked for, once.
    assert [(one.verb, one.agent) for one in operations.listed(kept)] == [(Verb.PUBLISH, ADA)]


def test_a_deployment_that_waits_or_is_carried_out_is_not_dead(kept: Hive, home: Path) -> None:
    waiting, _ = queue(kept, BOB)
    number, operation = queue(kept)
    with program(home, HOLD, str(operation)) as process:
        assert process.heard() == "in"
        for _ in range(2):
            tidy(kept)
        assert [deployments.get(kept, one).outcome for one in (waiting, number)] == [None, None]


def test_an_operation_that_ends_while_somebody_looks_is_not_said_to_have_died(
    kept: Hive, monkeypatch: pytest.MonkeyPatch
) -> None:
    with kept.db.write():
        number = operations.ask(kept, ADA, Verb.START, by=EVE)
    dead = holding.dead

    def slow(hive: Hive) -> list[Operation]:
        with holding.under_way(hive, ADA, Verb.START, by=EVE, number=number), monkeypatch.context() as blind:
            # It has let go of the agent between the row and the lock.
            blind.setattr(holding, "is_held", lambda path: False)
            return dead(hive)

    monkeypatch.setattr(holding, "dead", slow)
    tidy(kept)
    assert operations.get(kept, number).state is OperationState.DONE
    assert inbox(kept, EVE) == []


def test_what_nobody_took_ends_after_ten_minutes_unless_a_hub_lives(kept: Hive) -> None:
    with time_machine.travel(NOW, tick=False) as clock:
        with kept.db.write():
            number = operations.ask(kept, ADA, Verb.START, by=EVE)
        clock.shift(operations.PENDING_MOST + timedelta(seconds=1))
        with Lock(kept.paths.lock("hub")) as hub:
            hub.take()
            with crash_watch.alone(kept):
                crash_watch.look(kept)
            assert operations.get(kept, number).state is OperationState.PENDING
        with crash_watch.alone(kept):
            crash_watch.look(kept)
        assert operations.get(kept, number).state is OperationState.EXPIRED
    assert [body.partition(":")[0] for body in inbox(kept, EVE)] == ["operation_failed"]


def test_the_permission_that_a_dead_harness_asked_for_is_withdrawn(kept: Hive, home: Path) -> None:
    with program(home, ASKS) as harness:
        number = int(harness.heard())
        tidy(kept)
        assert approvals.get(kept, number).state is ApprovalState.PENDING
        harness.kill()
        tidy(kept)
        assert approvals.get(kept, number).state is ApprovalState.WITHDRAWN


def test_what_cannot_be_done_keeps_nothing_else_from_being_done(kept: Hive, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    number, operation = queue(kept)
    with program(home, HOLD, str(operation)) as process:
        assert process.heard() == "in"

    def full(_: Hive) -> None:
        raise Unavailable("the disk is full")

    monkeypatch.setattr(questions, "resolve_overdue", full)
    with pytest.raises(Unavailable, match="the disk is full"):
        tidy(kept)
    assert deployments.get(kept, number).outcome is DeploymentOutcome.FAILED


def test_a_look_that_finds_nothing_writes_nothing(kept: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    queue(kept)
    questions.ask(kept, asker=ADA, text="which?", ttl_seconds=600)
    send(kept)

    def fails(*_: object, **__: object) -> None:
        raise AssertionError("somebody writes")

    monkeypatch.setattr(Store, "write", fails)
    tidy(kept)


# ---- bells and limits ----


def test_a_bell_that_was_never_rung_is_rung_for_who_has_nobody(kept: Hive) -> None:
    for name in (ADA, BOB):
        send(kept, to=name)
    with kept.db.write():
        operations.ask(kept, BOB, Verb.START, by=EVE)
    for bell in kept.paths.wake.iterdir():
        bell.unlink()
    with Lock(kept.paths.harness_lock(BOB)) as works, crash_watch.alone(kept):
        works.take()
        crash_watch.look(kept)
    assert sorted(bell.name for bell in kept.paths.wake.iterdir()) == [ADA, doorbell.HIVE]


def test_those_who_share_a_limit_go_on_one_after_the_other(kept: Hive) -> None:
    names = [add_agent(kept, AgentName(f"agent-{number}")) for number in range(80)]
    with time_machine.travel(NOW, tick=False) as clock:
        reset = NOW + timedelta(hours=1)
        for name in names:
            send(kept, to=name)
            one_turn(kept, Outcome.LIMITED, name=name, until=reset)
        moments = [row_of(kept, name).blocked_until for name in names]
        assert moments[0] == reset
        known = sorted(moment for moment in moments if moment is not None)
        assert known[-1] == reset + rests.APART_MOST
        apart = {later - earlier for earlier, later in pairwise(known[:60])}
        assert apart == {rests.APART}
        clock.move_to(reset)
        assert [one.name for one in eligibility.eligible(kept) if one.name != EVE] == names[:1]
        clock.shift(rests.APART)
        assert [one.name for one in eligibility.eligible(kept) if one.name != EVE] == names[:2]
        tidy(kept)
        assert [row_of(kept, name).blocked for name in names[:3]] == [Blocked.NONE, Blocked.NONE, Blocked.LIMITED]


def test_what_was_lifted_counts_on_until_a_turn_ends_well(kept: Hive) -> None:
    send(kept)
    waits = []
    with time_machine.travel(NOW, tick=False) as clock:
        for _ in range(3):
            one_turn(kept, Outcome.OVERLOADED)
            until = row_of(kept, ADA).blocked_until
            assert until is not None
            waits.append((until - kept.now()).total_seconds())
            clock.move_to(until)
            tidy(kept)
            assert row_of(kept, ADA).blocked is Blocked.NONE
        assert waits == [30, 60, 120]
        set_row(kept, ADA, blocked=Blocked.CRASHED)
        tidy(kept)
        assert row_of(kept, ADA).blocked is Blocked.CRASHED
