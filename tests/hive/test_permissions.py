"""A tool that is neither allowed nor denied waits for the operator, and what the operator decides is what happens."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from hyperhive.core import agents, approvals, wishes
from hyperhive.core.approvals import Approval
from hyperhive.core.errors import Conflict, Expired
from hyperhive.core.model import OPERATOR, Activity, AgentName, ApprovalKind, ApprovalState, EventKind, MessageState, Outcome
from hyperhive.demo.model_api import Brain
from hyperhive.demo.reply import Message, Reply, say, stall, use
from hyperhive.demo.request import Request
from tests.faults.aftermath import end, harness_of
from tests.faults.wrecks import Wreck
from tests.support.swarm import PATIENCE, Swarm

pytestmark = [pytest.mark.box, pytest.mark.claude]

ADA = AgentName("ada")


def touches(*names: str) -> Message:
    """Calls of Bash that change something, so that they are asked for."""
    calls = [use("Bash", command=f"touch {name} && echo made-{name}", description=f"make {name}") for name in names]
    found = calls[0]
    for call in calls[1:]:
        found += call
    return found


def once(call: Message) -> Brain:
    """A model that makes its calls, then says what came of them."""

    def brain(request: Request) -> Reply:
        return say(" | ".join(result.text for result in request.tool_results)) if request.tool_results else call

    return brain


@contextmanager
def asking(home: Path, brain: Brain, *, turn_seconds: float = 60.0, **settings: object) -> Iterator[Swarm]:
    """A hive with one agent that is allowed no tool but hyperhive's own."""
    with Swarm(home, brain, **settings) as hive:  # type: ignore[arg-type]  # settings are whatever hive.toml takes
        hive.spawn("ada", turn_seconds=turn_seconds, tools={"allow": []})
        yield hive


def waiting(hive: Swarm, count: int = 1) -> list[Approval]:
    """What waits for the operator, once it is so many."""
    return hive.until(
        lambda: found if len(found := approvals.listed(hive.hive)) == count else None, f"{count} wait for the operator"
    )


def heard(hive: Swarm) -> str:
    """What the model said last."""
    return str(hive.events(kind=EventKind.TEXT)[-1].data["text"])


def workspace(hive: Swarm) -> Path:
    return hive.hive.paths.agent_workspace(ADA)


def test_an_approved_tool_runs_with_the_input_that_was_shown(home: Path) -> None:
    with asking(home, once(touches("made"))) as hive:
        sent = hive.send("ada", "make it")
        (asked,) = waiting(hive)
        assert (asked.kind, asked.agent, asked.asker, asked.tool) == (ApprovalKind.TOOL, "ada", "ada", "Bash")
        assert asked.turn == hive.turns()[0].number
        shown = msgspec.json.decode(asked.input or "")
        assert shown == {"command": "touch made && echo made-made", "description": "make made"}
        agent = hive.agent("ada")
        assert agent.turn.state is Activity.WAITING
        assert agent.turn.since is not None
        assert not (workspace(hive) / "made").exists()
        approvals.approve(hive.hive, asked.number, by=OPERATOR)
        assert hive.ended(sent.number).state is MessageState.ACKNOWLEDGED
        assert (workspace(hive) / "made").exists()
        assert heard(hive) == "made-made"
        told = [(event.data["approval"], event.data["tool"], event.data["text"]) for event in hive.events(kind=EventKind.ASK)]
        assert told == [
            (asked.number, "Bash", f"waits for the operator (`hyperhive approve {asked.number}`): Bash"),
            (asked.number, "Bash", "approved by operator: Bash"),
        ]
        states = [event.data["state"] for event in hive.events(kind=EventKind.STATE)]
        assert states == ["thinking", "waiting", "thinking", "idle"]


def test_a_denial_is_read_by_the_model_with_its_note_and_the_turn_goes_on(home: Path) -> None:
    with asking(home, once(touches("made"))) as hive:
        sent = hive.send("ada", "make it")
        (asked,) = waiting(hive)
        approvals.deny(hive.hive, asked.number, by=OPERATOR, note='use "notes" instead')
        assert hive.ended(sent.number).state is MessageState.ACKNOWLEDGED
        assert heard(hive) == (
            'The operator denied this: use "notes" instead\nThis is final for this task: do not work around it.'
        )
        assert not (workspace(hive) / "made").exists()


