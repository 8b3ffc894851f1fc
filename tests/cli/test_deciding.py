"""Deciding in the shell: what waits is shown, approved, denied; a build runs on the screen."""

import re
import signal
import subprocess
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from hyperhive.core import (
    agent_toml,
    applied,
    approvals,
    builds,
    deploying,
    deployments,
    messages,
    operate,
    operations,
    proposals,
    questions,
    reviews,
    roster,
    tool_rules,
)
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.approvals import Approval
from hyperhive.core.errors import Conflict, Invalid
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock
from hyperhive.core.model import OPERATOR, AgentName, ApprovalState, DeploymentOutcome, OperationState, Verb
from hyperhive.core.tables import ApprovalRow
from tests.cli import shell
from tests.cli.test_questions import completions
from tests.cli.test_safe import ACTS, FAKE, MISCHIEF, passes_for_ours
from tests.support.proposing import MONA, Manager

PENDING = {"number", "kind", "agent", "asker", "about", "deadline", "asked_at"}


@pytest.fixture
def mona(hive: Hive) -> Manager:
    """The manager of this hive."""
    return Manager(hive)


def own(hive: Hive, name: AgentName, config: AgentConfig, message: str = "Change it") -> Approval:
    """A proposal of the operator's own, which needs no container."""
    return proposals.by_operator(hive, name, {"agent.toml": agent_toml.write(config)}, message=message)


def ask_tool(hive: Hive, name: AgentName, tool: str = "Bash", given: object = None) -> int:
    """An agent asks for a tool, as its harness would put it."""
    text = msgspec.json.encode({"command": "touch x"} if given is None else given).decode()
    deadline = hive.now() + timedelta(hours=1)
    return approvals.ask_tool(hive, name, epoch=1, turn=4, request="r", tool=tool, given=text, deadline=deadline)


def role_of(hive: Hive, name: AgentName) -> str:
    return builds.config_of(hive, name, roster.get(hive, name).deployed)[0].role


def waiting(hive: Hive, number: int) -> bool:
    return approvals.get(hive, number).state is ApprovalState.PENDING


# ---- what waits ----


def test_all_that_waits_is_one_list_the_oldest_first(hive: Hive, ada: AgentName) -> None:
    first = ask_tool(hive, ada, "Bash", {"command": "rm -rf\nx", "description": "no"})
    second = questions.ask(hive, asker=ada, text="Which\ndatabase?").number
    third = own(hive, ada, AgentConfig(role="x"), "Give it a role").number
    lines = shell.answer("pending").splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [
        [str(first), "tool", "ada"],
        [str(second), "question", "ada"],
        [str(third), "config", "ada"],
    ]
    assert [
        line.rstrip().endswith(about)
        for line, about in zip(lines[1:], ("Bash: rm -rf x", "Which database?", "Give it a role"), strict=True)
    ] == [True] * 3
    found = msgspec.json.decode(shell.answer("pending", "--json"))
    assert [one["kind"] for one in found] == ["tool", "question", "config"]
    assert all(one.keys() == PENDING for one in found)
    assert [one["deadline"] is None for one in found] == [False, True, True]


def test_nothing_that_waits_is_an_empty_list(hive: Hive) -> None:
    assert shell.answer("pending", "--json") == "[]\n"
    assert shell.run("pending").stderr == "nothing waits for you\n"


def test_waiting_ends_when_something_comes(hive: Hive, ada: AgentName) -> None:
    with shell.running("pending", "--wait", "--json") as child:
        number = ask_tool(hive, ada)
        out, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    assert [one["number"] for one in msgspec.json.decode(out)] == [number]


def test_waiting_in_vain_has_an_exit_code_of_its_own(hive: Hive) -> None:
    assert shell.complaint("pending", "--wait", "--timeout", "0.1", code=6)[0] == "nothing came to wait for you"
    assert shell.complaint("pending", "--timeout", "1", code=2)[1] == "hyperhive pending --wait --timeout 1"


def test_ps_and_show_say_what_waits(hive: Hive, ada: AgentName) -> None:
    number = ask_tool(hive, ada)
    asked = questions.ask(hive, asker=ada, text="Which?").number
    overdue = ask_tool(hive, ada)
    with hive.db.write():
        ApprovalRow.update(deadline=hive.now()).where(ApprovalRow.number == overdue).execute()
    assert f"  waits for you: `hyperhive show {number}`, `hyperhive show {asked}`\n" in shell.answer("ps")
    assert f"waits for you\n│ {number} tool Bash: touch x\n" in shell.answer("show", "ada")
    assert msgspec.json.decode(shell.answer("show", "ada", "--json"))["pending"][0]["number"] == number


