"""What an agent was given may change: the next turn uses it, and the conversation goes on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hyperhive.core import agents, operations, wishes
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.builds import write_build
from hyperhive.core.errors import Conflict, Invalid
from hyperhive.core.model import OPERATOR, Activity, AgentName, Blocked, EventKind, MessageState, Outcome
from hyperhive.core.tables import AgentRow
from hyperhive.demo.reply import Reply, fail, say, stall, use
from hyperhive.demo.request import Request
from tests.support.swarm import Swarm, swarm

pytestmark = [pytest.mark.box, pytest.mark.claude]

ADA = AgentName("ada")


def yes(request: Request) -> Reply:
    """Agree."""
    return say("yes")


def test_a_model_that_was_chosen_is_used_from_the_next_turn_on(home: Path) -> None:
    with swarm(home, yes) as hive:
        hive.send("ada", "one")
        hive.turn_ended(1)
        wishes.set_model(hive.hive, ADA, "haiku")
        hive.send("ada", "two")
        hive.turn_ended(2)
        first, second = hive.turns()
        assert "haiku" not in (first.model or "")
        assert "haiku" in (second.model or "")
        assert "haiku" in hive.api.requests[-1].model
        assert first.epoch == second.epoch
        agents.restart(hive.hive, ADA, by=OPERATOR)
        hive.send("ada", "three")
        assert "haiku" in (hive.turn_ended(3).model or "")


def test_a_model_that_does_not_exist_takes_no_attempt_and_says_so(home: Path) -> None:
    def brain(request: Request) -> Reply:
        return fail(404, "not_found_error", "model: gone-1") if request.model == "gone-1" else say("yes")

    with swarm(home, brain) as hive:
        hive.send("ada", "one")
        hive.turn_ended(1)
        wishes.set_model(hive.hive, ADA, "gone-1")
        sent = hive.send("ada", "two")
        agent = hive.until(lambda: found if (found := hive.agent("ada")).blocked is Blocked.LIMITED else None, "it rests")
        assert "gone-1" in (agent.blocked_reason or "")
        assert (hive.message(sent.number).state, hive.message(sent.number).attempt) == (MessageState.PENDING, 0)
        wishes.set_model(hive.hive, ADA, None)
        agents.start(hive.hive, ADA, by=OPERATOR)
        assert hive.ended(sent.number).state is MessageState.ACKNOWLEDGED


def test_what_cannot_be_a_models_name_is_refused(home: Path) -> None:
    with Swarm(home, yes, up=False) as hive:
        hive.spawn("ada")
        for wrong in ("--dangerously", "a b", "", "x" * 200, "a\nb"):
            with pytest.raises(Invalid):
                wishes.set_model(hive.hive, ADA, wrong)


def test_a_new_configuration_starts_the_cli_anew_in_the_same_conversation(home: Path) -> None:
    with swarm(home, yes) as hive:
        hive.send("ada", "the first word is tulip")
        hive.turn_ended(1)
        assert "You look after tulips" not in hive.api.requests[-1].system
        write_build(hive.hive, ADA, 77, AgentConfig(role="You look after tulips."))
        with hive.hive.db.write():
            AgentRow.update(deployed=77).where(AgentRow.name == "ada").execute()
        hive.send("ada", "and now?")
        hive.turn_ended(2)
        first, second = hive.turns()
        assert first.conversation == second.conversation
        assert first.epoch == second.epoch
        assert "You look after tulips" in hive.api.requests[-1].system
        assert "the first word is tulip" in str(hive.api.requests[-1].messages)


def test_a_conversation_that_is_lost_begins_anew_without_an_attempt(home: Path) -> None:
    with swarm(home, yes, linger_seconds=0) as hive:
        hive.send("ada", "one")
        hive.turn_ended(1)
        hive.until(lambda: not hive.has_harness("ada"), "it sleeps")
        with hive.hive.db.write():
            AgentRow.update(conversation="11111111-2222-4333-8444-555555555555").where(AgentRow.name == "ada").execute()
        sent = hive.send("ada", "two")
        done = hive.ended(sent.number)
        assert (done.state, done.attempt) == (MessageState.ACKNOWLEDGED, 0)
        assert any("conversation could not be found" in str(event.data) for event in hive.events(kind=EventKind.NOTE))
        assert hive.turns()[-1].conversation != "11111111-2222-4333-8444-555555555555"


def test_a_conversation_is_made_shorter_on_demand(home: Path) -> None:
    with swarm(home, yes) as hive:
        with pytest.raises(Conflict, match="no conversation yet"):
            wishes.compact(hive.hive, ADA, by=OPERATOR)
        hive.send("ada", "one")
        hive.turn_ended(1)
        number = wishes.compact(hive.hive, ADA, by=OPERATOR)
        hive.until(lambda: operations.get(hive.hive, number).ended_at, "it is made shorter")
        assert any("made shorter" in str(event.data) for event in hive.events(kind=EventKind.NOTE))
        assert any(event.data["state"] == Activity.COMPACTING for event in hive.events(kind=EventKind.STATE))
        sent = hive.send("ada", "two")
        assert hive.ended(sent.number).state is MessageState.ACKNOWLEDGED
        assert hive.outcomes() == [Outcome.OK] * 3


def test_a_sleeping_agent_wakes_to_make_its_conversation_shorter(home: Path) -> None:
    with swarm(home, yes, linger_seconds=0) as hive:
        hive.send("ada", "one")
        hive.turn_ended(1)
        hive.until(lambda: not hive.has_harness("ada"), "it sleeps")
        number = wishes.compact(hive.hive, ADA, by=OPERATOR)
        hive.until(lambda: operations.get(hive.hive, number).ended_at, "it is made shorter")
        hive.until(lambda: not hive.has_harness("ada"), "it sleeps again")


def test_a_restart_lets_the_turn_end_and_begins_anew(home: Path) -> None:
    with swarm(home, yes) as hive:
        hive.send("ada", "one")
        hive.turn_ended(1)
        agents.restart(hive.hive, ADA, by=OPERATOR)
        sent = hive.send("ada", "two")
        assert hive.ended(sent.number).state is MessageState.ACKNOWLEDGED
        assert [turn.epoch for turn in hive.turns()] == [1, 2]
        assert "You were restarted." in hive.api.requests[-1].prompt


def test_cancelling_without_a_turn_says_so(home: Path) -> None:
    with swarm(home, yes) as hive, pytest.raises(Conflict, match="no turn that could be cancelled"):
        wishes.cancel(hive.hive, ADA, by=OPERATOR)


def test_a_background_task_that_ends_is_a_turn_of_its_own(home: Path) -> None:
    def brain(request: Request) -> Reply:
        if "background" in request.prompt:
            return use("Bash", command="sleep 2; echo finished", description="wait", run_in_background=True)
        return say("I see.")

    with swarm(home, brain, linger_seconds=0) as hive:
        sent = hive.send("ada", "do it in the background")
        assert hive.ended(sent.number).state is MessageState.ACKNOWLEDGED
        # It does not leave while the task runs, though it would not linger.
        second = hive.turn_ended(2)
        assert second.outcome is Outcome.OK
        assert second.epoch == 1
        hive.until(lambda: not hive.has_harness("ada"), "it leaves when the task is done")


def test_mail_that_comes_during_a_turn_waits_for_the_next_one(home: Path) -> None:
    def brain(request: Request) -> Reply:
        if request.tool_results:
            return say("done")
        if "first" in request.prompt:
            return use("Bash", command="sleep 1; echo slept", description="sleep")
        return say("yes")

    with swarm(home, brain) as hive:
        first = hive.send("ada", "first")
        hive.until(lambda: hive.events(kind=EventKind.TOOL), "it works")
        second = hive.send("ada", "second")
        assert hive.ended(second.number).state is MessageState.ACKNOWLEDGED
        assert hive.message(first.number).state is MessageState.ACKNOWLEDGED
        assert hive.outcomes() == [Outcome.OK, Outcome.OK]


def test_two_agents_take_turns_where_there_is_one_place(home: Path) -> None:
    def brain(request: Request) -> Reply:
        if request.tool_results or request.find("agent `bob`"):
            return say("done")
        return use("Bash", command="sleep 1.5; echo slept", description="sleep")

    with Swarm(home, brain, max_active=1, linger_seconds=60) as hive:
        hive.spawn("ada")
        hive.spawn("bob")
        one = hive.send("ada", "work")
        hive.until(lambda: hive.events(kind=EventKind.TOOL), "ada works")
        two = hive.send("bob", "work")
        hive.until(lambda: hive.agent("bob").turn.state is Activity.QUEUED, "bob waits for a place, and ps says so")
        # Ada would linger for a minute; somebody waits, so she leaves.
        assert hive.ended(two.number).state is MessageState.ACKNOWLEDGED
        assert hive.message(one.number).state is MessageState.ACKNOWLEDGED
        assert not hive.has_harness("ada")


def test_an_agent_on_the_host_leaves_nothing_behind(home: Path) -> None:
    seconds = f"91{os.getpid()}{home.name}"

    def brain(request: Request) -> Reply:
        if request.tool_results:
            return stall("thinking")
        return use("Bash", command=f"setsid sleep {seconds} & echo started", description="start")

    with Swarm(home, brain, runtime="host") as hive:
        hive.spawn("ada")
        hive.send("ada", "work")
        hive.until(lambda: len(hive.api.requests) >= 2, "it thinks")
        assert _running(seconds)
        agents.kill(hive.hive, ADA, by=OPERATOR)
        hive.until(lambda: not _running(seconds), "its children have ended")


def _running(word: str) -> list[str]:
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if word.encode() in words:
                found.append(process.name)
    return found


def test_a_full_house_hands_a_place_over_at_once(home: Path) -> None:
    # Both have mail before either has reported: the one who works must still hear that the other waits.
    with Swarm(home, yes, max_active=1, linger_seconds=120, up=False) as hive:
        for name in ("ada", "bob", "cyd"):
            hive.spawn(name)
        sent = [hive.send(name, "work") for name in ("ada", "bob", "cyd")]
        hive.start_hub()
        hive.until(
            lambda: all(hive.message(message.number).state is MessageState.ACKNOWLEDGED for message in sent),
            "nobody waits for the hub's next look",
            patience=25,
        )


def test_an_agent_with_steady_mail_lets_others_have_a_turn(home: Path) -> None:
    def brain(request: Request) -> Reply:
        if request.find("agent `ada`") and not request.tool_results:
            return use("mcp__hyperhive__send", to="ada", body="and again")
        return say("done")

    with Swarm(home, brain, max_active=1, linger_seconds=120) as hive:
        hive.spawn("ada")
        hive.spawn("bob")
        hive.send("ada", "begin")
        hive.turn_ended(1)
        assert hive.ended(hive.send("bob", "work").number).state is MessageState.ACKNOWLEDGED


def test_a_kill_does_not_wait_for_a_restart_that_waits(home: Path) -> None:
    with swarm(home, lambda request: stall("thinking")) as hive:
        hive.send("ada", "work")
        hive.until(lambda: hive.api.requests, "it thinks")
        waiting = subprocess.Popen(
            [sys.executable, "-m", "hyperhive", "restart", "ada"], env=hive.environment, stdin=subprocess.DEVNULL
        )
        hive.until(lambda: hive.agent("ada").under_way, "it is restarting")
        agents.kill(hive.hive, ADA, by=OPERATOR)
        assert waiting.wait(20) != 0
        assert hive.agent("ada").under_way is None
        assert not hive.has_harness("ada")


def test_what_the_operator_runs_in_a_container_ends_with_the_agent(home: Path) -> None:
    with swarm(home, yes) as hive:
        seconds = f"92{os.getpid()}{home.name}"
        visit = subprocess.Popen(
            [sys.executable, "-m", "hyperhive", "exec", "ada", "--", "sleep", seconds],
            env=hive.environment,
            stdin=subprocess.DEVNULL,
        )
        hive.until(lambda: _running(seconds), "it runs")
        agents.destroy(hive.hive, ADA, by=OPERATOR)
        assert visit.wait(20) != 0
        hive.until(lambda: not _running(seconds), "it has ended")