def test_what_nobody_decides_in_time_is_refused_and_the_wait_does_not_count_as_time_taken(home: Path) -> None:
    # Longer than the turn may take.
    with asking(home, once(touches("made")), turn_seconds=5, permission_seconds=6) as hive:
        sent = hive.send("ada", "make it")
        (asked,) = waiting(hive)
        assert hive.ended(sent.number).state is MessageState.ACKNOWLEDGED
        assert hive.outcomes() == [Outcome.OK]
        found = approvals.get(hive.hive, asked.number)
        assert (found.state, found.decided_by) == (ApprovalState.EXPIRED, "hive")
        assert heard(hive).startswith("The operator did not decide within 6 s.")
        assert not (workspace(hive) / "made").exists()


def test_after_a_wait_the_turn_limit_counts_again(home: Path) -> None:
    def brain(request: Request) -> Reply:
        return stall("I think") if request.tool_results else touches("made")

    with asking(home, brain, turn_seconds=3) as hive:
        hive.send("ada", "make it")
        (asked,) = waiting(hive)
        approvals.approve(hive.hive, asked.number, by=OPERATOR)
        turn = hive.turn_ended()
        assert turn.outcome is Outcome.FAILED
        assert "took longer" in (turn.error or "")
        agents.kill(hive.hive, ADA, by=OPERATOR)


def test_two_that_wait_at_once_are_decided_each_for_itself(home: Path) -> None:
    def brain(request: Request) -> Reply:
        if request.tool_results:
            return say(" | ".join(sorted(f"{result.is_error} {result.text}" for result in request.tool_results)))
        return use("Read", file_path="/run/hyperhive/mcp.json") + use("Read", file_path="/run/hyperhive/prompt.md")

    with asking(home, brain) as hive:
        sent = hive.send("ada", "read them")
        servers, prompt = sorted(waiting(hive, 2), key=lambda asked: asked.input or "")
        approvals.approve(hive.hive, prompt.number, by=OPERATOR)
        hive.until(lambda: hive.events(kind=EventKind.RESULT), "the one that was allowed has run")
        # The other is still waited for.
        assert hive.agent("ada").turn.state is Activity.WAITING
        approvals.deny(hive.hive, servers.number, by=OPERATOR, note="not that one")
        assert hive.ended(sent.number).state is MessageState.ACKNOWLEDGED
        good, bad = heard(hive).split(" | ")
        assert "You are an agent of a hyperhive" in good
        assert bad.startswith("True The operator denied this: not that one")


def test_no_more_than_twenty_wait_at_once(home: Path) -> None:
    def brain(request: Request) -> Reply:
        if request.tool_results:
            return say(" | ".join(result.text for result in request.tool_results))
        calls = use("Read", file_path="/run/hyperhive/0")
        for number in range(1, 22):
            calls += use("Read", file_path=f"/run/hyperhive/{number}")
        return calls

    with Swarm(home, brain) as hive:
        hive.configure(env={"CLAUDE_CODE_MAX_TOOL_USE_CONCURRENCY": "40"})
        hive.spawn("ada", tools={"allow": []})
        sent = hive.send("ada", "read them")
        hive.until(lambda: len(hive.events(kind=EventKind.RESULT)) == 2, "two were refused")
        for asked in waiting(hive, 20):
            approvals.deny(hive.hive, asked.number, by=OPERATOR)
        hive.ended(sent.number)
        assert heard(hive).count("20 requests wait for the operator") == 2
        assert heard(hive).count("The operator denied this") == 20


@pytest.mark.parametrize("way", ["cancel", "stop --now", "kill"])
def test_a_turn_that_waits_can_be_ended_as_any_other_and_nothing_can_be_decided_then(home: Path, way: str) -> None:
    def brain(request: Request) -> Reply:
        return touches("made") if request.number == 1 else say("yes")

    with asking(home, brain) as hive:
        sent = hive.send("ada", "make it")
        (asked,) = waiting(hive)
        match way:
            case "cancel":
                wishes.cancel(hive.hive, ADA, by=OPERATOR)
            case "kill":
                agents.kill(hive.hive, ADA, by=OPERATOR)
            case _:
                agents.stop(hive.hive, ADA, by=OPERATOR, now=True)
        assert hive.outcomes() == [Outcome.CANCELLED if way == "cancel" else Outcome.INTERRUPTED]
        assert approvals.get(hive.hive, asked.number).state is ApprovalState.WITHDRAWN
        with pytest.raises(Conflict, match="was already withdrawn"):
            approvals.approve(hive.hive, asked.number, by=OPERATOR)
        # The next turn knows nothing of it.
        if way == "cancel":
            sent = hive.send("ada", "more")
        else:
            agents.start(hive.hive, ADA, by=OPERATOR)
        assert hive.ended(sent.number).state is MessageState.ACKNOWLEDGED
        assert heard(hive) == "yes"
        assert not (workspace(hive) / "made").exists()