def test_numbers_are_completed_with_what_they_are_about(hive: Hive, ada: AgentName) -> None:
    tool, question = ask_tool(hive, ada), questions.ask(hive, asker=ada, text="Which?").number
    asked = own(hive, ada, AgentConfig(role="x"), "Give it\x1b[2J a role").number
    shown = [(str(tool), "tool ada: Bash: touch x"), (str(asked), "config ada: Give it␛[2J a role")]
    for command in ("approve", "deny"):
        assert completions(command) == shown
    assert (str(question), "question ada: Which?") in completions("show")
    assert ("ada", None) in completions("show")


# ---- proposals ----


@pytest.mark.box
def test_a_managers_proposal_is_listed_approved_and_in_the_history(hive: Hive, ada: AgentName, mona: Manager) -> None:
    asked = mona.propose(ada, AgentConfig(role="You look after the blog."), reason="It needs a role")
    number = str(asked.number)
    listed = shell.answer("pending").splitlines()
    assert listed[1].split() == [number, "config", "ada", "mona", "0s", "It", "needs", "a", "role"]
    shown = shell.answer("show", number)
    said = shell.answer("approve", number, "--yes")
    assert said == shown + f"{number} is approved\nada runs deployment {number}\n"
    assert "   because:\n│ It needs a role\n" in said
    assert "   changes:\n│ - its role is now: You look after the blog.\n" in said
    assert '\n│ +role = "You look after the blog."\n' in said
    assert role_of(hive, ada) == "You look after the blog."
    assert approvals.get(hive, asked.number).decided_by == OPERATOR
    assert shell.run("pending").stderr == "nothing waits for you\n"
    assert f"* {number}  deploy  deployed" in shell.answer("history", "ada")


@pytest.mark.box
def test_a_new_agent_is_made_when_it_is_approved(hive: Hive, mona: Manager) -> None:
    asked = mona.ask(proposals.request_spawn(hive, AgentName("bob"), by=MONA, reason="help", role="You help."))
    assert f"note: bob is asked for, and waits for you: `hyperhive show {asked.number}`\n" in shell.run("ps").stderr
    said = shell.answer("approve", str(asked.number), "--yes")
    assert f"{asked.number}  bob  new worker  by mona" in said
    assert "│ ! network: open\n" in said
    assert roster.get(hive, "bob").deployed == asked.number
    shown = msgspec.json.decode(shell.answer("show", str(asked.number), "--json"))
    assert (shown["what"], shown["against"], shown["moved"], shown["deployment"]["outcome"]) == (
        "approval",
        None,
        False,
        "deployed",
    )


@pytest.mark.box
def test_a_denial_reaches_the_one_who_asked_and_is_tagged(hive: Hive, ada: AgentName, mona: Manager) -> None:
    asked = mona.propose(ada, AgentConfig(role="x"))
    assert shell.answer("deny", str(asked.number), "--note", "not yet") == f"{asked.number} is denied\n"
    assert f"refs/tags/denied/{asked.number}" in applied.references(hive, ada)
    assert operations.listed(hive) == []
    assert "not yet" in messages.inbox(hive, MONA)[-1].body
    assert "denied by operator" in shell.answer("show", str(asked.number))


def test_what_may_be_done_more_stands_first(hive: Hive, ada: AgentName) -> None:
    config = AgentConfig(role="x", env={"TOKEN": "secret"}, build=("make",), send_to=("operator",))
    lines = shell.answer("show", str(own(hive, ada, config).number)).splitlines()
    heads = [line.strip() for line in lines if line.startswith("   ")]
    assert heads[1:] == ["it may do more:", "changes:", "difference:"]
    assert lines[lines.index("   it may do more:") + 1] == "│ ! runs make while it is built"


