"""A manager changes others by asking: it commits, the operator decides, and the agent has it at its next turn."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from hyperhive.core import approvals, operate
from hyperhive.core.model import OPERATOR, AgentName, ApprovalKind
from hyperhive.demo.reply import Reply, say, use
from hyperhive.demo.request import Request
from tests.support.swarm import Swarm

pytestmark = [pytest.mark.box, pytest.mark.claude]

MONA, BOB = AgentName("mona"), AgentName("bob")
COMMIT = re.compile(r"\b[0-9a-f]{40}\b")
EDIT = """
set -eu
cd /config/bob
printf 'role = "You look after tulips."\\n' > agent.toml
git commit --quiet --all --message 'Have bob look after tulips'
git status --porcelain --branch
git log -1 --format='%an <%ae>'
git rev-parse HEAD
"""


def tool(name: str) -> str:
    return f"mcp__hyperhive__{name}"


def bash(command: str) -> Reply:
    return use("Bash", command=command, description="do it")


class Mind:
    """A manager that does, in each turn, what a test has laid out for its prompt; others say yes."""

    def __init__(self, **plans: list[Callable[[Request], Reply]]) -> None:
        self.plans = plans
        self.results: list[str] = []

    def __call__(self, request: Request) -> Reply:
        if "You are the agent `mona`" not in request.system:
            return say("yes")
        if not request.tool_results:
            self._plan = next((list(plan) for word, plan in self.plans.items() if f"do: {word}" in request.prompt), [])
        self.results += [result.text for result in request.tool_results]
        return self._plan.pop(0)(request) if self._plan else say("done")


def commit_in(request: Request) -> str:
    (found,) = COMMIT.findall(request.tool_results[-1].text)
    return str(found)


def propose(request: Request) -> Reply:
    return use(tool("request_apply_commit"), name="bob", commit=commit_in(request), reason="tulips")


def decide(hive: Swarm, number: int) -> None:
    """What the operator's `approve` does."""
    approved = approvals.approve(hive.hive, number, by=OPERATOR)
    assert approved.operation is not None
    operate.run(hive.hive, approved.operation)


def test_a_manager_proposes_and_the_operator_decides(home: Path) -> None:
    mind = Mind(edit=[lambda request: bash(EDIT), propose])
    with Swarm(home, mind) as hive:
        hive.spawn("mona", manager=True)
        hive.spawn("bob", role="You look after roses.")
        hive.send("mona", "do: edit")
        hive.turn_ended(1, "mona")
        print(mind.results)
        (waiting,) = approvals.listed(hive.hive)
        assert (waiting.kind, waiting.agent, waiting.asker, waiting.reason) == (ApprovalKind.CONFIG, "bob", "mona", "tulips")
        assert "mona <mona@hyperhive.invalid>" in mind.results[0]
        assert f"proposal {waiting.number} waits for the operator" in mind.results[1]
        hive.send("bob", "and now?")
        hive.turn_ended(1, "bob")
        assert "You look after roses." in hive.api.requests[-1].system
        decide(hive, waiting.number)
        hive.send("bob", "and now?")
        hive.turn_ended(2, "bob")
        bobs = [request for request in hive.api.requests if "You are the agent `bob`" in request.system]
        assert "You look after tulips." in bobs[-1].system
        assert "You look after roses." not in bobs[-1].system
        mail = hive.until(
            lambda: (
                found
                if "deployed:"
                in (
                    found := "\n".join(
                        request.prompt for request in hive.api.requests if "You are the agent `mona`" in request.system
                    )
                )
                else None
            ),
            "mona is told",
        )
        assert (
            f"approval_resolved: proposal {waiting.number} (the configuration of bob, commit {waiting.commit}) was approved"
            in mail
        )
        assert f"deployed: bob runs deployment {waiting.number}" in mail
