"""Mail wakes an agent, and its turn's end decides the mail."""

from pathlib import Path

import pytest

from hyperhive.core import agents, messages, roster
from hyperhive.core.errors import Denied, NotFound
from hyperhive.core.model import OPERATOR, AgentName, EventKind, MessageState, Outcome, Wanted
from hyperhive.demo.reply import Reply, say, use
from hyperhive.demo.request import Request
from tests.support.swarm import Swarm, swarm

pytestmark = [pytest.mark.box, pytest.mark.claude]


def answers(request: Request) -> Reply:
    """Answer whatever is said with a message to the operator."""
    if request.tool_results:
        return say("I have answered.")
    return say("I answer.") + use("mcp__hyperhive__send", to=OPERATOR, body=f"heard: {request.prompt[-200:]}")


def test_a_message_becomes_a_turn_and_an_answer(home: Path) -> None:
    with swarm(home, answers) as hive:
        sent = hive.send("ada", "what is the time?")
        assert hive.ended(sent.number).state is MessageState.ACKNOWLEDGED
        (answer,) = hive.inbox()
        assert answer.sender == "ada"
        assert "what is the time?" in answer.body
        turn = hive.turn_ended()
        assert turn.outcome is Outcome.OK
        assert turn.cost_usd > 0
        assert turn.input_tokens > 0
        assert turn.output_tokens > 0
        # The turn is on disk before its history tells of it.
        hive.until(lambda: hive.events(kind=EventKind.TURN), "the end of the turn is in the history")
        kinds = [event.kind for event in hive.events()]
        assert [kind for kind in kinds if kind is not EventKind.STATE] == [
            EventKind.PROMPT, EventKind.TEXT, EventKind.TOOL, EventKind.RESULT, EventKind.TEXT, EventKind.TURN,
        ]  # fmt: skip


def test_each_turn_costs_what_it_used_and_not_the_whole_conversation(home: Path) -> None:
    with swarm(home, lambda request: say("yes")) as hive:
        for count in range(1, 4):
            hive.send("ada", f"number {count}")
            hive.turn_ended(count)
        costs = [turn.cost_usd for turn in hive.turns()]
        assert costs[2] < 1.5 * costs[0]


def test_a_later_message_finds_the_same_cli_and_conversation(home: Path) -> None:
    with swarm(home, lambda request: say("yes")) as hive:
        hive.send("ada", "the first word is tulip")
        hive.turn_ended(1)
        hive.send("ada", "and the second?")
        hive.turn_ended(2)
        first, second = hive.turns()
        assert first.conversation == second.conversation
        assert first.epoch == second.epoch == 1
        assert "tulip" in str(hive.api.requests[-1].messages)


def test_the_conversation_goes_on_after_the_agent_has_slept(home: Path) -> None:
    with swarm(home, lambda request: say("yes"), linger_seconds=0) as hive:
        hive.send("ada", "the first word is tulip")
        hive.turn_ended(1)
        hive.until(lambda: not hive.has_harness("ada"), "an agent without mail has no process")
        hive.send("ada", "and the second?")
        hive.turn_ended(2)
        first, second = hive.turns()
        assert (first.epoch, second.epoch) == (1, 2)
        assert first.conversation == second.conversation
        assert "tulip" in str(hive.api.requests[-1].messages)


def test_what_came_while_it_slept_is_given_in_one_turn_and_in_order(home: Path) -> None:
    with Swarm(home, lambda request: say("yes"), up=False) as hive:
        name = hive.spawn("ada")
        numbers = [hive.send("ada", f"line {count}").number for count in range(5)]
        hive.start_hub()
        for number in numbers:
            assert hive.ended(number).state is MessageState.ACKNOWLEDGED
        assert hive.outcomes() == [Outcome.OK]
        prompt = hive.api.requests[0].prompt
        assert [prompt.index(f"line {count}") for count in range(5)] == sorted(
            prompt.index(f"line {count}") for count in range(5)
        )
        assert roster.get(hive.hive, name).mail.pending == 0


def test_two_agents_talk(home: Path) -> None:
    def brain(request: Request) -> Reply:
        if request.tool_results:
            return say("done")
        if request.find("agent `boss`"):
            if "from ada" in request.prompt:
                return use("mcp__hyperhive__send", to=OPERATOR, body="ada says it is done")
            return use("mcp__hyperhive__send", to="ada", body="please do it")
        return use("mcp__hyperhive__send", to="boss", body="it is done")

    with Swarm(home, brain) as hive:
        hive.spawn("boss", manager=True)
        hive.spawn("ada")
        hive.send("boss", "let it be done")
        (answer,) = hive.until(hive.inbox, "the answer is in the operator's inbox")
        assert (answer.sender, answer.body) == ("boss", "ada says it is done")


def test_an_agent_writes_only_to_whom_it_may(home: Path) -> None:
    with Swarm(home, lambda request: say("yes"), up=False) as hive:
        hive.spawn("ada", send_to=["bob"])
        hive.spawn("bob")
        messages.send(hive.hive, sender="ada", to="bob", body="hello")
        with pytest.raises(Denied, match="ada may not write to operator"):
            messages.send(hive.hive, sender="ada", to=OPERATOR, body="hello")


def test_a_stopped_agent_keeps_its_mail_until_it_is_started(home: Path) -> None:
    with swarm(home, lambda request: say("yes")) as hive:
        agents.stop(hive.hive, AgentName("ada"), by=OPERATOR)
        sent = hive.send("ada", "later")
        assert hive.agent("ada").wanted is Wanted.STOPPED
        assert hive.message(sent.number).state is MessageState.PENDING
        assert not hive.api.requests
        agents.start(hive.hive, AgentName("ada"), by=OPERATOR)
        assert hive.ended(sent.number).state is MessageState.ACKNOWLEDGED
        assert "You were started." in hive.api.requests[0].prompt


def test_nobody_writes_to_an_agent_that_is_not_there(home: Path) -> None:
    with Swarm(home, lambda request: say("yes"), up=False) as hive:
        hive.spawn("ada")
        with pytest.raises(NotFound) as caught:
            hive.send("adaa", "hello")
        assert caught.value.hint == "did you mean ada?"


def test_an_idle_hive_makes_no_model_call(home: Path) -> None:
    with Swarm(home, answers) as hive:
        for count in range(5):
            hive.spawn(f"agent-{count}")
        hive.until(
            lambda: all((hive.hive.paths.agent_socket(AgentName(f"agent-{count}"))).exists() for count in range(5)), "sockets"
        )
        assert not hive.api.requests
        assert not any(hive.has_harness(f"agent-{count}") for count in range(5))