def test_what_was_decided_already_says_by_whom_and_when(hive: Hive, ada: AgentName) -> None:
    number = str(own(hive, ada, AgentConfig(role="x")).number)
    shell.answer("deny", number, "--note", "no")
    for words in (["approve", number, "--yes"], ["deny", number], ["approve", number]):
        said = shell.complaint(*words, code=5)[0]
        assert re.fullmatch(rf"approval {number} was already denied by operator at [\d-]+ [\d:]+ UTC: no", said)


def test_a_wrong_number_is_not_found(hive: Hive, ada: AgentName) -> None:
    for words in (["approve", "99", "--yes"], ["deny", "99"], ["show", "99"]):
        assert shell.complaint(*words, code=3) == ("nothing has the number 99", "`hyperhive pending` shows what waits")
    # A number of something that nobody decides about.
    assert shell.complaint("approve", "1", "--yes", code=3)[0] == "there is no approval 1"
    assert shell.complaint("show", "0", code=3)[0] == "nothing has the number 0"
    assert shell.complaint("show", "9" * 19, code=3)[0] == f"nothing has the number {'9' * 19}"


def test_a_question_is_answered_and_not_approved(hive: Hive, ada: AgentName) -> None:
    number = questions.ask(hive, asker=ada, text="Which?").number
    assert shell.complaint("approve", str(number), code=2) == (f"{number} is a question", f'hyperhive answer {number} "…"')
    assert shell.complaint("deny", str(number), code=2)[1] == f"hyperhive cancel-question {number}"
    assert "│ Which?" in shell.answer("show", str(number))
    assert msgspec.json.decode(shell.answer("show", str(number), "--json"))["question"]["text"] == "Which?"


def test_only_the_commit_that_was_named_is_approved(hive: Hive, ada: AgentName) -> None:
    asked = own(hive, ada, AgentConfig(role="x"))
    assert asked.commit is not None
    number = str(asked.number)
    error, hint = shell.complaint("approve", number, "--yes", "--commit", "0" * 40, code=5)
    assert (error, hint) == (f"approval {number} is about the commit {asked.commit}", f"`hyperhive show {number}`")
    for bad in (asked.commit[:6], "main", "-x"):
        assert shell.complaint("approve", number, "--yes", f"--commit={bad}", code=2)[1] == f"hyperhive show {number}"
    assert waiting(hive, asked.number)
    shell.answer("approve", number, "--yes", "--commit", asked.commit[:7])
    assert role_of(hive, ada) == "x"


def test_nothing_is_decided_where_nobody_can_be_asked(hive: Hive, ada: AgentName) -> None:
    for number in (own(hive, ada, AgentConfig(role="x")).number, ask_tool(hive, ada)):
        assert shell.complaint("approve", str(number), code=2) == ("nobody is there to ask", "--yes does it without asking")
        assert waiting(hive, number)


def test_on_a_terminal_it_is_asked_for(hive: Hive, ada: AgentName) -> None:
    number = own(hive, ada, AgentConfig(role="x")).number
    code, seen = shell.terminal("approve", str(number), typed="n\n", env={"PAGER": "cat"})
    assert code == 130
    assert "Deploy this to ada? [y/N]" in seen
    assert f"{number} still waits" in seen
    assert waiting(hive, number)
    code, seen = shell.terminal("approve", str(number), typed="y\n", env={"PAGER": "cat"})
    assert code == 0, seen
    assert role_of(hive, ada) == "x"


def test_a_base_that_has_moved_needs_somebody_who_looks(hive: Hive, ada: AgentName) -> None:
    asked = own(hive, ada, AgentConfig(role="one"))
    with hive.db.write():
        # Another's proposal, which this one does not take the place of.
        ApprovalRow.update(asker="mona").where(ApprovalRow.number == asked.number).execute()
    other = own(hive, ada, AgentConfig(role="two"))
    shell.answer("approve", str(other.number), "--yes")
    shown = reviews.review(hive, asked.number)
    assert (shown.moved, shown.against) == (True, other.commit)
    assert "note: " + (other.commit or "")[:12] in shell.run("show", str(asked.number)).stderr
    assert "│ -role = " + '"two"' in shell.answer("show", str(asked.number))
    ended = shell.run("approve", str(asked.number), "--yes")
    assert ended.exit_code == 5
    assert "is applied now" in ended.stderr
    assert waiting(hive, asked.number)
    code, seen = shell.terminal("approve", str(asked.number), typed="y\n", env={"PAGER": "cat"})
    assert code == 0, seen
    assert role_of(hive, ada) == "one"


