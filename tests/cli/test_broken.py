"""A broken hive is told in words, whichever command meets it."""

import os
import subprocess
from pathlib import Path

import pytest

from hyperhive.core import cgroup_trees, doctor, process
from hyperhive.core.cgroup_trees import Tree
from hyperhive.core.doctor import Finding, Level
from hyperhive.core.errors import Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock
from hyperhive.core.model import AgentName
from hyperhive.core.paths import SYSTEM_STATE
from tests.cli import shell

COMMANDS = [
    ["ps"],
    ["show", "ada"],
    ["inbox"],
    ["send", "ada", "x"],
    ["spawn", "bob"],
    ["stop", "ada"],
    ["turns"],
    ["read", "--all"],
]
NOBODY = 65534


def by_nobody(*words: str, home: Path) -> "subprocess.CompletedProcess[str]":
    """Type a command as an ordinary user."""
    return subprocess.run(
        ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", "--", *shell.HYPERHIVE, *words],
        env={**os.environ, "HYPERHIVE_HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def findings(home: Path) -> dict[str, Finding]:
    return {finding.check: finding for finding in doctor.examine({"HYPERHIVE_HOME": str(home)})}


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("max_actve = 2\n", "object contains unknown field `max_actve`", "did you mean `max_active`?"),
        ("max_active = 'two'\n", "max_active: expected `int`, got `str`", "edit "),
        ("max_active =\n", "is not TOML", "edit "),
    ],
)
def test_a_broken_settings_file_is_named_with_its_key(text: str, said: str, hint: str, hive: Hive, ada: AgentName) -> None:
    hive.paths.settings.write_text(text)
    error, what = shell.complaint("ps", code=2)
    assert str(hive.paths.settings) in error
    assert said in error
    assert what.startswith(hint)
    assert findings(hive.paths.config)["settings"].level is Level.ERROR


def test_settings_that_are_no_text_are_said(hive: Hive, ada: AgentName) -> None:
    hive.paths.settings.write_bytes(b"\xff\xfe")
    assert "cannot be read" in shell.complaint("ps", code=7)[0]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_damaged_database_is_said(words: list[str], hive: Hive, ada: AgentName) -> None:
    hive.close()
    for file in hive.paths.state.glob("hive.sqlite*"):
        file.unlink()
    hive.paths.database.write_bytes(b"this is not a database" * 1000)
    assert shell.complaint(*words, code=7) == (f"{hive.paths.database} is damaged", "restore a backup")
    assert findings(hive.paths.config)["database"].level is Level.ERROR


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_folder_that_is_too_deep_is_said(words: list[str], home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = home / ("d" * 100)
    monkeypatch.setenv("HYPERHIVE_HOME", str(deep))
    error, hint = shell.complaint(*words, code=2)
    assert "is too deep" in error
    assert "characters shorter" in hint
    assert not deep.exists()
    assert findings(deep)["folders"].level is Level.ERROR


def test_a_home_that_is_a_file_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "file").write_text("")
    monkeypatch.setenv("HYPERHIVE_HOME", str(home / "file"))
    error, hint = shell.complaint("ps", code=7)
    assert "cannot be made" in error
    assert hint.endswith("HYPERHIVE_HOME=DIR")


@pytest.mark.root
@pytest.mark.parametrize("words", [*COMMANDS, ["messages", "--follow"], ["events", "ada"], ["logs", "ada"]], ids=" ".join)
def test_a_folder_that_may_not_be_written_is_said(words: list[str], hive: Hive, ada: AgentName) -> None:
    ended = by_nobody(*words, home=hive.paths.config)
    assert ended.returncode == 7, ended
    error, hint = ended.stderr.splitlines()
    assert error.startswith("error: ")
    assert str(hive.paths.config) in error
    assert hint.startswith("hint: ")


@pytest.mark.root
def test_a_state_folder_that_cannot_be_made_is_said(home: Path) -> None:
    ended = by_nobody("ps", home=home / "new")
    assert ended.returncode == 7
    assert f"error: {home / 'new'}" in ended.stderr


