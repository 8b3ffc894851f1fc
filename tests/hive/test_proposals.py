"""A manager changes others by asking: it commits, the operator decides, and the agent has it at its next turn."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hyperhive.core import applied, approvals, box, operate, proposals
from hyperhive.core.approvals import Approval
from hyperhive.core.model import OPERATOR, AgentName, ApprovalKind, ApprovalState, Flavor, OperationState, Outcome, Wanted
from hyperhive.demo.reply import Reply, say, use
from hyperhive.demo.request import Request
from tests.support.swarm import Swarm

pytestmark = [pytest.mark.box, pytest.mark.claude]

BOB, CLEO = AgentName("bob"), AgentName("cleo")
COMMIT = re.compile(r"\b[0-9a-f]{40}\b")
Step = Callable[[Request], Reply]


class Mind:
    """A manager that does what a test has laid out for the word after `do:` in its mail; others say yes."""

    def __init__(self, **plans: list[Step]) -> None:
        self.plans = plans
        self.results: list[str] = []
        self.heard: list[str] = []

    def __call__(self, request: Request) -> Reply:
        if "You are the agent `mona`" not in request.system:
            return say("yes")
        if not request.tool_results:
            self.heard.append(request.prompt)
            self._plan = next((list(plan) for word, plan in self.plans.items() if f"do: {word}" in request.prompt), [])
        self.results += [result.text for result in request.tool_results]
        return self._plan.pop(0)(request) if self._plan else say("done")


def call(tool: str, /, **given: object) -> Step:
    return lambda request: use(f"mcp__hyperhive__{tool}", **given)


def bash(command: str) -> Step:
    return lambda request: use("Bash", command=f"set -e\n{command}", description="do it")


def propose(name: str = "bob", **given: object) -> Step:
    """Ask for the commit that the step before has printed."""

    def step(request: Request) -> Reply:
        commits = COMMIT.findall(request.tool_results[-1].text)
        assert commits, request.tool_results[-1].text
        return use("mcp__hyperhive__request_apply_commit", name=name, commit=commits[-1], **given)

    return step


def commit(text: str, name: str = "bob", *, file: str = "agent.toml") -> Step:
    """Change a file in the manager's own way."""
    return bash(f"cd /config/{name}; printf '{text}\\n' > {file}; git add {file}; git commit -qm 'Change it'; git rev-parse HEAD")


def decide(hive: Swarm, approval: Approval) -> None:
    """What the operator's `approve` does."""
    approved = approvals.approve(hive.hive, approval.number, by=OPERATOR)
    assert approved.operation is not None
    operate.run(hive.hive, approved.operation)


def told(hive: Swarm, mind: Mind, word: str) -> str:
    """Wait until the manager was told something, and give back all that it has heard."""
    return hive.until(lambda: heard if word in (heard := "\n".join(mind.heard)) else None, f"mona is told {word}")


def systems(hive: Swarm, name: str) -> list[str]:
    return [request.system for request in hive.api.requests if f"You are the agent `{name}`" in request.system]


def test_a_manager_proposes_and_the_operator_decides(home: Path) -> None:
    mind = Mind(
        edit=[
            lambda request: use("Read", file_path="/config/bob/agent.toml"),
            lambda request: use("Edit", file_path="/config/bob/agent.toml", old_string="roses", new_string="tulips"),
            bash(
                "cd /config/bob; git commit -qam 'Have bob look after tulips'; git status --porcelain --branch; "
                "git log -1 --format='%an <%ae>'; git rev-parse HEAD"
            ),
            propose(reason="tulips"),
        ]
    )
    with Swarm(home, mind) as hive:
        hive.spawn("mona", manager=True)
        hive.spawn("bob", role="You look after roses.")
        hive.send("mona", "do: edit")
        hive.turn_ended(1, "mona")
        (waiting,) = approvals.listed(hive.hive)
        assert (waiting.kind, waiting.agent, waiting.asker, waiting.reason) == (ApprovalKind.CONFIG, "bob", "mona", "tulips")
        assert f"## main...applied/main [ahead 1]\nmona <mona@hyperhive.invalid>\n{waiting.commit}" in mind.results[2]
        assert mind.results[3] == f"proposal {waiting.number} waits for the operator: end your turn, the decision comes as mail"
        hive.send("bob", "and now?")
        hive.turn_ended(1, "bob")
        assert "You look after roses." in systems(hive, "bob")[-1]
        decide(hive, waiting)
        hive.send("bob", "and now?")
        hive.turn_ended(2, "bob")
        assert "You look after tulips." in systems(hive, "bob")[-1]
        assert "You look after roses." not in systems(hive, "bob")[-1]
        heard = told(hive, mind, "deployed:")
        about = f"proposal {waiting.number} (the configuration of bob, commit {waiting.commit})"
        assert f"approval_resolved: {about} was approved by operator." in heard
        assert f"deployed: bob runs deployment {waiting.number} (commit {waiting.commit}), approved by operator." in heard