def test_each_of_several_is_decided_for_itself(hive: Hive, ada: AgentName) -> None:
    first, second = ask_tool(hive, ada), own(hive, ada, AgentConfig(role="x")).number
    ended = shell.run("approve", str(first), "99", "98", str(second), "--yes")
    assert ended.exit_code == 3
    assert f"{first} is approved\n" in ended.stdout
    assert f"ada runs deployment {second}\n" in ended.stdout
    assert ended.stderr.count("error: ") == 2
    assert shell.complaint("approve", "1", "2", "--commit", "0" * 40, code=2)[1] == "hyperhive show 1"


def test_a_long_difference_comes_in_the_pager_and_only_on_a_terminal(hive: Hive, ada: AgentName, tmp_path: Path) -> None:
    pager = tmp_path / "pager"
    pager.write_text(f'#!/bin/sh\nfor last; do :; done\necho "PAGED $*"; cp "$last" {tmp_path}/paged; stat -c %a "$last"\n')
    pager.chmod(0o755)
    number = str(own(hive, ada, AgentConfig(role="x\n" * 60)).number)
    code, seen = shell.terminal("show", number, env={"PAGER": f"{pager} --mine"})
    assert code == 0, seen
    assert "PAGED --mine /" in seen
    assert "600" in seen.splitlines()
    assert "changes:" in seen
    assert "+x" not in seen
    assert shell.COLOUR.sub("", (tmp_path / "paged").read_text()).count("│ +x\n") == 60
    assert "PAGED" not in shell.process("show", number, env={"PAGER": str(pager)}).stdout
    # One that is not there keeps nobody from reading.
    assert "+x" in shell.terminal("show", number, env={"PAGER": "/nowhere/pager"})[1]


@pytest.mark.box
def test_nothing_that_a_manager_wrote_acts_or_passes_for_ours(hive: Hive, ada: AgentName, mona: Manager) -> None:
    mischief = MISCHIEF.replace("\x00", "")
    config = AgentConfig(role=mischief, build=(f"echo \x1b[2J\n{FAKE}\n{' ' * 57}{FAKE}",))
    asked = mona.propose(ada, config, reason=mischief, message=mischief, author=f"mona\x1b[2J {FAKE}")
    number = str(asked.number)
    for words in (["pending"], ["show", number], ["deny", number, "--note", "x"], ["diff", "ada", number]):
        code, seen = shell.terminal(*words, columns=60, env={"PAGER": "cat"})
        assert code == 0, seen
        plain = shell.COLOUR.sub("", seen)
        assert not ACTS.search(plain)
        assert not passes_for_ours(plain)
        if words[0] == "show":
            assert FAKE in plain
            assert [line for line in plain.split("\n") if "\\u001b[2J" in line] or "␛[2J" in plain
    ended = shell.process("show", number)
    assert not ACTS.search(ended.stdout + ended.stderr)
    assert not passes_for_ours(ended.stdout)
    assert not ACTS.search(shell.answer("show", number, "--json"))


def test_a_line_of_a_difference_is_one_line_whatever_is_in_it(hive: Hive, ada: AgentName) -> None:
    files = {"agent.toml": agent_toml.write(AgentConfig()), "x": b"harmless\r-role = 1\x0b-x\x0c\xc2\x85-y\xe2\x80\xa8-z\n"}
    asked = proposals.by_operator(hive, ada, files, message="x")
    said = shell.answer("show", str(asked.number))
    assert "│ +harmless␍-role = 1␋-x␌\ufffd-y\ufffd-z\n" in said
    assert "   other files:\n│ x\n" in said
    code, seen = shell.terminal("show", str(asked.number), columns=24, env={"PAGER": "cat"})
    assert code == 0
    assert "│ ↳ 1␋-x␌" in shell.COLOUR.sub("", seen)


# ---- tools ----


def test_a_tool_is_shown_with_its_exact_input_and_approved(hive: Hive, ada: AgentName) -> None:
    number = ask_tool(hive, ada, "Bash", {"command": "echo a\rb\n\x1b[2Jc", "timeout": 5})
    said = shell.answer("approve", str(number), "--yes")
    assert "   tool:\n│ Bash\n   input:\n│ command:\n│ echo a␍b\n│ ␛[2Jc\n│ timeout: 5\n" in said
    assert approvals.get(hive, number).state is ApprovalState.APPROVED
    number = ask_tool(hive, ada)
    shell.answer("deny", str(number), "--note", "no")
    assert approvals.get(hive, number).note == "no"


