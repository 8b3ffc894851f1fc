"""Old builds and logs go; what an agent stands on, what is being built and what is young stays."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from hyperhive.core import beneath, builds, container_root, vacuum
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock
from hyperhive.core.log import Log
from hyperhive.core.model import DeploymentOutcome, Wanted
from hyperhive.core.tables import DeploymentRow
from tests.core.hives import ADA, set_row

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
DEPLOYED, FAILED = DeploymentOutcome.DEPLOYED, DeploymentOutcome.FAILED


def a_build(hive: Hive, number: int, outcome: DeploymentOutcome | None = DEPLOYED) -> None:
    """A deployment of ada's, and what it was made of."""
    with hive.db.write():
        DeploymentRow.insert(number=number, agent=ADA, commit="c" * 40, outcome=outcome, started_at=hive.now()).execute()
    folder = builds.write_build(hive, ADA, number, AgentConfig()).parent
    (folder / "out" / "deep").mkdir(parents=True)
    (folder / "out" / "deep" / "program").write_text("x", encoding="utf-8")
    (folder / "build.log").write_text("done\n", encoding="utf-8")


def left(hive: Hive) -> list[str]:
    return sorted(path.name for path in hive.paths.builds(ADA).iterdir())


def settings(hive: Hive, said: str) -> None:
    hive.paths.settings.write_text(f"[keep]\n{said}\n", encoding="utf-8")


# ---- builds ----


def test_the_newest_five_stay_beside_the_one_that_is_deployed(hive: Hive) -> None:
    for number in range(1, 10):
        a_build(hive, number, FAILED if number % 2 else DEPLOYED)
    set_row(hive, ADA, deployed=2)
    assert vacuum.run(hive).builds == 3
    assert left(hive) == ["2", "5", "6", "7", "8", "9"]
    assert builds.is_there(hive, ADA, 2)
    assert vacuum.run(hive).builds == 0


def test_how_many_stands_in_the_settings_and_what_is_being_built_is_none_of_them(hive: Hive) -> None:
    settings(hive, "builds = 0")
    for number, outcome in ((1, FAILED), (2, DEPLOYED), (3, None), (4, FAILED)):
        a_build(hive, number, outcome)
    set_row(hive, ADA, deployed=2)
    assert vacuum.run(hive).builds == 2
    assert left(hive) == ["2", "3"]


def test_what_a_destroyed_agent_would_be_made_anew_from_stays(hive: Hive) -> None:
    settings(hive, "builds = 0")
    for number in (1, 2):
        a_build(hive, number)
    set_row(hive, ADA, deployed=2, wanted=Wanted.DESTROYED)
    assert vacuum.run(hive).builds == 1
    assert left(hive) == ["2"]


def test_what_a_booted_container_was_brought_up_with_stays(hive: Hive) -> None:
    settings(hive, "builds = 0")
    for number in (1, 2, 3):
        a_build(hive, number)
    set_row(hive, ADA, deployed=3)
    hive.paths.agent_container(ADA).mkdir(parents=True)
    container_root.write_note(hive, ADA, b'{"stamp":"s","boot":null,"build":2}')
    assert vacuum.run(hive).builds == 1
    assert left(hive) == ["2", "3"]


def test_nothing_is_taken_from_an_agent_whose_programs_run(hive: Hive) -> None:
    settings(hive, "builds = 0")
    for number in (1, 2):
        a_build(hive, number)
    set_row(hive, ADA, deployed=2)
    with Lock(hive.paths.harness_lock(ADA)) as harness:
        assert harness.take()
        assert vacuum.run(hive).builds == 0
    assert left(hive) == ["1", "2"]
    assert vacuum.run(hive).builds == 1


