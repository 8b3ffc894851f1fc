"""Configurations in the shell: shown, edited, compared, gone back to, renewed."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from hyperhive.core import agent_toml, agents, approvals, bases, builds, deployments, operations, proposals, roster, spawning
from hyperhive.core.agent_config import AgentConfig, McpServer
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, AgentName, OperationState, Verb, parse_name
from hyperhive.core.tables import AgentRow, DeploymentRow
from tests.cli import shell
from tests.cli.test_questions import completions

HISTORY = {
    "number", "agent", "occasion", "approval", "commit", "onto", "base", "approved_by", "outcome", "error",
    "started_at", "ended_at", "applied",
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_editor(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VISUAL", "EDITOR", "PAGER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is written here is done to the file, by a shell."""
    file = tmp_path / "an editor"
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)
    monkeypatch.setenv("VISUAL", f"'{file}'")
    monkeypatch.setenv("EDITOR", "false")
    return file


@pytest.fixture
def outside() -> Iterator[Path]:
    """A folder that has nothing to do with the hive, and that every user can walk into."""
    folder = Path(tempfile.mkdtemp(prefix="hh-out-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def edits(editor: Path, script: str) -> None:
    editor.write_text(f"#!/bin/sh\n{script}\n")


def deployed(hive: Hive, name: AgentName) -> AgentConfig:
    return builds.config_of(hive, name, roster.get(hive, name).deployed)[0]


def give(hive: Hive, name: AgentName, config: AgentConfig) -> int:
    """Deploy a configuration."""
    number = proposals.by_operator(hive, name, {"agent.toml": agent_toml.write(config)}, message=f"Say {config.role}").number
    shell.answer("approve", str(number), "--yes")
    return number


# ---- config ----


def test_the_configuration_is_shown_as_it_is_written(hive: Hive, ada: AgentName) -> None:
    config = AgentConfig(role="Grüße\x1b[2J\tx")
    give(hive, ada, config)
    assert shell.process("config", "ada").stdout == agent_toml.write(config).decode()
    code, seen = shell.terminal("config", "ada")
    assert code == 0
    assert "\x1b[2J" not in shell.COLOUR.sub("", seen)
    assert "│ role = " in shell.COLOUR.sub("", seen)
    found = msgspec.json.decode(shell.answer("config", "ada", "--json"))
    assert found.keys() == {"name", "number", "commit", "text", "config"}
    assert (found["text"].encode(), found["config"]["role"]) == (agent_toml.write(config), config.role)


def test_what_was_edited_is_shown_and_deployed(hive: Hive, ada: AgentName, editor: Path) -> None:
    edits(editor, """sed -i 's/^# role = .*/role = "cook"/' "$1"; stat -c %a "$1"; stat -c %a "$(dirname "$1")" """)
    said = shell.process("config", "ada", "--edit", "--yes")
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("600\n700\n")
    assert "│ - its role is now: cook\n" in said.stdout
    assert deployed(hive, ada).role == "cook"
    (mine,) = approvals.listed(hive, everything=True)
    assert (mine.asker, mine.decided_by) == (OPERATOR, OPERATOR)


def test_what_was_not_changed_is_no_proposal(hive: Hive, ada: AgentName, editor: Path) -> None:
    assert shell.answer("config", "ada", "--edit", "--yes") == "nothing was changed\n"
    assert approvals.listed(hive, everything=True) == []


def test_what_is_no_configuration_is_kept_and_refused(hive: Hive, ada: AgentName, editor: Path) -> None:
    edits(editor, """echo 'rôle = "x"' > "$1" """)
    ended = shell.process("config", "ada", "--edit", "--yes")
    assert ended.returncode == 2
    kept, error, hint = ended.stderr.splitlines()
    assert Path(kept.removeprefix("note: what you wrote is kept in ")).read_text() == 'rôle = "x"\n'
    assert error.startswith("error: agent.toml")
    assert hint.startswith("hint: ")
    assert approvals.listed(hive, everything=True) == []


def test_on_a_terminal_what_is_wrong_can_be_mended(hive: Hive, ada: AgentName, editor: Path, tmp_path: Path) -> None:
    edits(
        editor, f"""if test -e {tmp_path}/once; then echo 'role = "cook"' > "$1"; else touch {tmp_path}/once; echo x > "$1"; fi"""
    )
    code, seen = shell.terminal("config", "ada", "--edit", typed="y\ny\n", env={"PAGER": "cat"})
    assert code == 0, seen
    assert "Edit it again? [y/N]" in seen
    assert "Deploy this to ada? [y/N]" in seen
    assert deployed(hive, ada).role == "cook"


def test_what_is_given_up_is_kept(hive: Hive, ada: AgentName, editor: Path) -> None:
    edits(editor, """echo x > "$1" """)
    code, seen = shell.terminal("config", "ada", "--edit", typed="n\n", columns=200)
    assert code == 130
    assert Path(seen.rpartition("kept in ")[2].strip()).read_text() == "x\n"


def test_what_nobody_agrees_to_waits(hive: Hive, ada: AgentName, editor: Path) -> None:
    edits(editor, """echo 'role = "cook"' > "$1" """)
    code, seen = shell.terminal("config", "ada", "--edit", typed="n\n", env={"PAGER": "cat"})
    assert code == 130
    assert "still waits" in seen
    assert [one.asker for one in approvals.listed(hive)] == [OPERATOR]
    assert deployed(hive, ada).role == ""


def test_where_nobody_can_be_asked_nothing_is_edited(hive: Hive, ada: AgentName, editor: Path, tmp_path: Path) -> None:
    edits(editor, f"touch {tmp_path}/edited")
    assert shell.complaint("config", "ada", "--edit", code=2) == ("nobody is there to ask", "--yes does it without asking")
    assert not (tmp_path / "edited").exists()


def test_without_an_editor_it_says_how_to_name_one(ada: AgentName, monkeypatch: pytest.MonkeyPatch) -> None:
    said = ("neither VISUAL nor EDITOR says which editor to use", "EDITOR=nano hyperhive config ada --edit")
    assert shell.complaint("config", "ada", "--edit", "--yes", code=2) == said
    monkeypatch.setenv("EDITOR", "false")
    ended = shell.process("config", "ada", "--edit", "--yes")
    assert ended.returncode == 7
    assert "error: the editor false ended with code 1\n" in ended.stderr
    monkeypatch.setenv("EDITOR", "/nowhere/editor")
    assert shell.process("config", "ada", "--edit", "--yes").returncode == 7
    assert shell.complaint("config", "ada", "--yes", code=2)[0] == "there is nothing to ask about"


def test_what_changed_while_it_was_edited_is_not_undone(hive: Hive, ada: AgentName, editor: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("""#!/bin/sh\necho 'role = "other"' > "$1"\n""")
    other.chmod(0o755)
    command = " ".join([*shell.HYPERHIVE, "config", "ada", "--edit", "--yes"])
    edits(editor, f"""VISUAL={other} {command} >/dev/null 2>&1; echo 'role = "cook"' > "$1" """)
    ended = shell.process("config", "ada", "--edit", "--yes")
    assert ended.returncode == 5, ended.stderr
    assert "is applied now, no longer" in ended.stderr
    assert "what you wrote is kept in" in ended.stderr
    assert deployed(hive, ada).role == "other"


# ---- history, differences, going back ----


def test_the_history_marks_what_is_applied(hive: Hive, ada: AgentName) -> None:
    first = roster.get(hive, ada).deployed
    second = give(hive, ada, AgentConfig(role="a"))
    found = msgspec.json.decode(shell.answer("history", "ada", "--json"))
    assert all(one.keys() == HISTORY for one in found)
    assert [(one["number"], one["applied"], one["outcome"]) for one in found] == [
        (first, False, "deployed"),
        (second, True, "deployed"),
    ]
    assert found[1]["approval"] == second
    lines = shell.answer("history", "ada").splitlines()
    assert lines[1].split()[:3] == [str(first), "spawn", "deployed"]
    assert lines[2].split()[:4] == ["*", str(second), "deploy", "deployed"]
    shown = shell.answer("show", str(second))
    assert "outcome     deployed, applied now\n" in shown
    shown = msgspec.json.decode(shell.answer("show", str(first), "--json"))
    assert (shown["what"], shown["deployment"]["number"]) == ("deployment", first)
    assert msgspec.json.decode(shell.answer("show", "ada", "--json"))["deployment"]["number"] == second


def test_configurations_are_compared(hive: Hive, ada: AgentName) -> None:
    assert shell.complaint("diff", "ada", code=5)[0] == "ada has no earlier deployment"
    first = roster.get(hive, ada).deployed
    second, third = give(hive, ada, AgentConfig(role="a")), give(hive, ada, AgentConfig(role="b"))
    waits = proposals.by_operator(hive, ada, {"agent.toml": agent_toml.write(AgentConfig(role="c"))}, message="x").number
    for words, before, after in (
        ([], second, third),
        ([first], first, third),
        ([waits], third, waits),
        ([first, second], first, second),
        ([waits, first], waits, first),
    ):
        found = msgspec.json.decode(shell.answer("diff", "ada", *map(str, words), "--json"))
        assert found.keys() == {"from", "to", "before", "after", "changes", "files", "diff"}
        assert (found["from"], found["to"]) == (before, after)
        ended = shell.run("diff", "ada", *map(str, words))
        assert ended.stderr == f"from {before} to {after}\n"
    assert '│ -role = "a"\n│ +role = "b"\n' in shell.answer("diff", "ada")
    assert shell.run("diff", "ada", str(third)).stderr == f"from {third} to {third}: nothing differs\n"
    assert shell.complaint("diff", "ada", "999", code=3)[0] == "ada has no deployment and no proposal 999"
    spawning.spawn(hive, parse_name("bob"), by=OPERATOR)
    assert shell.complaint("diff", "bob", str(third), code=3)[0] == f"bob has no deployment and no proposal {third}"
    assert [value for value, _ in completions("diff", "ada")] == [str(one) for one in (first, second, third, waits)]


def test_one_command_goes_back(hive: Hive, ada: AgentName) -> None:
    first = roster.get(hive, ada).deployed
    second = give(hive, ada, AgentConfig(role="a"))
    give(hive, ada, AgentConfig(role="b"))
    assert shell.complaint("rollback", "ada", code=2)[0] == "nobody is there to ask"
    assert deployed(hive, ada).role == "b"
    said = shell.answer("rollback", "ada", "--yes")
    assert "│ - its role is now: a\n" in said
    assert deployed(hive, ada).role == "a"
    code, seen = shell.terminal("rollback", "ada", str(first), typed="y\n", env={"PAGER": "cat"})
    assert code == 0, seen
    assert f"Give ada the files of deployment {first}? [y/N]" in seen
    assert deployed(hive, ada).role == ""
    assert shell.complaint("rollback", "ada", str(first), "--yes", code=5)[0].endswith("already")
    assert shell.complaint("rollback", "ada", "999", "--yes", code=3)[0] == "ada never ran on a deployment 999"
    assert [one.occasion.value for one in deployments.history(hive, ada)] == ["spawn", "deploy", "deploy", "rollback", "rollback"]
    assert (str(second), "deploy, deployed") in completions("rollback", "ada")
    assert shell.terminal("rollback", "ada", typed="n\n", env={"PAGER": "cat"})[0] == 130


def test_a_rollback_can_be_left_to_the_hive(hive: Hive, ada: AgentName) -> None:
    give(hive, ada, AgentConfig(role="a"))
    said = shell.answer("rollback", "ada", "--yes", "--detach")
    assert said.endswith(" of ada is left to the hive\n")
    assert [one.verb for one in operations.listed(hive)] == [Verb.DEPLOY]


def test_the_log_tells_of_the_whole_hive(hive: Hive, ada: AgentName) -> None:
    spawning.spawn(hive, parse_name("bob"), by=OPERATOR)
    number = give(hive, ada, AgentConfig(role="a"))
    agents.destroy(hive, parse_name("bob"), by=OPERATOR)
    found = msgspec.json.decode(shell.answer("log", "--json"))
    assert [(one["what"], one["agent"]) for one in found] == [
        ("destroy", "bob"),
        ("deploy", "ada"),
        ("spawn", "bob"),
        ("spawn", "ada"),
    ]
    assert found[1].keys() == {"id", "number", "agent", "what", "deployment", "commit", "by", "at", "base", "subject"}
    assert (found[1]["deployment"], found[1]["subject"]) == (number, "Say a")
    assert [line.split()[1] for line in shell.answer("log", "ada").splitlines()[1:]] == ["deploy", "spawn"]
    assert len(shell.answer("log", "-n", "1").splitlines()) == 2
    assert "Say a" in shell.answer("log")


def test_what_did_not_fail_is_not_tried_again(hive: Hive, ada: AgentName) -> None:
    number = roster.get(hive, ada).deployed
    error, hint = shell.complaint("deploy", str(number), code=5)
    assert (error, hint) == (f"deployment {number} did not fail", f"`hyperhive rollback ada {number}` goes back to it")
    assert shell.complaint("deploy", "999", code=3)[0] == "there is no deployment 999"


@pytest.mark.box
def test_what_failed_is_tried_again_as_a_deployment_of_its_own(hive: Hive, ada: AgentName, outside: Path) -> None:
    # The first time it fails, for what it mounts is not there.
    source = outside / "mounted"
    mounted = f'role = "x"\n[[mounts]]\nsource = "{source}"\ntarget = "/workspace/x"\n'.encode()
    number = proposals.by_operator(hive, ada, {"agent.toml": mounted}, message="Mount it").number
    ended = shell.run("approve", str(number), "--yes")
    assert ended.exit_code != 0
    assert f"`hyperhive deploy {number}` tries it again" in ended.stderr
    source.mkdir()
    said = shell.answer("deploy", str(number))
    again = roster.get(hive, ada).deployed
    assert said == f"ada runs deployment {again}\n"
    assert again != number
    assert deployed(hive, ada).role == "x"
    assert shell.complaint("approve", str(number), "--yes", code=5)[0].startswith(f"approval {number} was already approved")


# ---- what an agent stands on ----


@pytest.fixture
def outdated(hive: Hive, ada: AgentName) -> AgentName:
    """An agent that was built on something older."""
    give(hive, ada, AgentConfig(role="a"))
    older = f"hyperhive 0.0.1, {roster.get(hive, ada).runtime}, claude old"
    with hive.db.write():
        AgentRow.update(base=older).where(AgentRow.name == ada).execute()
        DeploymentRow.update(base=older).where(DeploymentRow.number == roster.get(hive, ada).deployed).execute()
    return ada


def test_what_is_out_of_date_is_noted_and_renewed(hive: Hive, outdated: AgentName) -> None:
    assert "  not up to date: `hyperhive update ada`\n" in shell.answer("ps")
    assert msgspec.json.decode(shell.answer("ps", "--json"))[0]["up_to_date"] is False
    assert "up to date    no: hyperhive 0.0.1, now hyperhive " in shell.answer("show", "ada")
    assert shell.answer("update", "ada") == f"ada runs deployment {roster.get(hive, outdated).deployed}\n"
    assert deployed(hive, outdated).role == "a"
    assert "not up to date" not in shell.answer("ps")
    assert deployments.history(hive, outdated)[-1].base == bases.base_of(hive, roster.get(hive, outdated).runtime)


def test_an_update_of_what_is_up_to_date_starts_nothing(hive: Hive, ada: AgentName, outdated: AgentName) -> None:
    bob = parse_name("bob")
    spawning.spawn(hive, bob, by=OPERATOR)
    count = len(operations.listed(hive, everything=True))
    assert shell.answer("update", "bob") == shell.answer("update", "bob", "--detach") == "bob is up to date\n"
    assert len(operations.listed(hive, everything=True)) == count
    said = shell.answer("update", "--all").splitlines()
    assert said == [f"ada runs deployment {roster.get(hive, ada).deployed}", "bob is up to date"]
    assert shell.complaint("update", code=2)[1] == "hyperhive update --all"
    assert shell.complaint("update", "ada", "--all", code=2)[1] == "hyperhive update --all"
    agents.destroy(hive, bob, by=OPERATOR)
    for more in ([], ["--detach"]):
        assert shell.complaint("update", "bob", *more, code=3)[0] == "bob was destroyed"


def test_an_update_can_be_left_to_the_hive(hive: Hive, outdated: AgentName) -> None:
    assert shell.answer("update", "ada", "--detach") == "the update of ada is left to the hive\n"
    (one,) = operations.listed(hive)
    assert (one.verb, one.state, one.asked_by) == (Verb.UPDATE, OperationState.PENDING, OPERATOR)
    found = msgspec.json.decode(shell.answer("operations", "--json"))
    assert found[0].keys() == {
        "number",
        "agent",
        "verb",
        "argument",
        "asked_by",
        "state",
        "error",
        "result",
        "asked_at",
        "started_at",
        "ended_at",
    }


def test_operations_that_are_over_are_shown_when_asked(hive: Hive, ada: AgentName) -> None:
    assert shell.run("operations").stderr == "nothing is being done, and nothing waits\n"
    assert shell.answer("operations", "--all").splitlines()[1].split()[:4] == ["1", "start", "ada", "done"]


# ---- agents ----


def test_what_is_kept_of_a_destroyed_agent_is_measured(hive: Hive, ada: AgentName) -> None:
    (hive.paths.agent_workspace(ada) / "big").write_bytes(b"x" * 3_000_000)
    agents.destroy(hive, ada, by=OPERATOR)
    lines = shell.answer("ps", "--all").splitlines()
    assert lines[2].startswith("  kept: 2.9 MiB, changed ")
    (gone,) = msgspec.json.decode(shell.answer("ps", "--all", "--json"))
    assert gone["kept"]["bytes"] > 3_000_000
    assert gone["kept"]["complete"] is True


def test_show_says_what_an_agent_runs_on_and_its_servers(hive: Hive) -> None:
    server = McpServer(command="/opt/agent/bin/x", args=("a b",), allowed_tools=("say",))
    spawning.spawn(hive, parse_name("ada"), config=AgentConfig(mcp_servers={"matrix": server}), by=OPERATOR)
    number = roster.get(hive, "ada").deployed
    assert number is not None
    said = shell.answer("show", "ada")
    assert f"deployed      {number}, commit {(deployments.get(hive, number).commit or '')[:12]}\n" in said
    assert "MCP servers\n│ matrix: /opt/agent/bin/x 'a b' (say)\n" in said
    assert "up to date    yes: hyperhive " in said
    assert shell.complaint("show", str(number), "--values", code=2)[1] == f"hyperhive show {number}"
