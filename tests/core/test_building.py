"""A build makes what its agent sees at /opt/agent, and whatever it does touches nothing else."""

import contextlib
import errno
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperhive.core import (
    agent_toml,
    agents,
    applied,
    approvals,
    beneath,
    building,
    builds,
    deployments,
    folders,
    messages,
    operate,
    proposals,
    publishing,
    spawning,
)
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.errors import Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, DeploymentOutcome, Flavor
from hyperhive.core.tables import AgentRow
from tests.core.hives import ADA, BOB, EVE, program

pytestmark = pytest.mark.box

# Seconds that no other process of these tests sleeps.
LONG = f"1000.{os.getpid()}"


@pytest.fixture
def narrow() -> Iterator[None]:
    """A umask as careful people have it."""
    before = os.umask(0o077)
    yield
    os.umask(before)


def spawn(hive: Hive, *build: str, say: list[str] | None = None) -> Path:
    """Ada with a build of its own; gives back what it made."""
    lines = [] if say is None else say
    made = spawning.spawn(hive, ADA, runtime="bubblewrap", config=AgentConfig(build=build), by=OPERATOR, say=lines.append)
    found = builds.made_in(hive, ADA, made.agent.deployed)
    assert found is not None
    return found


def fail(hive: Hive, *build: str) -> int:
    """A build of ada's, who was there before, that fails; gives back its number."""
    spawning.spawn(hive, ADA, runtime="bubblewrap", by=OPERATOR)
    agents.destroy(hive, ADA, by=OPERATOR)
    with pytest.raises(building.BuildFailed):
        spawn(hive, *build)
    return deployments.history(hive, ADA)[-1].number


def test_what_a_build_makes_is_kept_and_its_scratch_is_not(empty: Hive) -> None:
    lines: list[str] = []
    out = spawn(empty, "echo made | tee /opt/agent/made; echo x >/state/notes; ls /opt/agent", say=lines)
    assert (out / "made").read_text() == "made\n"
    assert sorted(path.name for path in out.parent.iterdir()) == ["agent.json", "build.log", "out", "tree"]
    assert lines[1:] == ["made", "agent.toml", "made"]
    assert list(empty.paths.agent_state(ADA).iterdir()) == []


def test_a_daemon_that_a_build_leaves_behind_ends_with_it(empty: Hive) -> None:
    out = spawn(
        empty, "setsid sh -c 'while true; do date >/opt/agent/beat; sleep 0.01; done' & until [ -s /opt/agent/beat ]; do :; done"
    )
    (out / "beat").unlink()
    assert not list(Path("/proc").glob(f"[0-9]*/root{out}/beat"))
    assert sorted(path.name for path in out.iterdir()) == ["agent.toml"]


def test_what_a_failed_build_made_goes_and_its_log_stays(empty: Hive) -> None:
    number = fail(empty, "head -c 1000000 /dev/zero >/opt/agent/big; echo enough; exit 3")
    folder = empty.paths.build(ADA, number)
    assert sorted(path.name for path in folder.iterdir()) == ["build.log", "tree"]
    assert building.log_of(empty, ADA, number).read_text().splitlines()[-1] == "enough"


def test_a_build_that_prints_much_makes_no_long_notice(empty: Hive) -> None:
    spawning.spawn(empty, EVE, runtime="host", flavor=Flavor.MANAGER, by=OPERATOR)
    fail(empty, r"head -c 9000000 /dev/zero | tr '\0' x; for i in 1 2 3; do echo; printf '\033[2Jend'; done; exit 1")
    told = messages.inbox(empty, EVE)[-1].body
    assert told.startswith("deploy_failed: ")
    assert len(told.encode()) < 64 * 1024
    assert told.rstrip().endswith("end")
    assert "\033" not in told
    assert building.log_of(empty, ADA, deployments.history(empty, ADA)[-1].number).stat().st_size <= building.LOG_MOST + 100