def test_a_harness_that_is_killed_while_it_waits_loses_nothing(home: Path) -> None:
    with asking(home, once(touches("made"))) as hive:
        sent = hive.send("ada", "make it")
        (asked,) = waiting(hive)
        harness = harness_of(hive.hive, "ada")
        assert end(harness)
        (again,) = hive.until(
            lambda: found if (found := waiting(hive)) and found[0].number != asked.number else None, "it is asked for again"
        )
        assert approvals.get(hive.hive, asked.number).state is ApprovalState.WITHDRAWN
        with pytest.raises(Conflict):
            approvals.approve(hive.hive, asked.number, by=OPERATOR)
        approvals.approve(hive.hive, again.number, by=OPERATOR)
        done = hive.ended(sent.number)
        assert (done.state, done.attempt) == (MessageState.ACKNOWLEDGED, 0)
        assert hive.outcomes() == [Outcome.LOST, Outcome.OK]
        assert heard(hive) == "made-made"


def test_a_stop_waits_for_a_turn_that_waits(home: Path) -> None:
    with asking(home, once(touches("made"))) as hive:
        sent = hive.send("ada", "make it")
        (asked,) = waiting(hive)
        with pytest.raises(Expired):
            agents.stop(hive.hive, ADA, by=OPERATOR, timeout=0.5)
        assert hive.agent("ada").turn.state is Activity.WAITING
        approvals.approve(hive.hive, asked.number, by=OPERATOR)
        assert hive.ended(sent.number).state is MessageState.ACKNOWLEDGED
        assert heard(hive) == "made-made"


def test_a_decision_needs_no_hub(home: Path) -> None:
    with Wreck(home, once(touches("made")), up=False) as hive:
        hive.spawn("ada", tools={"allow": []})
        sent = hive.send("ada", "make it")
        own = subprocess.Popen(
            [sys.executable, "-m", "hyperhive", "harness", "ada"], env=hive.environment, stdin=subprocess.DEVNULL
        )
        try:
            hive.until(lambda: hive.has_harness("ada"), "it waits for a hub")
            hive.start_hub()
            (asked,) = waiting(hive)
            hive.kill_hub()
            approvals.approve(hive.hive, asked.number, by=OPERATOR)
            assert hive.ended(sent.number).state is MessageState.ACKNOWLEDGED
            assert heard(hive) == "made-made"
        finally:
            own.terminate()
            own.wait(PATIENCE)


@pytest.mark.parametrize("size", [70_000, 1_200_000])
def test_what_is_too_long_to_be_shown_is_refused_without_asking(home: Path, size: int) -> None:
    with asking(home, once(use("Bash", command=f"touch made # {'x' * size}", description="make it"))) as hive:
        sent = hive.send("ada", "make it")
        assert hive.ended(sent.number).state is MessageState.ACKNOWLEDGED
        assert heard(hive).startswith("This was not allowed: ")
        assert "shown to the operator" in heard(hive)
        assert approvals.listed(hive.hive, everything=True) == []
        assert not (workspace(hive) / "made").exists()


def test_a_sub_agent_that_asks_after_the_turn_is_refused_and_does_not_wait_for_ever(home: Path) -> None:
    def brain(request: Request) -> Reply:
        if "you are the second" in str(request.messages[0]):
            return say(f"I heard: {request.tool_results[-1].text}") if request.tool_results else touches("made")
        if "make it" in request.prompt:
            return use("Agent", description="a hand", prompt="you are the second", subagent_type="general-purpose",
                       run_in_background=True)  # fmt: skip
        return say(request.context)

    with asking(home, brain) as hive:
        sent = hive.send("ada", "make it")
        hive.ended(sent.number)
        hive.turn_ended(2)
        assert "I heard: " in heard(hive)
        assert "the turn has ended, so the operator cannot be asked" in heard(hive)
        assert approvals.listed(hive.hive) == []
        assert not (workspace(hive) / "made").exists()


def test_what_is_for_somebody_at_a_screen_is_not_offered(home: Path) -> None:
    with asking(home, lambda request: say("yes")) as hive:
        hive.ended(hive.send("ada", "hello").number)
        assert "Bash" in hive.api.requests[0].tools
        assert not {"AskUserQuestion", "EnterPlanMode", "ExitPlanMode"} & set(hive.api.requests[0].tools)


def test_what_is_denied_is_not_asked_for(home: Path) -> None:
    with Swarm(home, once(touches("made"))) as hive:
        hive.spawn("ada", tools={"allow": [], "deny": ["Bash(touch:*)"]})
        sent = hive.send("ada", "make it")
        assert hive.ended(sent.number).state is MessageState.ACKNOWLEDGED
        assert "has been denied" in heard(hive)
        assert approvals.listed(hive.hive, everything=True) == []
