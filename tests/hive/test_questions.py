"""An agent asks, sleeps, and goes on with what the operator, or the deadline, decided."""

from datetime import timedelta
from pathlib import Path

import pytest

from hyperhive.core import doorbell, questions
from hyperhive.core.hub import TICK
from hyperhive.core.model import MessageState, Outcome, QuestionOutcome
from hyperhive.core.questions import Question
from hyperhive.core.tables import QuestionRow
from hyperhive.demo.reply import Reply, say, use
from hyperhive.demo.request import Request
from tests.cli import shell
from tests.support.swarm import Swarm, swarm

pytestmark = [pytest.mark.box, pytest.mark.claude]


def asks(request: Request, **more: object) -> Reply:
    """Ask which colour, end the turn, and do what was answered."""
    if request.tool_results:
        return say("I have done what I can for now.")
    if "operator_answered:" in request.prompt:
        told = [line.removeprefix("| ") for line in request.prompt.splitlines() if line.startswith("| ")]
        return use("mcp__hyperhive__send", to="operator", body=f"painted it: {' / '.join(told)}")
    return use("mcp__hyperhive__ask_operator", text="Which colour?", **more)


def asked(hive: Swarm) -> Question:
    """Wait until the agent has asked and sleeps."""
    hive.turn_ended(1)
    hive.until(lambda: not hive.has_harness("ada"), "an agent that waits for an answer has no process")
    (question,) = questions.listed(hive.hive)
    assert hive.inbox() == []
    return question


def test_an_agent_asks_ends_its_turn_is_answered_and_goes_on(home: Path) -> None:
    def brain(request: Request) -> Reply:
        return asks(request, choices=["red", "dark blue"], choices_only=True)

    with swarm(home, brain, linger_seconds=0) as hive:
        task = hive.send("ada", "paint the shed")
        question = asked(hive)
        assert hive.message(task.number).state is MessageState.ACKNOWLEDGED
        assert (question.asker, question.text, question.choices) == ("ada", "Which colour?", ("red", "dark blue"))
        shown = shell.process("questions")
        assert shown.stdout.splitlines()[1:] == ["│ Which colour?", "   choices:", "│ 1. red", "│ 2. dark blue"]
        answered = shell.process("answer", str(question.number), "--choice", "2")
        assert (answered.returncode, answered.stdout) == (0, f"question {question.number} is answered\n")
        assert "not up" not in answered.stderr
        assert hive.turn_ended(2).outcome is Outcome.OK
        (told,) = hive.inbox()
        assert told.body == (
            f"painted it: operator_answered: question {question.number} was answered by operator."
            " / You asked: / > Which colour? / The answer: / > dark blue"
        )


def test_the_hub_wakes_for_a_deadline_and_the_agent_takes_its_default(home: Path) -> None:
    with swarm(home, lambda request: asks(request, ttl_seconds=3600, default="red"), linger_seconds=0) as hive:
        hive.send("ada", "paint the shed")
        question = asked(hive)
        set_deadline(hive, question, seconds=1)
        # As `ask` does. Then nobody rings, and nobody else looks: sooner than its regular look the hub comes only for
        # the deadline.
        doorbell.ring_hive(hive.hive.paths)
        (told,) = hive.until(hive.inbox, "the agent was woken by the deadline", patience=TICK * 2 / 3)
        assert f"question {question.number} defaulted: nobody answered by " in told.body
        assert told.body.endswith("/ > Which colour? / So your default is the answer: / > red")
        assert questions.get(hive.hive, question.number).outcome is QuestionOutcome.DEFAULTED


def test_a_deadline_that_passed_while_the_hub_was_down_is_told_when_it_is_up(home: Path) -> None:
    with swarm(home, lambda request: asks(request, ttl_seconds=3600), linger_seconds=0) as hive:
        hive.send("ada", "paint the shed")
        question = asked(hive)
        hive.stop_hub()
        set_deadline(hive, question, seconds=-1)
        hive.start_hub()
        assert hive.turn_ended(2).outcome is Outcome.OK
        (told,) = hive.inbox()
        assert f"question {question.number} [expired]" in told.body


def set_deadline(hive: Swarm, question: Question, *, seconds: float) -> None:
    """Let so much of its time be left."""
    with hive.hive.db.write():
        QuestionRow.update(deadline=hive.hive.now() + timedelta(seconds=seconds)).where(
            QuestionRow.number == question.number
        ).execute()