def test_a_removal_that_was_cut_short_goes_on(hive: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    settings(hive, "builds = 0")
    a_build(hive, 1)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(beneath._Trash, "empty", killed)
        with pytest.raises(KeyboardInterrupt):
            vacuum.run(hive)
    assert left(hive) == [".1.purged"]
    assert vacuum.run(hive).builds == 1
    assert left(hive) == []


def test_a_link_out_of_a_build_is_not_followed_and_a_build_that_is_a_link_is_only_unlinked(hive: Hive, tmp_path: Path) -> None:
    settings(hive, "builds = 0")
    (tmp_path / "canary").touch()
    a_build(hive, 1)
    (hive.paths.build(ADA, 1) / "out" / "link").symlink_to(tmp_path)
    hive.paths.build(ADA, 2).symlink_to(tmp_path)
    assert vacuum.run(hive).builds == 2
    assert (tmp_path / "canary").exists()
    assert left(hive) == []


def test_what_is_no_build_stays(hive: Hive) -> None:
    settings(hive, "builds = 0")
    for name in ("notes", "01", "-1", ".x.purged"):
        (hive.paths.builds(ADA) / name).mkdir(parents=True)
    (hive.paths.builds_folder / "stray").touch()
    assert vacuum.run(hive) == vacuum.Swept(messages=0, operations=0, events=0, builds=0, logs=0, troubles=())
    assert left(hive) == sorted(["notes", "01", "-1", ".x.purged"])


# ---- logs ----


@pytest.fixture
def ada_log(hive: Hive) -> Path:
    folder = hive.paths.agent_log(ADA)
    folder.mkdir(parents=True)
    return folder


def a_log(hive: Hive, file: Path, *, ago: timedelta) -> Path:
    file.write_text("said\n", encoding="utf-8")
    at = (hive.now() - ago).timestamp()
    os.utime(file, (at, at))
    return file


def test_a_log_goes_when_nobody_wrote_to_it_for_a_month(hive: Hive, ada_log: Path) -> None:
    old = [
        a_log(hive, file, ago=31 * DAY)
        for file in (ada_log / "harness.1", ada_log / "harness.log", hive.paths.log / "bug-20250101T000000-7.txt")
    ]
    young = a_log(hive, hive.paths.log / "hub.log", ago=30 * DAY)
    assert vacuum.run(hive).logs == 3
    assert not any(file.exists() for file in old)
    assert young.exists()
    Log("harness of ada", ada_log / "harness.log", quiet=True)("works again")
    assert (ada_log / "harness.log").exists()


def test_the_days_of_a_log_stand_in_the_settings(hive: Hive) -> None:
    settings(hive, "log_days = 2")
    old, young = (a_log(hive, hive.paths.log / f"{days}.log", ago=days * DAY) for days in (3, 2))
    assert vacuum.run(hive).logs == 1
    assert (old.exists(), young.exists()) == (False, True)


@pytest.mark.parametrize("jump", [-DAY, -HOUR, HOUR, DAY])
def test_no_log_goes_too_early_when_the_clock_jumps_by_a_day(
    hive: Hive, jump: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    almost = 30 * DAY - timedelta(minutes=1)
    # Written while the clock was right, and while it was wrong.
    a_log(hive, hive.paths.log / "right.log", ago=almost)
    a_log(hive, hive.paths.log / "wrong.log", ago=almost - jump)
    right = Hive.now
    monkeypatch.setattr(Hive, "now", lambda self: right(self) + jump)
    assert vacuum.run(hive).logs == 0
    monkeypatch.setattr(Hive, "now", right)
    assert vacuum.run(hive).logs == 0


def test_what_is_no_plain_file_stays(hive: Hive, ada_log: Path, tmp_path: Path) -> None:
    canary = a_log(hive, tmp_path / "canary", ago=99 * DAY)
    (ada_log / "link.log").symlink_to(canary)
    os.utime(ada_log / "link.log", (0, 0), follow_symlinks=False)
    os.mkfifo(ada_log / "fifo.log")
    os.utime(ada_log / "fifo.log", (0, 0))
    (ada_log / "folder.log").mkdir()
    os.utime(ada_log / "folder.log", (0, 0))
    assert vacuum.run(hive).logs == 0
    assert canary.exists()
    assert len(list(ada_log.iterdir())) == 3


def test_a_folder_of_logs_that_is_a_link_is_not_followed_and_is_said(hive: Hive, tmp_path: Path) -> None:
    canary = a_log(hive, tmp_path / "canary.log", ago=99 * DAY)
    hive.paths.agent(ADA).mkdir()
    hive.paths.agent_log(ADA).symlink_to(tmp_path)
    mine = a_log(hive, hive.paths.log / "login.log", ago=31 * DAY)
    swept = vacuum.run(hive)
    (trouble,) = swept.troubles
    assert trouble.message.startswith(f"old logs in {hive.paths.agent_log(ADA)} cannot be removed: ")
    assert (swept.logs, canary.exists(), mine.exists()) == (1, True, False)