def test_always_also_proposes_that_it_need_not_be_asked_about(hive: Hive, ada: AgentName) -> None:
    first, second = ask_tool(hive, ada), ask_tool(hive, ada, "Task", {"prompt": "x"})
    said = shell.answer("approve", str(first), "--yes", "--always")
    (asked,) = approvals.listed(hive, asker=OPERATOR)
    assert f"proposal {asked.number} waits, so that ada need not ask any more: `hyperhive approve {asked.number}`\n" in said
    assert "│ ! uses Bash(touch x) without asking" in shell.answer("show", str(asked.number))
    # What waits already is not lost by the next one.
    shell.answer("approve", str(second), "--yes", "--always")
    (asked,) = approvals.listed(hive, asker=OPERATOR)
    shell.answer("approve", str(asked.number), "--yes")
    allowed = builds.config_of(hive, ada, asked.number)[0].tools.allow
    assert {"Bash(touch x)", "Task"} <= set(allowed)
    again = ask_tool(hive, ada)
    assert "ada need not ask for this already\n" in shell.answer("approve", str(again), "--yes", "--always")


@pytest.mark.parametrize("command", ["ls *", "echo $(date)", "a\nb", "x" * 300, " ls", 5])
def test_a_command_that_no_rule_says_exactly_is_not_widened(command: object, hive: Hive, ada: AgentName) -> None:
    number = ask_tool(hive, ada, "Bash", {"command": command})
    error, hint = shell.complaint("approve", str(number), "--yes", "--always", code=2)
    assert error.startswith("that command cannot be a rule")
    assert hint.startswith(f"`hyperhive approve {number}` allows it this once")
    assert waiting(hive, number)


def test_what_is_no_tool_has_no_always_and_a_tool_no_commit(hive: Hive, ada: AgentName) -> None:
    config, tool = own(hive, ada, AgentConfig(role="x")).number, ask_tool(hive, ada)
    assert shell.complaint("approve", str(config), "--yes", "--always", code=2)[1] == f"hyperhive approve {config}"
    assert shell.complaint("approve", str(tool), "--yes", "--commit", "0" * 40, code=2)[1] == f"hyperhive approve {tool}"
    assert waiting(hive, tool)
    with pytest.raises(Invalid):
        tool_rules.rule_for(approvals.get(hive, ask_tool(hive, ada, "bash tool", {})))


# ---- builds ----


@pytest.mark.box
def test_a_build_that_fails_is_seen_and_changes_nothing(hive: Hive, ada: AgentName) -> None:
    before = roster.get(hive, ada).deployed
    number = own(hive, ada, AgentConfig(role="x", build=("echo one; echo two >&2; exit 3",))).number
    ended = shell.run("approve", str(number), "--yes")
    assert ended.exit_code == 8
    assert ended.stdout.endswith(f"{number} is approved\n│ $ echo one; echo two >&2; exit 3\n│ one\n│ two\n")
    assert ended.stderr.splitlines() == [
        f"note: nothing of ada was changed; `hyperhive deploy {number}` tries it again",
        "error: the build failed: a command ended with code 3",
        "hint: mend it, and propose it again",
    ]
    assert roster.get(hive, ada).deployed == before
    assert "end of its log\n│ $ echo one; echo two >&2; exit 3\n│ one\n│ two\n" in shell.answer("show", str(number))
    assert completions("deploy") == [(str(number), "ada: the build failed: a command ended with code 3")]
    assert shell.run("deploy", str(number)).exit_code == 8


@pytest.mark.box
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_build_that_is_interrupted_has_failed_and_changed_nothing(how: signal.Signals, hive: Hive, ada: AgentName) -> None:
    before = roster.get(hive, ada).deployed
    number = own(hive, ada, AgentConfig(build=("echo begun; sleep 1000",))).number
    with shell.running("approve", str(number), "--yes") as child:
        while "│ begun" not in shell.stdout_of(child).readline():
            assert child.poll() is None
        child.send_signal(how)
        _, stderr = child.communicate(timeout=60)
    assert child.returncode == 130
    assert stderr.strip() == f"interrupted: nothing of ada was changed; `hyperhive deploy {number}` tries it again"
    ended = deployments.get(hive, number)
    assert (ended.outcome, ended.error) == (DeploymentOutcome.FAILED, f"it was ended by {how.name}")
    assert roster.get(hive, ada).deployed == before
    assert f"refs/tags/failed/{number}" in applied.references(hive, ada)
    assert subprocess.run(["pgrep", "-f", str(hive.paths.build(ada, number))], check=False, capture_output=True).stdout == b""


