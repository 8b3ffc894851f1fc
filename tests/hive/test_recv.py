"""An agent may wait for a short reply in the middle of its turn, and loses nothing by it."""

from pathlib import Path

import pytest

from hyperhive.core import wishes
from hyperhive.core.model import OPERATOR, AgentName, EventKind, MessageState, Outcome
from hyperhive.demo.reply import Reply, say, stall, use
from hyperhive.demo.request import Request
from tests.support.swarm import swarm

pytestmark = [pytest.mark.box, pytest.mark.claude]

ADA = AgentName("ada")


def waits(request: Request) -> Reply:
    """Wait for one more message, then say what it was."""
    if not request.tool_results:
        return use("mcp__hyperhive__recv", wait_seconds=60)
    return say(f"I got: {request.tool_results[-1].text}")


def test_what_recv_brought_is_acknowledged_with_its_turn(home: Path) -> None:
    with swarm(home, waits) as hive:
        first = hive.send("ada", "ask bob")
        hive.until(lambda: hive.events(kind=EventKind.TOOL), "it waits")
        second = hive.send("ada", "bob says: tulip")
        assert hive.ended(second.number).state is MessageState.ACKNOWLEDGED
        assert hive.message(first.number).state is MessageState.ACKNOWLEDGED
        assert hive.outcomes() == [Outcome.OK]
        assert "bob says: tulip" in hive.api.requests[-1].tool_results[-1].text


def test_what_recv_brought_comes_again_marked_when_its_turn_is_given_back(home: Path) -> None:
    def brain(request: Request) -> Reply:
        if request.number == 1:
            return use("mcp__hyperhive__recv", wait_seconds=60)
        return stall("thinking") if request.number == 2 else say("yes")

    with swarm(home, brain) as hive:
        first = hive.send("ada", "ask bob")
        hive.until(lambda: hive.events(kind=EventKind.TOOL), "it waits")
        second = hive.send("ada", "bob says: tulip")
        hive.until(lambda: len(hive.api.requests) >= 2, "it has been given the reply")
        wishes.cancel(hive.hive, ADA, by=OPERATOR, retry=True)
        assert hive.ended(second.number).state is MessageState.ACKNOWLEDGED
        assert hive.ended(first.number).state is MessageState.ACKNOWLEDGED
        prompt = hive.api.requests[-1].prompt
        assert prompt.count("handed out before") == 2
        assert hive.message(second.number).attempt == 0


def test_a_wait_in_vain_ends_with_a_word(home: Path) -> None:
    def brain(request: Request) -> Reply:
        if not request.tool_results:
            return use("mcp__hyperhive__recv", wait_seconds=0)
        return say("nothing came")

    with swarm(home, brain) as hive:
        sent = hive.send("ada", "look for more")
        assert hive.ended(sent.number).state is MessageState.ACKNOWLEDGED
        (result,) = hive.events(kind=EventKind.RESULT)
        assert not result.data["is_error"]
        assert "no" in str(result.data["text"]).lower()


def test_a_cancelled_wait_takes_nothing(home: Path) -> None:
    with swarm(home, lambda request: waits(request) if request.number == 1 else say("yes")) as hive:
        first = hive.send("ada", "ask bob")
        hive.until(lambda: hive.events(kind=EventKind.TOOL), "it waits")
        wishes.cancel(hive.hive, ADA, by=OPERATOR)
        assert hive.message(first.number).state is MessageState.CANCELLED
        second = hive.send("ada", "bob says: tulip")
        done = hive.ended(second.number)
        assert done.state is MessageState.ACKNOWLEDGED
        assert "handed out before" not in hive.api.requests[-1].prompt
