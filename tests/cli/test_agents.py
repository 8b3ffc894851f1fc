"""Making, showing, starting, stopping and taking away agents."""

from datetime import timedelta
from itertools import takewhile
from pathlib import Path

import pytest

from hyperhive.core import agents, approvals, builds, process, roster, spawning, turns
from hyperhive.core.agent_config import AgentConfig, AgentLimits
from hyperhive.core.errors import NotFound
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock
from hyperhive.core.model import Activity, AgentName, Blocked, Network, Outcome, Wanted, parse_name
from hyperhive.core.tables import AgentRow
from tests.cli import history, shell
from tests.support.terminal import Screen


def test_spawn_gives_an_agent_what_was_asked_for(hive: Hive, home: Path) -> None:
    role = home / "role"
    role.write_text("You look after the blog.")
    shell.answer(
        "spawn", "ada", "--manager", "--role-file", str(role), "--model", "opus", "--network", "none", "--env", "TZ=UTC",
        "--env", "A=b=c", "--mount", "/usr/share:/workspace/blog", "--runtime", "bubblewrap", "--no-start",
    )  # fmt: skip
    ada = roster.get(hive, "ada")
    config, _ = builds.config_of(hive, parse_name("ada"), ada.deployed)
    assert (ada.flavor, ada.model, ada.wanted, ada.runtime) == ("manager", "opus", Wanted.STOPPED, "bubblewrap")
    assert config.role == "You look after the blog."
    assert config.network is Network.NONE
    assert config.env == {"TZ": "UTC", "A": "b=c"}
    assert [(one.target, one.mode) for one in config.mounts] == [("/workspace/blog", "ro")]


def test_spawn_says_what_is_missing_before_the_agent_can_work(hive: Hive) -> None:
    ended = shell.run("spawn", "ada")
    assert ended.stdout == "ada is there\n"
    assert "`hyperhive up`" in ended.stderr
    assert "`hyperhive login ada`" in ended.stderr


def test_an_agent_of_a_kept_name_takes_over_its_configuration(hive: Hive) -> None:
    shell.answer("spawn", "ada", "--role", "gardener")
    shell.answer("destroy", "ada", "--yes")
    assert shell.answer("spawn", "ada") == "ada is there, with what was kept of it\n"
    assert "│ gardener" in shell.answer("show", "ada")


def test_an_agent_that_exists_is_not_made_again(ada: AgentName) -> None:
    assert shell.complaint("spawn", "ada", code=5)[0] == "ada exists already"


def test_ps_says_the_state_of_each(hive: Hive, ada: AgentName) -> None:
    for name in ("bob", "eve", "kim", "max", "sue", "tom"):
        spawning.spawn(hive, parse_name(name), by="operator")
    agents.stop(hive, parse_name("bob"), by="operator")
    agents.destroy(hive, parse_name("tom"), by="operator")
    for name, outcome in (("eve", Outcome.LOGIN), ("max", Outcome.OVERLOADED)):
        history.ask(hive, parse_name(name))
        history.turn(hive, parse_name(name), outcome, error=f"the reason of {name}")
    with hive.db.write():
        AgentRow.update(keeps_events=False, base="hyperhive 0", runtime="nspawn").where(AgentRow.name == "sue").execute()
        AgentRow.update(
            blocked=Blocked.CRASHED, blocked_since=hive.now() - timedelta(minutes=5), blocked_reason="it crashed"
        ).where(AgentRow.name == "kim").execute()
    history.ask(hive, ada)
    lines = shell.answer("ps", "--all").splitlines()
    rows = {line.split()[0]: line for line in lines if not line.startswith(" ")}
    assert rows["NAME"].split() == ["NAME", "STATE", "MODEL", "MAIL", "LAST", "TURN"]
    assert "idle" in rows["ada"]
    assert "1 waiting" in rows["ada"]
    assert "stopped" in rows["bob"]
    assert "blocked: login 0s" in rows["eve"]
    assert "limited 0s until " in rows["max"]
    assert "blocked: crashed 5m" in rows["kim"]
    assert "overloaded 0s ago" in rows["max"]
    assert "destroyed" in rows["tom"]
    notes = {
        name: list(takewhile(lambda line: line.startswith(" "), lines[lines.index(row) + 1 :])) for name, row in rows.items()
    }
    assert notes["ada"] == ["  not logged in: `hyperhive login ada`"]
    assert notes["bob"] == ["  not logged in: `hyperhive login bob`"]
    assert notes["eve"] == ["  not logged in: `hyperhive login eve`", "  the reason of eve"]
    assert "  crashed too often: `hyperhive logs kim`, then `hyperhive start kim`" in notes["kim"]
    assert "  it crashed" in notes["kim"]
    assert "  not up to date: `hyperhive update sue`" in notes["sue"]
    assert "  nothing is kept: its events cannot be stored" in notes["sue"]
    assert "  its container does not run: `hyperhive start sue`" in notes["sue"]
    assert not [line for line in notes["tom"] if "log" in line]
    assert "tom" not in shell.answer("ps")


