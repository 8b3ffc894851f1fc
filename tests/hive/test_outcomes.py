"""Each way in which a turn can end decides its messages as it must."""

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hyperhive.core import agents, doorbell, operations, wishes
from hyperhive.core.login import set_token
from hyperhive.core.model import (
    OPERATOR,
    Activity,
    AgentName,
    Blocked,
    EventKind,
    MessageKind,
    MessageState,
    Occasion,
    OperationState,
    Outcome,
)
from hyperhive.core.tables import DATABASE, EntryRow
from hyperhive.demo.reply import Reply, fail, overloaded, say, stall, unauthorised, usage_limit, use
from hyperhive.demo.request import Request
from tests.support.swarm import Swarm, swarm

pytestmark = [pytest.mark.box, pytest.mark.claude]

ADA = AgentName("ada")


def test_a_message_that_fails_three_times_is_dead_and_told(home: Path) -> None:
    with swarm(home, lambda request: fail(400, "invalid_request_error", "no such words")) as hive:
        sent = hive.send("ada", "poison")
        dead = hive.ended(sent.number)
        assert (dead.state, dead.attempt) == (MessageState.DEAD, 3)
        assert "no such words" in (dead.reason or "")
        assert hive.outcomes() == [Outcome.FAILED] * 3
        prompts = [str(event.data["text"]) for event in hive.events(kind=EventKind.PROMPT)]
        assert ["handed out before" in prompt for prompt in prompts] == [False, True, True]
        notices = [message for message in hive.inbox() if message.kind is MessageKind.NOTICE]
        assert any(f"message_dead: message {sent.number} " in notice.body for notice in notices)


def test_a_usage_limit_waits_until_its_reset_and_counts_no_attempt(home: Path) -> None:
    resets = 0

    def brain(request: Request) -> Reply:
        nonlocal resets
        resets = resets or int(time.time()) + 4
        return usage_limit(resets) if time.time() < resets else say("yes")

    with Swarm(home, brain, linger_seconds=0) as hive:
        hive.configure(env={"ANTHROPIC_API_KEY": ""})
        hive.spawn("ada")
        set_token(hive.hive, ADA, "sk-ant-oat01-scripted-token")
        sent = hive.send("ada", "work")
        assert hive.turn_ended().outcome is Outcome.LIMITED
        agent = hive.agent("ada")
        assert agent.blocked is Blocked.LIMITED
        assert agent.blocked_until == datetime.fromtimestamp(resets, UTC)
        assert hive.message(sent.number).attempt == 0
        done = hive.ended(sent.number)
        assert (done.state, done.attempt) == (MessageState.ACKNOWLEDGED, 0)
        assert hive.outcomes() == [Outcome.LIMITED, Outcome.OK]
        assert len([message for message in hive.inbox() if message.body.startswith("limited: ")]) == 1


def test_an_expired_login_waits_for_the_operator(home: Path) -> None:
    good = "sk-ant-oat01-the-good-one"

    def brain(request: Request) -> Reply:
        return say("yes") if good in request.headers.get("authorization", "") else unauthorised()

    with Swarm(home, brain) as hive:
        hive.configure(env={"ANTHROPIC_API_KEY": ""})
        hive.spawn("ada")
        set_token(hive.hive, ADA, "sk-ant-oat01-expired-one")
        sent = hive.send("ada", "work")
        assert hive.turn_ended().outcome is Outcome.LOGIN
        agent = hive.agent("ada")
        assert (agent.blocked, agent.logged_in) == (Blocked.LOGIN, False)
        asked = len(hive.api.requests)
        set_token(hive.hive, ADA, good)
        done = hive.ended(sent.number)
        assert (done.state, done.attempt) == (MessageState.ACKNOWLEDGED, 0)
        assert len(hive.api.requests) == asked + 1
        assert len([message for message in hive.inbox() if message.body.startswith("needs_login: ")]) == 1


def test_an_agent_that_was_never_logged_in_says_so_once(home: Path) -> None:
    with Swarm(home, lambda request: say("yes")) as hive:
        hive.configure(env={"ANTHROPIC_API_KEY": ""})
        hive.spawn("ada")
        sent = hive.send("ada", "work")
        assert hive.turn_ended().outcome is Outcome.LOGIN
        assert not hive.api.requests
        assert hive.message(sent.number).state is MessageState.PENDING
        hive.send("ada", "more")
        hive.until(lambda: not hive.has_harness("ada"), "it has left")
        assert hive.outcomes() == [Outcome.LOGIN]
        assert len([message for message in hive.inbox() if message.body.startswith("needs_login: ")]) == 1