def test_while_something_else_is_done_it_waits_and_says_so(hive: Hive, ada: AgentName) -> None:
    number = own(hive, ada, AgentConfig(role="x")).number
    with Lock(hive.paths.harness_lock(ada)) as harness:
        assert harness.take()
        with shell.running("stop", "ada") as stopping:
            while "stopping…" not in shell.answer("ps"):
                assert stopping.poll() is None
            with shell.running("approve", str(number), "--yes") as child:
                while "│ … ada is stopping since" not in (line := shell.stdout_of(child).readline()):
                    assert line
                harness.release()
                out, _ = child.communicate(timeout=60)
            assert stopping.wait(60) == 0
    assert out == f"ada runs deployment {number}\n"


def test_a_rollback_over_something_else_than_was_shown_is_refused(hive: Hive, ada: AgentName) -> None:
    shell.answer("approve", str(own(hive, ada, AgentConfig(role="x")).number), "--yes")
    with pytest.raises(Conflict, match="is applied now, no longer 000000000000"):
        deploying.roll_back(hive, ada, over="0" * 40, by=OPERATOR)


def test_what_is_left_to_the_hive_waits_for_it(hive: Hive, ada: AgentName) -> None:
    number = own(hive, ada, AgentConfig(role="x")).number
    ended = shell.run("approve", str(number), "--yes", "--detach")
    assert ended.stdout.endswith(f"{number} is approved\ndeployment {number} of ada is left to the hive\n")
    assert ended.stderr == "note: the hive is not up; it waits for `hyperhive up`, 10 minutes at most\n"
    (one,) = operations.listed(hive)
    assert (one.verb, one.state, one.argument) == (Verb.DEPLOY, OperationState.PENDING, str(number))
    assert (hive.paths.wake / "hive").exists()
    assert shell.answer("operations").splitlines()[1].split()[:5] == [str(one.number), "deploy", str(number), "ada", "pending"]
    assert f"operation  {one.number}: deploy {number} of ada\n" in shell.answer("show", str(one.number))
    assert shell.process("operate", str(one.number)).returncode == 0
    assert role_of(hive, ada) == "x"
    assert shell.complaint("operate", str(one.number), code=5)[0] == f"operation {one.number} is done already"


@pytest.mark.box
def test_what_another_process_carries_out_is_watched_to_its_end(hive: Hive, ada: AgentName) -> None:
    number = own(hive, ada, AgentConfig(build=("echo begun; until test -e go; do sleep 0.05; done; echo done",))).number
    done = approvals.approve(hive, number, by=OPERATOR)
    assert done.operation is not None
    said: list[str] = []

    def hear(line: str) -> None:
        said.append(line)
        if line == "begun":
            (hive.paths.build(ada, number) / "out/go").touch()

    with shell.running("operate", str(done.operation)) as child:
        while operations.get(hive, done.operation).state is OperationState.PENDING:
            assert child.poll() is None
        assert operate.see_through(hive, done.operation, say=hear).state is OperationState.DONE
        assert child.wait(60) == 0
    assert said[1:] == ["begun", "done"]


@pytest.mark.box
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_what_another_process_did_not_bring_to_an_end_is_told(how: signal.Signals, hive: Hive, ada: AgentName) -> None:
    number = own(hive, ada, AgentConfig(build=("echo begun; sleep 1000",))).number
    done = approvals.approve(hive, number, by=OPERATOR)
    assert done.operation is not None
    with shell.running("operate", str(done.operation)) as child:
        while operations.get(hive, done.operation).state is OperationState.PENDING:
            assert child.poll() is None

        def hear(line: str) -> None:
            if line == "begun":
                child.send_signal(how)

        with pytest.raises(operate.NotDone, match="it was ended by SIGTERM" if how is signal.SIGTERM else "its process died"):
            operate.see_through(hive, done.operation, say=hear)
