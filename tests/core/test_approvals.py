"""What waits for the operator is decided once, or ends with what it was asked for."""

import os
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from hyperhive.core import approvals, turns
from hyperhive.core.errors import Conflict, NotFound
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, AgentName, ApprovalState, Outcome
from tests.core.hives import ADA, BOB, begin, end, send

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
DECIDERS = 64


def ask(hive: Hive, epoch: int, turn: int, *, name: AgentName = ADA, request: str = "r1", seconds: float = 600) -> int:
    """A turn asks for a tool."""
    deadline = hive.now() + timedelta(seconds=seconds)
    return approvals.ask_tool(
        hive, name, epoch=epoch, turn=turn, request=request, tool="Bash", given='{"command":"ls"}', deadline=deadline
    )


def in_a_turn(hive: Hive, name: AgentName = ADA) -> tuple[int, int]:
    """Epoch and number of a turn that has begun."""
    send(hive, to=name)
    epoch, begun = begin(hive, name)
    return epoch, begun.number


def state(hive: Hive, number: int) -> ApprovalState:
    return approvals.get(hive, number).state


def refused(hive: Hive, number: int) -> str:
    """What both decisions are told, as they must be told the same."""
    with pytest.raises(Conflict) as approving:
        approvals.approve(hive, number, by=OPERATOR)
    with pytest.raises(Conflict) as denying:
        approvals.deny(hive, number, by=OPERATOR)
    assert str(approving.value) == str(denying.value)
    return str(approving.value)


def test_of_many_who_decide_at_once_one_wins_and_the_others_hear_who(hive: Hive) -> None:
    number = ask(hive, *in_a_turn(hive))
    hive.close()
    ready, go = os.pipe()
    heard, said = os.pipe()
    children = []
    for who in range(DECIDERS):
        pid = os.fork()
        if pid == 0:
            try:
                os.close(go)
                # Until all are there: the end of the pipe lets them go together.
                os.read(ready, 1)
                try:
                    if who % 2:
                        approvals.approve(hive, number, by=f"approver{who}")
                        word = f"approved approver{who}"
                    else:
                        approvals.deny(hive, number, by=f"denier{who}")
                        word = f"denied denier{who}"
                except Conflict as error:
                    word = f"conflict {str(error).partition(' by ')[2].split()[0]}"
                os.write(said, f"{word}\n".encode())
            finally:
                os._exit(0)
        children.append(pid)
    os.close(said)
    os.close(ready)
    os.close(go)
    for pid in children:
        os.waitpid(pid, 0)
    with open(heard, encoding="ascii") as lines:
        words = [line.split() for line in lines]
    found = approvals.get(hive, number)
    assert Counter(word for word, _ in words) == {found.state.value: 1, "conflict": DECIDERS - 1}
    assert {who for _, who in words} == {found.decided_by}


@pytest.mark.parametrize("outcome", [one for one in Outcome if one is not Outcome.LOST])
def test_the_end_of_a_turn_withdraws_what_it_asked_for_and_nothing_else(hive: Hive, outcome: Outcome) -> None:
    epoch, turn = in_a_turn(hive)
    number = ask(hive, epoch, turn)
    of_another_turn = ask(hive, epoch, turn + 1)
    of_another_agent = ask(hive, *in_a_turn(hive, BOB), name=BOB)
    end(hive, epoch, turn, outcome)
    assert state(hive, number) is ApprovalState.WITHDRAWN
    assert f"approval {number} was already withdrawn by hive" in refused(hive, number)
    assert [approval.number for approval in approvals.listed(hive)] == [of_another_turn, of_another_agent]


def test_what_a_dead_harness_has_asked_for_is_withdrawn_by_the_next(hive: Hive) -> None:
    number = ask(hive, *in_a_turn(hive))
    turns.begin_epoch(hive, ADA)
    assert state(hive, number) is ApprovalState.WITHDRAWN
    assert "withdrawn" in refused(hive, number)


def test_what_a_killed_agent_has_asked_for_is_withdrawn(hive: Hive) -> None:
    number = ask(hive, *in_a_turn(hive))
    with hive.db.write():
        turns.close_books(hive, ADA)
    assert state(hive, number) is ApprovalState.WITHDRAWN


def test_one_can_be_withdrawn_by_its_number(hive: Hive) -> None:
    epoch, turn = in_a_turn(hive)
    first, second = ask(hive, epoch, turn), ask(hive, epoch, turn, request="r2")
    with hive.db.write():
        assert approvals.withdraw_tools(hive, ADA, number=first) == 1
    assert (state(hive, first), state(hive, second)) == (ApprovalState.WITHDRAWN, ApprovalState.PENDING)


def test_a_decision_outlives_the_turn_that_it_came_too_late_for(hive: Hive) -> None:
    epoch, turn = in_a_turn(hive)
    number = ask(hive, epoch, turn)
    approvals.approve(hive, number, by="me")
    end(hive, epoch, turn, Outcome.CANCELLED)
    assert state(hive, number) is ApprovalState.APPROVED
    assert f"approval {number} was already approved by me" in refused(hive, number)


def test_after_its_deadline_nobody_can_decide_it_whether_somebody_looked_or_not(hive: Hive) -> None:
    with time_machine.travel(NOW, tick=False) as clock:
        number = ask(hive, *in_a_turn(hive), seconds=5)
        assert approvals.next_deadline(hive) == NOW + timedelta(seconds=5)
        clock.shift(4.9)
        assert approvals.resolve_overdue(hive) == []
        clock.shift(0.1)
        assert "has expired" in refused(hive, number)
        assert approvals.resolve_overdue(hive) == [ADA]
        assert (hive.paths.wake / ADA).exists()
        assert state(hive, number) is ApprovalState.EXPIRED
        assert "was already expired by hive" in refused(hive, number)
        assert approvals.next_deadline(hive) is None


@pytest.mark.parametrize("number", [0, -1, 99, 2**70])
def test_an_approval_that_was_never_asked_for_is_not_found(hive: Hive, number: int) -> None:
    with pytest.raises(NotFound):
        approvals.approve(hive, number, by=OPERATOR)
    with pytest.raises(NotFound):
        approvals.get(hive, number)