def test_an_overloaded_api_makes_the_agent_rest(home: Path) -> None:
    with swarm(home, lambda request: overloaded(), linger_seconds=0) as hive:
        sent = hive.send("ada", "work")
        assert hive.turn_ended().outcome is Outcome.OVERLOADED
        agent = hive.agent("ada")
        assert agent.blocked is Blocked.LIMITED
        assert agent.blocked_until is not None
        assert 25 < (agent.blocked_until - datetime.now(UTC)).total_seconds() <= 30
        assert (hive.message(sent.number).state, hive.message(sent.number).attempt) == (MessageState.PENDING, 0)
        hive.until(lambda: not hive.has_harness("ada"), "it rests without a process")


def test_a_turn_that_hangs_is_ended_with_all_its_children(home: Path) -> None:
    def brain(request: Request) -> Reply:
        if request.tool_results:
            return stall("still thinking")
        return use("Bash", command="setsid sleep 987 >/dev/null 2>&1 & echo started", description="start")

    with Swarm(home, brain) as hive:
        hive.spawn("ada", turn_seconds=2.5)
        sent = hive.send("ada", "work")
        turn = hive.turn_ended()
        assert turn.outcome is Outcome.FAILED
        assert "took longer" in (turn.error or "")
        assert hive.message(sent.number).attempt == 1
        assert not [pid for pid in os.listdir("/proc") if pid.isdigit() and _words(pid)[:2] == ["sleep", "987"]]
        agents.kill(hive.hive, ADA, by=OPERATOR)


def test_a_cancelled_turn_ends_its_messages_visibly(home: Path) -> None:
    with swarm(home, lambda request: stall("thinking")) as hive:
        sent = hive.send("ada", "work")
        hive.until(lambda: hive.agent("ada").turn.state is Activity.THINKING and hive.api.requests, "it thinks")
        wishes.cancel(hive.hive, ADA, by=OPERATOR)
        assert hive.message(sent.number).state is MessageState.CANCELLED
        assert hive.outcomes() == [Outcome.CANCELLED]


def test_a_cancelled_turn_can_give_its_messages_back(home: Path) -> None:
    def brain(request: Request) -> Reply:
        return stall("thinking") if request.number == 1 else say("yes")

    with swarm(home, brain) as hive:
        sent = hive.send("ada", "work")
        hive.until(lambda: hive.api.requests, "it thinks")
        wishes.cancel(hive.hive, ADA, by=OPERATOR, retry=True)
        done = hive.ended(sent.number)
        assert (done.state, done.attempt) == (MessageState.ACKNOWLEDGED, 0)
        assert hive.outcomes() == [Outcome.CANCELLED, Outcome.OK]
        assert "handed out before" in hive.api.requests[-1].prompt


def test_a_turn_whose_tools_were_lost_is_tried_again_without_an_attempt(home: Path) -> None:
    # The model calls hyperhive's tool while no hub is there to serve it.
    def brain(request: Request) -> Reply:
        if request.tool_results:
            return say("I could not send.") if request.tool_results[-1].is_error else say("sent")
        if request.number == 1:
            return use("Bash", command="while [ ! -e /state/go ]; do sleep 0.05; done", description="wait") + use(
                "mcp__hyperhive__send", to=OPERATOR, body="first"
            )
        return use("mcp__hyperhive__send", to=OPERATOR, body="second")

    with swarm(home, brain) as hive:
        sent = hive.send("ada", "work")
        hive.until(lambda: hive.events(kind=EventKind.TOOL), "it has called its tools")
        listener = hive.hive.paths.agent_socket(ADA)
        listener.unlink()
        for child in _children(hive.hub_pid):
            if "harness" not in _words(child):
                os.kill(int(child), 9)
        _touch_inside(hive, "go")
        assert hive.turn_ended().outcome is Outcome.TOOLS_LOST
        found = hive.message(sent.number)
        assert (found.state, found.attempt) == (MessageState.PENDING, 0)
        doorbell.ring_hive(hive.hive.paths)
        hive.until(listener.exists, "the hub has put the socket right")
        agents.start(hive.hive, ADA, by=OPERATOR)
        assert hive.ended(sent.number).state is MessageState.ACKNOWLEDGED
        assert "second" in [message.body for message in hive.inbox()]


