"""The agent CLI is found, and brought where the agent's user can run it."""

import os
import subprocess
from pathlib import Path

import pytest

from hyperhive.core import process, programs
from hyperhive.core.config import ClaudeSettings, Settings
from hyperhive.core.errors import Unavailable
from hyperhive.core.hive import open_hive
from tests.support.machine import claude_program

UID = 0x7001_0000


def program(folder: Path, name: str = "claude", mode: int = 0o755) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text("#!/bin/sh\necho it runs\n")
    file.chmod(mode)
    return file


def settings(*command: str) -> Settings:
    return Settings(claude=ClaudeSettings(command=command))


def test_the_settings_come_first(tmp_path: Path) -> None:
    fake = program(tmp_path, "fake-claude")
    (tmp_path / "link").symlink_to(fake)
    chosen = settings(str(tmp_path / "link"), "--fast", "-x")
    assert programs.find_claude(chosen) == fake
    assert programs.arguments(chosen) == ("--fast", "-x")
    assert programs.arguments(Settings()) == ()


@pytest.mark.parametrize("mode", [0o644, None])
def test_what_the_settings_name_must_be_a_program(tmp_path: Path, mode: int | None) -> None:
    wanted = tmp_path / "nothing" if mode is None else program(tmp_path, mode=mode)
    with pytest.raises(Unavailable, match=r"hive\.toml") as refused:
        programs.find_claude(settings(str(wanted)))
    assert refused.value.hint == f"ls -l {wanted}"


def test_then_the_path_of_the_one_who_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "PATH", str(tmp_path / "fixed"))
    monkeypatch.setenv("PATH", str(tmp_path / "own"))
    own = program(tmp_path / "own")
    assert programs.find_claude(Settings()) == own
    fixed = program(tmp_path / "fixed")
    assert programs.find_claude(Settings()) == fixed


@pytest.mark.claude
def test_then_the_one_that_the_extra_brings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = claude_program()
    monkeypatch.setattr(process, "PATH", str(tmp_path))
    if expected is None or "_bundled" not in str(expected):
        pytest.skip("needs the wheel claude-agent-sdk")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert programs.find_claude(Settings()) == expected.resolve()


def test_none_at_all_is_said_with_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "PATH", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Unavailable, match="claude is not here") as refused:
        programs.find_claude(Settings())
    assert refused.value.hint == "pip install 'hyperhive[claude]'"


def test_what_can_be_reached_is_used_as_it_is(outside: Path) -> None:
    hive = open_hive()
    file = program(outside)
    assert programs.reachable(hive, file, None) == file
    assert programs.reachable(hive, file, UID) == file


def runs_as(uid: int, file: Path) -> str:
    words = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--", "sh", "-c", 'exec "$0"', str(file)]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


@pytest.mark.root
def test_what_lies_behind_a_closed_folder_is_linked(outside: Path) -> None:
    hive = open_hive()
    file = program(outside / "closed")
    (outside / "closed").chmod(0o700)
    kept = programs.reachable(hive, file, UID)
    assert kept.parent == hive.paths.programs
    assert kept.stat().st_ino == file.stat().st_ino
    assert runs_as(UID, kept) == "it runs\n"
    assert runs_as(UID, file) == ""
    assert programs.reachable(hive, file, UID) == kept
    assert os.listdir(hive.paths.programs) == [kept.name]


@pytest.mark.root
def test_what_is_closed_itself_is_copied(outside: Path) -> None:
    hive = open_hive()
    file = program(outside, mode=0o700)
    kept = programs.reachable(hive, file, UID)
    assert kept.stat().st_ino != file.stat().st_ino
    assert runs_as(UID, kept) == "it runs\n"
    assert file.stat().st_mode & 0o777 == 0o700


@pytest.mark.root
def test_a_new_program_gets_a_new_name(outside: Path) -> None:
    hive = open_hive()
    file = program(outside, mode=0o700)
    first = programs.reachable(hive, file, UID)
    file.write_text("#!/bin/sh\necho newer\n")
    second = programs.reachable(hive, file, UID)
    assert first != second
    assert runs_as(UID, second) == "newer\n"


@pytest.mark.root
def test_a_copy_that_fails_leaves_nothing(outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hive = open_hive()
    file = program(outside, mode=0o700)

    def full(source: Path, target: Path) -> None:
        target.write_text("#!/bin/sh\nec")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(Unavailable, match="No space left") as refused:
        programs.reachable(hive, file, UID)
    assert refused.value.hint == f"df {hive.paths.programs}"
    assert os.listdir(hive.paths.programs) == []


@pytest.mark.root
def test_programs_that_the_user_cannot_walk_to_even_as_copies_are_refused(home: Path, outside: Path) -> None:
    hive = open_hive()
    file = program(outside, mode=0o700)
    home.chmod(0o700)
    with pytest.raises(Unavailable, match="cannot walk") as refused:
        programs.reachable(hive, file, UID)
    assert refused.value.hint == f"chmod o+x {home}"