def test_a_protected_file_is_refused_at_once_and_nothing_waits(home: Path) -> None:
    mind = Mind(break_in=[commit("{ }", file="flake.nix"), propose(), call("approvals")])
    with Swarm(home, mind) as hive:
        hive.spawn("mona", manager=True)
        hive.spawn("bob")
        before = applied.references(hive.hive, BOB)
        hive.send("mona", "do: break_in")
        hive.turn_ended(1, "mona")
        assert approvals.listed(hive.hive) == []
        (failed,) = approvals.listed(hive.hive, everything=True)
        assert failed.state is ApprovalState.FAILED
        why = f"proposal {failed.number} failed: flake.nix is protected, and the commit changes it"
        assert mind.results[1] == f"{why} (leave flake.nix as it is on applied/main)"
        assert f"{failed.number}: a configuration for bob, commit {failed.commit}: failed" in mind.results[2]
        tags = {f"refs/tags/{word}/{failed.number}": failed.commit for word in ("proposal", "failed")}
        assert applied.references(hive.hive, BOB) == {**before, **tags}
        # It was told once: as the answer.
        assert "operation_failed" not in "".join(mind.heard)


def test_a_new_agent_is_asked_for_amended_and_made(home: Path) -> None:
    mind = Mind(
        ask=[
            call("request_spawn", name="cleo", reason="more hands", role="You count sheep."),
            bash("cd /config/cleo; git status --porcelain --branch; sed -i s/sheep/goats/ agent.toml; git commit -q --amend -a "
                 "--no-edit; git rev-parse HEAD"),
            propose("cleo"),
        ],
        again=[
            bash("cd /config/cleo; git fetch -q applied --tags; git rebase -q applied/main; git tag; git status -sb"),
            commit('role = "You count cows."', "cleo"),
            propose("cleo"),
        ],
    )  # fmt: skip
    with Swarm(home, mind) as hive:
        hive.spawn("mona", manager=True)
        hive.send("mona", "do: ask")
        hive.turn_ended(1, "mona")
        first, second = approvals.listed(hive.hive, everything=True)
        assert (first.state, first.note) == (ApprovalState.WITHDRAWN, f"replaced by proposal {second.number}")
        assert (second.state, second.kind, second.flavor) == (ApprovalState.PENDING, ApprovalKind.SPAWN, Flavor.WORKER)
        assert second.reason == "more hands"
        decide(hive, second)
        assert hive.agent("cleo").wanted is Wanted.STARTED
        assert "spawned: the agent cleo is there." in told(hive, mind, "spawned:")
        hive.send("cleo", "begin")
        assert hive.turn_ended(1, "cleo").outcome is Outcome.OK
        assert "You count goats." in systems(hive, "cleo")[-1]
        done = len(hive.turns("mona"))
        hive.send("mona", "do: again")
        hive.turn_ended(done + 1, "mona")
        (third,) = approvals.listed(hive.hive)
        assert (third.kind, third.compared_with) == (ApprovalKind.CONFIG, second.commit)
        tags = mind.results[3].split()
        assert {f"proposal/{first.number}", f"approved/{second.number}", f"deployed/{second.number}"} <= set(tags)
        assert "main...applied/main" in mind.results[3]


def test_what_does_not_build_on_what_is_applied_is_rebased_and_taken(home: Path) -> None:
    mind = Mind(
        early=[commit('role = "You look after tulips."'), propose()],
        late=[
            bash(
                "cd /config/bob; git fetch -q applied --tags; git rebase -q applied/main; cat agent.toml notes; "
                "git rev-parse HEAD"
            ),
            propose(),
        ],
    )
    with Swarm(home, mind) as hive:
        hive.spawn("mona", manager=True)
        hive.spawn("bob")
        # The clone is there before the operator changes something.
        hive.send("mona", "look")
        hive.turn_ended(1, "mona")
        decide(hive, proposals.by_operator(hive.hive, BOB, {"notes": b"the operator's\n"}, message="Take a note"))
        hive.send("mona", "do: early")
        told(hive, mind, "do: early")
        hive.until(lambda: len(mind.results) == 2, "it has asked")
        assert mind.results[1].endswith("(git -C /config/bob fetch applied, then git rebase applied/main)")
        assert approvals.listed(hive.hive) == []
        hive.send("mona", "do: late")
        (waiting,) = hive.until(lambda: approvals.listed(hive.hive), "it waits for the operator")
        assert 'role = "You look after tulips."\nthe operator\'s\n' in mind.results[2]
        assert f"proposal {waiting.number} waits" in hive.until(lambda: "".join(mind.results[3:]), "it was answered")
        approvals.deny(hive.hive, waiting.number, by=OPERATOR, note="no flowers")
        about = f"proposal {waiting.number} (the configuration of bob, commit {waiting.commit})"
        assert f"approval_resolved: {about} was denied by operator: no flowers" in told(hive, mind, "approval_resolved:")
        hive.until(lambda: f"refs/tags/denied/{waiting.number}" in applied.references(hive.hive, BOB), "it is tagged")