def test_a_killed_agent_gives_its_messages_back_and_stays_stopped(home: Path) -> None:
    with swarm(home, lambda request: stall("thinking") if request.number == 1 else say("yes")) as hive:
        sent = hive.send("ada", "work")
        hive.until(lambda: hive.api.requests, "it thinks")
        agents.kill(hive.hive, ADA, by=OPERATOR)
        found = hive.message(sent.number)
        assert (found.state, found.attempt) == (MessageState.PENDING, 0)
        assert not hive.has_harness("ada")
        agents.start(hive.hive, ADA, by=OPERATOR)
        assert hive.ended(sent.number).state is MessageState.ACKNOWLEDGED


def test_a_stop_lets_the_turn_end(home: Path) -> None:
    def brain(request: Request) -> Reply:
        if request.tool_results:
            return say("done")
        return use("Bash", command="sleep 1.5; echo slept", description="sleep")

    with swarm(home, brain) as hive:
        sent = hive.send("ada", "work")
        hive.until(lambda: hive.events(kind=EventKind.TOOL), "it works")
        agents.stop(hive.hive, ADA, by=OPERATOR)
        assert hive.message(sent.number).state is MessageState.ACKNOWLEDGED
        assert hive.outcomes() == [Outcome.OK]


def test_a_stop_now_interrupts_and_gives_back(home: Path) -> None:
    with swarm(home, lambda request: stall("thinking")) as hive:
        sent = hive.send("ada", "work")
        hive.until(lambda: hive.api.requests, "it thinks")
        agents.stop(hive.hive, ADA, by=OPERATOR, now=True)
        assert (hive.message(sent.number).state, hive.message(sent.number).attempt) == (MessageState.PENDING, 0)
        assert hive.outcomes() == [Outcome.INTERRUPTED]


def test_what_a_tool_prints_does_not_make_tools_lost(home: Path) -> None:
    def brain(request: Request) -> Reply:
        if request.tool_results:
            return say("it failed, and I know why")
        return use("Bash", command="echo 'mcp__hyperhive__send failed: Connection closed'; exit 1", description="fail")

    with swarm(home, brain) as hive:
        sent = hive.send("ada", "work")
        assert hive.ended(sent.number).state is MessageState.ACKNOWLEDGED
        assert hive.outcomes() == [Outcome.OK]


def test_a_conversation_that_cannot_be_made_shorter_says_so(home: Path) -> None:
    def brain(request: Request) -> Reply:
        return say("yes") if request.number == 1 else fail(400, "invalid_request_error", "no")

    with swarm(home, brain) as hive:
        hive.send("ada", "work")
        hive.turn_ended(1)
        number = wishes.compact(hive.hive, ADA, by=OPERATOR)
        hive.until(lambda: operations.get(hive.hive, number).ended_at, "it is over")
        assert operations.get(hive.hive, number).state is OperationState.FAILED
        assert hive.outcomes()[-1] is Outcome.FAILED


def test_a_model_that_was_never_there_is_told_once(home: Path) -> None:
    with Swarm(home, lambda request: fail(404, "not_found_error", "model: gone-1"), linger_seconds=0) as hive:
        hive.spawn("ada", model="gone-1")
        sent = hive.send("ada", "work")
        hive.turn_ended(1)
        assert hive.message(sent.number).attempt == 0
        (notice,) = [message for message in hive.inbox() if message.kind is MessageKind.NOTICE]
        assert notice.body.startswith("not_ready: ")
        assert "gone-1" in notice.body


def _words(pid: str) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
    except OSError:
        return []


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()


def _touch_inside(hive: Swarm, file: str) -> None:
    from hyperhive.core import box, process

    prepared = box.prepare(hive.hive, ADA)
    process.run(prepared.words(["touch", f"{prepared.inside.state}/{file}"]), env=prepared.env)


def test_agents_work_also_where_no_operation_can_be_written(home: Path) -> None:
    with swarm(home, lambda request: say("yes")) as hive:
        with hive.hive.db.write():
            # As on a full disk. What is unsettled makes the hub ask for an operation at each look.
            EntryRow.create(agent="bob", occasion=Occasion.PURGE, by=OPERATOR, at=hive.hive.now())
            DATABASE.execute_sql("CREATE TRIGGER full BEFORE INSERT ON operation BEGIN SELECT RAISE(ABORT, 'full'); END")
        hive.send("ada", "do it")
        assert hive.turn_ended().outcome is Outcome.OK