def test_ps_says_what_is_under_way(hive: Hive, ada: AgentName) -> None:
    with Lock(hive.paths.harness_lock(ada)) as harness:
        assert harness.take()
        with shell.running("stop", "ada") as stopping:
            while "stopping…" not in shell.answer("ps"):
                assert stopping.poll() is None
            harness.release()
            assert stopping.communicate(timeout=60) == ("ada is stopped\n", "")
    assert "stopped" in shell.answer("ps")


def test_ps_and_show_say_that_a_turn_waits_for_the_operator(hive: Hive, ada: AgentName) -> None:
    history.ask(hive, ada)
    epoch = turns.begin_epoch(hive, ada)
    begun = turns.begin(hive, ada, epoch=epoch, model=None, conversation="c")
    assert begun is not None
    deadline = hive.now() + timedelta(seconds=600)
    number = approvals.ask_tool(
        hive, ada, epoch=epoch, turn=begun.number, request="r", tool="Bash", given='{"command":"ls"}', deadline=deadline
    )
    turns.set_activity(hive, ada, epoch=epoch, activity=Activity.WAITING)
    with Lock(hive.paths.harness_lock(ada)) as harness:
        assert harness.take()
        for words, told in (["ps"], f"waits for you: `hyperhive show {number}`"), (["show", "ada"], f"{number} tool Bash: ls"):
            said = shell.answer(*words)
            assert "waiting" in said
            assert told in said
        approvals.deny(hive, number, by="operator")
        assert "waits for you" not in shell.answer("ps")


def test_ps_says_that_the_hive_is_not_up_and_only_then(hive: Hive, ada: AgentName) -> None:
    assert "the hive is not up" in shell.run("ps").stderr
    with Lock(hive.paths.lock("hub")) as hub:
        assert hub.take()
        assert shell.run("ps").stderr == ""


def test_a_hive_without_agents_says_what_to_do(hive: Hive) -> None:
    ended = shell.run("ps")
    assert ended.stdout == ""
    assert "hyperhive spawn NAME" in ended.stderr


def test_a_stop_that_takes_too_long_says_so(hive: Hive, ada: AgentName) -> None:
    with Lock(hive.paths.harness_lock(ada)) as harness:
        assert harness.take()
        assert shell.complaint("stop", "ada", "--timeout", "0", code=6) == (
            "ada stops when its turn ends",
            "`hyperhive stop --now ada` interrupts it",
        )


def test_one_that_fails_does_not_keep_the_others(hive: Hive, ada: AgentName) -> None:
    spawning.spawn(hive, parse_name("bob"), by="operator")
    ended = shell.run("stop", "ada", "nobody", "bob")
    assert ended.exit_code == 3
    assert ended.stdout == "ada is stopped\nbob is stopped\n"
    assert ended.stderr.startswith("error: there is no agent nobody\n")


def test_start_restart_and_kill_say_what_happened(hive: Hive, ada: AgentName) -> None:
    for word, done, wanted in (
        ("kill", "killed", Wanted.STOPPED),
        ("start", "started", Wanted.STARTED),
        ("restart", "restarted", Wanted.STARTED),
    ):
        assert shell.answer(word, "ada") == f"ada is {done}\n"
        assert roster.get(hive, ada).wanted is wanted


@pytest.mark.parametrize("words", [["destroy", "ada"], ["destroy", "--purge", "ada"], ["purge", "ada"]], ids=" ".join)
def test_nothing_is_taken_away_where_nobody_can_be_asked(words: list[str], hive: Hive, ada: AgentName) -> None:
    assert shell.complaint(*words, code=2) == ("nobody is there to ask", "--yes does it without asking")
    assert roster.get(hive, ada).wanted is Wanted.STARTED


def test_destroy_asks_on_a_terminal(hive: Hive, ada: AgentName) -> None:
    code, seen = shell.terminal("destroy", "ada", typed="n\n")
    assert code == 130
    assert "Destroy ada? [y/N]" in seen
    assert roster.get(hive, ada).wanted is Wanted.STARTED
    code, _ = shell.terminal("destroy", "ada", typed="y\n")
    assert code == 0
    assert roster.get(hive, ada).wanted is Wanted.DESTROYED


def test_purge_wants_the_name_typed(hive: Hive, ada: AgentName) -> None:
    agents.destroy(hive, ada, by="operator")
    code, seen = shell.terminal("purge", "ada", typed="y\n")
    assert code == 2
    assert "There is no way back." in seen
    assert roster.get(hive, ada).wanted is Wanted.DESTROYED
    code, _ = shell.terminal("purge", "ada", typed="ada\n")
    assert code == 0
    with pytest.raises(NotFound):
        roster.get(hive, ada)
    assert not hive.paths.agent(ada).exists()


def test_destroy_with_purge_leaves_nothing(hive: Hive, ada: AgentName) -> None:
    assert shell.answer("destroy", "--purge", "--yes", "ada") == "ada is purged\n"
    assert not hive.paths.agent(ada).exists()


def test_an_agent_that_lives_is_not_purged(ada: AgentName) -> None:
    assert shell.complaint("purge", "ada", "--yes", code=5)[0] == "ada lives"