@pytest.mark.root
def test_doctor_tells_an_ordinary_user_what_may_not_be_written(hive: Hive, ada: AgentName) -> None:
    ended = by_nobody("doctor", home=hive.paths.config)
    assert ended.returncode == 7
    assert "error   folders" in ended.stdout
    assert "Traceback" not in ended.stderr


@pytest.mark.root
def test_doctor_tells_that_agents_users_cannot_walk_to_their_folders(hive: Hive) -> None:
    hive.paths.config.chmod(0o700)
    found = findings(hive.paths.config)["folders"]
    assert found.level is Level.ERROR
    assert found.hint == f"chmod o+x {hive.paths.config}"


def test_doctor_tells_why_memory_is_not_limited(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> list[Tree]:
        raise Unavailable("the control groups cannot be written here", hint="write them elsewhere")

    monkeypatch.setattr(cgroup_trees, "find_trees", none)
    # A user whom no machine has, and so none with a systemd of its own.
    monkeypatch.setattr(os, "geteuid", lambda: 64_222)
    found = findings(home)["limits"]
    assert found.level is Level.WARNING
    assert found.message.startswith("the memory of agents is not limited: an ordinary user may make no control groups")
    assert found.hint == "sudo loginctl enable-linger 64222"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    found = findings(home)["limits"]
    assert found.message == "the memory of agents is not limited: the control groups cannot be written here"
    assert found.hint == "write them elsewhere"


@pytest.mark.skipif(SYSTEM_STATE.exists(), reason="root runs a hive on this machine")
def test_doctor_finds_nothing_wrong_where_nothing_is(home: Path) -> None:
    found = findings(home)
    assert list(found) == [
        "machine", "python", "sqlite", "folders", "settings", "database", "container", "limits", "claude", "relay", "git",
        "inotify", "hub",
    ]  # fmt: skip
    assert {check for check, finding in found.items() if finding.level is Level.ERROR} <= {"container", "claude", "relay"}
    assert found["hub"].hint == "hyperhive up"


def test_doctor_sees_that_the_hive_is_up(hive: Hive) -> None:
    with Lock(hive.paths.lock("hub")) as hub:
        assert hub.take()
        assert findings(hive.paths.config)["hub"].level is Level.OK


@pytest.mark.parametrize(
    ("settings", "check", "level"),
    [
        ('[claude]\ncommand = ["/nowhere/claude"]\n', "claude", Level.ERROR),
        ('[claude]\ncommand = ["false"]\n', "claude", Level.ERROR),
        ('runtime = "docker"\n', "container", Level.ERROR),
        ('runtime = "host"\n', "container", Level.WARNING),
    ],
)
def test_doctor_finds_what_the_settings_ask_for_in_vain(settings: str, check: str, level: Level, hive: Hive) -> None:
    hive.paths.settings.write_text(settings)
    found = findings(hive.paths.config)[check]
    assert found.level is level
    assert found.hint


@pytest.mark.claude
def test_doctor_tells_the_version_of_claude(home: Path) -> None:
    assert "Claude Code" in findings(home)["claude"].message


@pytest.mark.parametrize(
    ("says", "level"), [("git version 2.31.8", Level.ERROR), ("git version 2.32.0.rc1", Level.OK), ("", Level.ERROR)]
)
def test_doctor_tells_that_git_is_missing_or_too_old(
    says: str, level: Level, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = home / "programs"
    programs.mkdir()
    if says:
        (programs / "git").write_text(f"#!/bin/sh\necho {says}\n")
        (programs / "git").chmod(0o755)
        (programs / "sh").symlink_to("/bin/sh")
    monkeypatch.setattr(process, "PATH", str(programs))
    found = findings(home)["git"]
    assert found.level is level
    assert (found.hint is None) is (level is Level.OK)


def test_doctor_tells_that_no_inotify_instance_is_left(hive: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    import inotify_simple

    def refuse() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(inotify_simple, "INotify", refuse)
    found = findings(hive.paths.config)["inotify"]
    assert found.level is Level.ERROR
    assert found.hint == "sudo sysctl fs.inotify.max_user_instances=512"
