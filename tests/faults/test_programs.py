"""Whatever stands in the place of the agent CLI: nothing is lost, nothing loops, and the reason is plain."""

from functools import partial
from pathlib import Path

import pytest

from hyperhive.core import agents, approvals
from hyperhive.core.model import OPERATOR, AgentName, ApprovalState, Blocked, EventKind, MessageState, Outcome
from hyperhive.core.permits import ASKED_MOST
from tests.faults.aftermath import cli_of, harness_of, processes_of, tracebacks
from tests.faults.wrecks import ADA, Wreck, wreck

pytestmark = pytest.mark.box


def has_rest(hive: Wreck, name: str) -> bool:
    return hive.agent(name).blocked is Blocked.LIMITED and not hive.has_harness(name)


def rests(hive: Wreck, name: str, reason: str) -> list[str]:
    """What is wrong with an agent that cannot work for this reason, and rests."""
    agent = hive.agent(name)
    notes = [str(event.data["text"]) for event in hive.events(name, EventKind.NOTE)]
    told = [message.body for message in hive.inbox() if message.body.startswith(f"not_ready: {name} ")]
    facts = {
        "it is held back until a time": agent.blocked is Blocked.LIMITED and agent.blocked_until is not None,
        f"its reason says {reason!r}": reason in (agent.blocked_reason or ""),
        "its history says so": any(reason in note for note in notes),
        "the operator was told once": len([body for body in told if body.startswith(f"not_ready: {name} ") and reason in body])
        == 1,
        "it was started once": agent.epoch == 1,
        "no turn was counted": not hive.turns(name),
        "its message waits, with no attempt": (agent.mail.pending, agent.mail.dead) == (1, 0),
        "no log tells of a bug": not tracebacks(hive.home),
    }
    return [fact for fact, holds in facts.items() if not holds]


REASONS = {
    "exits": "the agent CLI has ended: the licence has expired",
    "silent": "the agent CLI has ended: it said nothing",
    "rubbish": "the agent CLI printed something that is not its protocol",
    "babbles": "the agent CLI printed something that is not its protocol",
    "hangs": "the agent CLI does not answer",
    "floods": "the agent CLI does not answer",
    "floods_without_end": "the agent CLI printed something that is not its protocol",
}


def test_a_program_that_never_gets_ready_costs_nothing_but_time(home: Path) -> None:
    with Wreck(home, variant="impatient", mode="hangs") as hive:
        numbers = {}
        for mode, reason in REASONS.items():
            name = mode.replace("_", "-")
            hive.use(mode)
            hive.spawn(name)
            numbers[name] = hive.send(name, "work").number
            hive.until(partial(has_rest, hive, name), f"{name} rests")
            assert not rests(hive, name, reason), name
        hive.use("good")
        for name in numbers:
            agents.start(hive.hive, AgentName(name), by=OPERATOR)
        for name, number in numbers.items():
            assert hive.ended(number).state is MessageState.ACKNOWLEDGED
            # The control: an agent that works is found to be no such case.
            assert len(rests(hive, name, REASONS[name.replace("-", "_")])) >= 4


def test_a_hive_that_ends_while_an_agent_gets_ready_holds_nobody_back(home: Path) -> None:
    with wreck(home, mode="hangs") as hive:
        sent = hive.send("ada", "work")
        hive.until(lambda: (harness := harness_of(hive.hive, "ada")) and cli_of(harness), "its CLI runs")
        hive.stop_hub()
        assert hive.agent("ada").blocked is Blocked.NONE
        assert not hive.inbox()
        found = hive.message(sent.number)
        assert (found.state, found.attempt) == (MessageState.PENDING, 0)


def test_a_program_that_is_missing_is_named(home: Path) -> None:
    with wreck(home, up=False) as hive:
        hive.configure(command=[str(home / "nowhere/claude")])
        hive.start_hub()
        hive.send("ada", "work")
        hive.until(lambda: has_rest(hive, "ada"), "it rests")
        assert not rests(hive, "ada", f"{home}/nowhere/claude, which `claude.command` in hive.toml names, is no program")


def test_a_program_that_dies_in_every_turn_ends_its_message_visibly(home: Path) -> None:
    with wreck(home, mode="dies") as hive:
        sent = hive.send("ada", "work")
        dead = hive.ended(sent.number)
        assert (dead.state, dead.attempt) == (MessageState.DEAD, 3)
        assert "ended in the middle of the turn: segmentation fault, or so" in (dead.reason or "")
        assert hive.outcomes() == [Outcome.FAILED] * 3
        assert any(f"message {sent.number} " in notice.body for notice in hive.inbox())
        hive.until(lambda: not hive.has_harness("ada"), "it has nothing to do")
        assert hive.agent("ada").epoch == 1
        assert not tracebacks(home)


@pytest.mark.parametrize("mode", ["long_lines", "floods_errors"])
def test_what_is_too_much_is_left_out_and_the_turn_goes_on(home: Path, mode: str) -> None:
    with wreck(home, mode=mode) as hive:
        sent = hive.send("ada", "work")
        assert hive.ended(sent.number).state is MessageState.ACKNOWLEDGED
        assert hive.outcomes() == [Outcome.OK]
        assert not tracebacks(home)
        log = hive.hive.paths.agent_log(ADA)
        assert sum(file.stat().st_size for file in log.iterdir()) < 8 * 1024 * 1024


def test_a_program_that_floods_the_operator_with_questions_is_refused_most(home: Path) -> None:
    with wreck(home, mode="asks") as hive:
        sent = hive.send("ada", "work")
        assert hive.ended(sent.number).state is MessageState.ACKNOWLEDGED
        assert hive.outcomes() == [Outcome.OK]
        asked = approvals.listed(hive.hive, everything=True, limit=2000)
        assert len(asked) == ASKED_MOST
        assert {approval.state for approval in asked} == {ApprovalState.WITHDRAWN}
        assert not tracebacks(home)


def test_a_program_that_reads_none_of_its_answers_is_ended(home: Path) -> None:
    with Wreck(home, variant="impatient", mode="asks_deaf") as hive:
        hive.spawn("ada")
        hive.send("ada", "work")
        assert hive.turn_ended().outcome is Outcome.FAILED
        assert "the agent CLI does not read what it is told" in (hive.hive.paths.agent_log(ADA) / "harness.log").read_text()
        agents.kill(hive.hive, ADA, by=OPERATOR)
        assert approvals.listed(hive.hive) == []
        assert not tracebacks(home)


def test_a_program_that_floods_its_turn_is_ended_at_the_limit(home: Path) -> None:
    with Wreck(home, mode="floods_turn") as hive:
        hive.spawn("ada", turn_seconds=1.0)
        sent = hive.send("ada", "work")
        turn = hive.turn_ended()
        assert turn.outcome is Outcome.FAILED
        assert "took longer than" in (turn.error or "")
        assert hive.message(sent.number).attempt == 1
        agents.kill(hive.hive, ADA, by=OPERATOR)
        assert not [words for words in processes_of(home).values() if "claude" in words]
        assert not tracebacks(home)