def test_what_an_earlier_try_left_is_removed_and_no_link_of_it_is_followed(empty: Hive, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.mkdir()
    (canary / "kept").touch()
    # The next numbers but two: this spawn's operation and deployment.
    for number in range(1, 5):
        folder = empty.paths.build(ADA, number)
        (folder / "home").mkdir(parents=True)
        (folder / "home" / "link").symlink_to(canary)
        for name in ("out", "tree", "build.log"):
            (folder / name).symlink_to(canary)
    out = spawn(empty, "touch /opt/agent/made")
    assert not out.is_symlink()
    assert (out / "made").exists()
    assert [path.name for path in canary.iterdir()] == ["kept"]


@pytest.mark.parametrize("step", ["folders.give", "applied.export", "builds.write_build"])
def test_a_disk_that_takes_nothing_is_told_of_in_words(empty: Hive, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def full(parent: object, name: object, *_: object, **__: object) -> None:
        if name not in folders.OWN:
            raise OSError(errno.ENOSPC, "No space left on device", "/there")

    monkeypatch.setattr(f"hyperhive.core.building.{step}", full)
    with pytest.raises(Unavailable, match="/there cannot be written: No space left on device"):
        spawning.spawn(empty, ADA, runtime="bubblewrap", config=AgentConfig(build=("true",)), by=OPERATOR)


def test_what_cannot_be_removed_is_told_of_in_words(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="gone/out cannot be removed: No such file or directory"):
        beneath.remove(tmp_path / "gone", "out")


@pytest.mark.root
def test_what_is_built_is_seen_by_its_agent_whatever_others_are_and_the_umask_is(empty: Hive, narrow: None) -> None:
    lines: list[str] = []
    spawn(empty, "cat /opt/source/agent.toml", say=lines)
    assert any("build" in line for line in lines[1:])
    # One that runs as the hive's own user closes its folder, and not that of all.
    spawning.spawn(empty, BOB, runtime="host", by=OPERATOR)
    uid = empty.paths.agent_state(ADA).stat().st_uid
    folders.check_walkable(empty.paths.build(ADA, 2) / "tree", uid, uid)
    assert (empty.paths.builds(ADA).parent.stat().st_mode & 0o777, empty.paths.builds(BOB).stat().st_mode & 0o777) == (
        0o711,
        0o700,
    )
    for path in (empty.paths.applied(ADA), *empty.paths.applied(ADA).rglob("*")):
        assert path.stat().st_mode & (0o005 if path.is_dir() else 0o004), path


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_build_ends_with_the_process_that_carries_it_out(empty: Hive, home: Path, sent: signal.Signals) -> None:
    spawning.spawn(empty, ADA, runtime="bubblewrap", config=AgentConfig(role="first"), by=OPERATOR)
    data = agent_toml.write(AgentConfig(role="second", build=(f"echo $$; exec sleep {LONG}",)))
    approval = proposals.by_operator(empty, ADA, {building.FILE: data}, message="Be slow")
    operation = approvals.approve(empty, approval.number, by=OPERATOR).operation
    code = """
from hyperhive.core import operate
operate.run_apart(hive, int(sys.argv[2]), say=lambda line: print(line, flush=True))
"""
    with program(home, code, str(operation)) as other:
        while not sleeping():
            assert other.is_running
        os.kill(other.pid, sent)
        other.wait()
        while sleeping():
            # The kernel ends what was in the container.
            os.sched_yield()
    if sent is signal.SIGKILL:
        with empty.db.write():
            again = deployments.unsettle(empty, ADA)
        operate.run(empty, again)
    failed = deployments.get(empty, approval.number)
    assert failed.outcome is DeploymentOutcome.FAILED
    assert (f"it was ended by {sent.name}" in (failed.error or "")) == (sent is not signal.SIGKILL)
    assert sorted(path.name for path in empty.paths.build(ADA, approval.number).iterdir()) == ["build.log", "tree"]
    with empty.db.read():
        row = AgentRow.get(AgentRow.name == ADA)
        main = deployments.applied_commit(row)
    assert builds.config_of(empty, ADA, row.deployed)[0].role == "first"
    assert applied.references(empty, ADA)["refs/heads/main"] == main
    assert f"refs/tags/building/{approval.number}" not in applied.references(empty, ADA)
    assert publishing.unsettled(empty) == []


def sleeping() -> list[str]:
    """What still runs of such a build."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if process.read_bytes() == f"sleep\0{LONG}\0".encode():
                found.append(process.parent.name)
    return found