def test_a_model_is_chosen_shown_and_unset(ada: AgentName) -> None:
    assert shell.answer("model", "ada") == "the login's default\n"
    assert shell.answer("model", "ada", "haiku") == "haiku\n"
    assert shell.answer("model", "ada") == "haiku\n"
    assert shell.answer("model", "ada", "--unset") == "the login's default\n"
    shell.complaint("model", "ada", "opus", "--unset", code=2)


def test_a_token_is_read_from_standard_input_and_shown_nowhere(hive: Hive, ada: AgentName) -> None:
    token = "sk-ant-oat01-canary-0123456789"
    ended = shell.run("login", "ada", "--token", given=f"{token}\n")
    assert ended.exit_code == 0
    assert ended.stdout == "ada is logged in\n"
    assert roster.get(hive, ada).logged_in
    everything = ended.output + "".join(shell.answer(*words, "--json") for words in (["ps"], ["show", "ada"], ["messages"]))
    assert token not in everything


@pytest.mark.parametrize(
    "given", [b"", b"short", b"two words of it", b"\xff\xfe" * 8, b"x" * 100_000], ids=["none", "short", "words", "bytes", "long"]
)
def test_what_is_no_token_is_refused(given: bytes, hive: Hive, ada: AgentName) -> None:
    assert shell.complaint("login", "ada", "--token", given=given, code=2)[0] == "that is not a token"
    assert not roster.get(hive, ada).logged_in


@pytest.mark.parametrize("token", ["sk-ant-oat01-canary-0123456789", ""], ids=["token", "nothing"])
def test_a_token_that_is_typed_is_not_shown(token: str, hive: Hive, ada: AgentName, screens: list[Screen]) -> None:
    screen = Screen(*shell.HYPERHIVE, "login", "ada", "--token")
    screens.append(screen)
    screen.wait_for("Token (it is not shown): ")
    screen.type(f"{token}\n")
    screen.wait_for("ada is logged in" if token else "that is not a token")
    assert screen.end() == (0 if token else 2)
    assert not token or token not in screen.shown
    assert roster.get(hive, ada).logged_in is bool(token)


@pytest.mark.box
@pytest.mark.claude
@pytest.mark.parametrize("network", ["open", "none"])
def test_a_login_that_nobody_can_answer_ends(network: str, hive: Hive) -> None:
    shell.answer("spawn", "ada", "--network", network)
    ended = shell.process("login", "ada")
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.splitlines() == [
        "error: standard input has ended, and nobody is left to answer",
        "hint: in a terminal: hyperhive login ada; or with a token: hyperhive login ada --token",
    ]
    assert not roster.get(hive, parse_name("ada")).logged_in


@pytest.mark.box
def test_exec_runs_a_command_as_the_agent_and_ends_as_it_does(ada: AgentName) -> None:
    ended = shell.process("exec", "ada", "--", "sh", "-c", "pwd; cat; echo $HOME >&2; exit 7", given=b"hello\n")
    assert ended.stdout == "/workspace\nhello\n"
    assert ended.stderr == "/state\n"
    assert ended.returncode == 7


@pytest.mark.box
def test_exec_gives_a_terminal(ada: AgentName) -> None:
    code, seen = shell.terminal("exec", "ada", "test", "-t", "0")
    assert code == 0, seen


@pytest.mark.box
@pytest.mark.parametrize("program", ["no-such-thing", "/workspace", "/workspace/no-such-thing"])
def test_exec_of_a_program_that_is_not_there_is_said(program: str, ada: AgentName) -> None:
    said = (f"there is no program {program} in the container of ada", "hyperhive exec ada -- ls /usr/bin")
    assert shell.complaint("exec", "ada", "--", program, code=127) == said
    code, seen = shell.terminal("exec", "ada", "--", program)
    assert (code, seen) == (127, f"error: {said[0]}\nhint: {said[1]}\n")


def test_exec_where_no_container_can_be_made_says_why(
    hive: Hive, ada: AgentName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hive.paths.settings.write_text('[claude]\ncommand = ["/bin/true"]\n')
    for name in ("setpriv", "prlimit"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    monkeypatch.setattr(process, "PATH", str(tmp_path))
    assert shell.complaint("exec", "ada", "--", "ls", code=7) == (
        "bubblewrap is not installed",
        "sudo apt-get install bubblewrap",
    )


def test_exec_needs_a_command(ada: AgentName) -> None:
    assert shell.complaint("exec", "ada", "--", code=2)[0] == "there is no command to run"


def test_a_harness_with_nothing_to_do_leaves(ada: AgentName) -> None:
    assert shell.process("harness", "ada").returncode == 0


def test_show_says_the_limits(hive: Hive) -> None:
    limits = AgentLimits(memory="512M", tasks=100, turn_minutes=30)
    spawning.spawn(hive, parse_name("ada"), config=AgentConfig(limits=limits), by="operator")
    assert "512M of memory, 100 tasks, 30m 00s a turn" in shell.answer("show", "ada")