def test_what_is_applied_cannot_be_written_from_inside(home: Path) -> None:
    tries = (
        "cd /config/bob; git push applied HEAD:refs/heads/main 2>&1; git push applied HEAD:refs/heads/x 2>&1",
        "for at in HEAD refs/heads/main objects/x x; do echo x >> /applied/bob.git/$at && echo WROTE; done 2>&1",
        "rm -rf /applied/bob.git 2>&1; mv /applied/bob.git /applied/eve.git 2>&1; chmod -R 777 /applied 2>&1",
        "mount --bind /config /applied 2>&1; mkdir /applied/new 2>&1",
    )
    mind = Mind(write=[bash(f"set +e\n{one}\ntrue") for one in tries])
    with Swarm(home, mind) as hive:
        hive.spawn("mona", manager=True)
        hive.spawn("bob")
        before = _files(hive.hive.paths.applied_folder)
        hive.send("mona", "do: write")
        hive.turn_ended(1, "mona")
        assert len(mind.results) == len(tries)
        assert all("Read-only file system" in result or "denied" in result for result in mind.results[1:])
        assert "WROTE" not in "".join(mind.results)
        assert _files(hive.hive.paths.applied_folder) == before


def test_a_clone_that_cannot_be_made_keeps_no_turn_from_beginning(home: Path) -> None:
    mind = Mind(look=[bash("ls /config")])
    with Swarm(home, mind) as hive:
        hive.spawn("mona", manager=True)
        hive.spawn("bob")
        shutil.rmtree(hive.hive.paths.applied(BOB) / "refs")
        hive.send("mona", "do: look")
        assert hive.turn_ended(1, "mona").outcome is Outcome.OK
        assert mind.results[0].split() == ["mona"]
        (warning,) = hive.agent("mona").warnings
        assert warning.startswith("a repository cannot be put into /config of mona: fatal: ")
        # Mended, it is there before the next turn.
        (hive.hive.paths.applied(BOB) / "refs").mkdir()
        hive.send("mona", "do: look")
        hive.turn_ended(2, "mona")
        assert mind.results[1].split() == ["bob", "mona"]
        assert hive.agent("mona").warnings == []


def test_a_proposal_stands_though_its_clone_cannot_be_made(home: Path) -> None:
    with Swarm(home, Mind(), up=False) as hive:
        mona = hive.spawn("mona", manager=True)
        box.prepare(hive.hive, mona)
        hive.hive.paths.proposed(mona).chmod(0o500)
        number = proposals.request_spawn(hive.hive, CLEO, by=mona, reason="more hands")
        assert operate.run(hive.hive, number).state is OperationState.DONE
        assert [one.agent for one in approvals.listed(hive.hive)] == ["cleo"]
        assert "Permission denied" in str(box.prepare(hive.hive, mona).warnings)
        hive.hive.paths.proposed(mona).chmod(0o700)
        assert box.prepare(hive.hive, mona).warnings == []
        assert (hive.hive.paths.proposed(mona) / "cleo/agent.toml").exists()


def test_a_manager_restarts_itself_and_stops_others(home: Path) -> None:
    mind = Mind(
        anew=[call("restart", name="mona"), call("stop", name="bob"), call("update", name="bob"), call("logs", name="mona")],
        on=[call("start", name="bob")],
    )
    with Swarm(home, mind) as hive:
        hive.spawn("mona", manager=True)
        hive.spawn("bob")
        hive.send("mona", "do: anew")
        assert hive.turn_ended(1, "mona").outcome is Outcome.OK
        assert mind.results[:3] == [
            "mona is restarted when your turn ends", "bob is stopped", "bob is up to date: there is nothing to do",
        ]  # fmt: skip
        assert "epoch 1 begins" in mind.results[3]
        assert hive.agent("bob").wanted is Wanted.STOPPED
        hive.send("mona", "do: on")
        second = hive.turn_ended(2, "mona")
        assert (second.outcome, second.epoch) == (Outcome.OK, 2)
        assert "You were restarted." in mind.heard[-1]
        assert mind.results[4] == "bob is started"
        assert hive.agent("bob").wanted is Wanted.STARTED


def _files(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode, path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(folder.rglob("*"))
    }  # fmt: skip
