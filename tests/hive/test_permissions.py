"""A tool that is neither allowed nor denied waits for the operator, and what the operator decides is what happens."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from hyperhive.core import approvals
from hyperhive.core.approvals import Approval
from hyperhive.core.model import OPERATOR, Activity, AgentName, ApprovalKind, EventKind, MessageState
from hyperhive.demo.model_api import Brain
from hyperhive.demo.reply import Message, Reply, say, use
from hyperhive.demo.request import Request
from tests.support.swarm import Swarm

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
