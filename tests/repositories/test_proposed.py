"""What is put into a manager's folder, by whom, and how it works from its container."""

import os
from pathlib import Path

import pytest

from hyperhive.core import applied, folders, proposed
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.errors import Expired
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock
from hyperhive.core.model import AgentName, Flavor, Network
from hyperhive.core.runtimes import runtime_named
from tests.repositories import hand
from tests.repositories.boxes import UID, Manager
from tests.repositories.hand import ADA, MONA
from tests.runtimes import boxes

pytestmark = pytest.mark.box
BOB, EVE = AgentName("bob"), AgentName("eve")


@pytest.fixture
def first(hive: Hive) -> str:
    """Ada's first commit, which is applied."""
    commit = hand.write(hive, {"agent.toml": b'role = "x"\n', "bin/run": b"#!/bin/sh\n"})
    applied.publish(hive, ADA, {"refs/heads/main": commit, "refs/tags/deployed/3": commit})
    return commit


def ensure(hive: Hive, *names: AgentName) -> list[AgentName]:
    return proposed.ensure(hive, MONA, uid=UID, gid=UID, names=names or (ADA,))


def shape(path: Path) -> tuple[str, int]:
    return oct(path.lstat().st_mode & 0o7777), path.lstat().st_uid


def test_a_manager_gets_a_clone_of_what_it_lacks_and_owns_all_of_it(hive: Hive, first: str) -> None:
    applied.create(hive, BOB)
    assert ensure(hive, ADA, BOB, EVE) == [ADA, BOB]
    mona = Manager(hive)
    owner = os.geteuid() if UID is None else UID
    assert shape(mona.folder) == ("0o700", owner)
    assert {path.lstat().st_uid for path in mona.folder.rglob("*")} == {owner}
    assert sorted(os.listdir(mona.folder)) == ["ada", "bob"]
    assert mona.git("rev-parse", "HEAD", "deployed/3") == f"{first}\n{first}"
    assert mona.git("status", "--porcelain", "--branch") == "## main...applied/main"
    assert (mona.repository / "agent.toml").read_bytes() == b'role = "x"\n'
    assert mona.git("config", "--local", "--get-regexp", r"^(user|remote|branch)\.").splitlines() == [
        "remote.applied.url /applied/ada.git", "remote.applied.fetch +refs/heads/*:refs/remotes/applied/*",
        "branch.main.remote applied", "branch.main.merge refs/heads/main", "user.name mona", "user.email mona@hyperhive.invalid",
    ]  # fmt: skip


def test_what_is_there_stays_whatever_it_is(hive: Hive, first: str) -> None:
    ensure(hive)
    mona = Manager(hive)
    mona.commit({"mine": b"1"})
    mine = mona.git("rev-parse", "HEAD")
    assert ensure(hive) == []
    assert mona.git("rev-parse", "HEAD") == mine
    applied.create(hive, BOB)
    (mona.folder / "bob").symlink_to("/nowhere")
    assert ensure(hive, ADA, BOB) == []
    assert os.readlink(mona.folder / "bob") == "/nowhere"


def test_a_clone_that_was_cut_short_is_made_anew(hive: Hive, first: str) -> None:
    mona = Manager(hive)
    folders.give_proposed(hive, MONA, uid=UID)
    assert mona.run("sh", "-c", "mkdir .ada.new && echo half > .ada.new/HEAD").returncode == 0
    assert ensure(hive) == [ADA]
    assert os.listdir(mona.folder) == ["ada"]


def test_a_link_in_the_way_of_a_clone_leads_nothing_outside(hive: Hive, first: str, outside: Path) -> None:
    folders.give_proposed(hive, MONA, uid=UID)
    outside.chmod(0o777)
    (outside / "canary").touch()
    (Manager(hive).folder / ".ada.new").symlink_to(outside)
    assert ensure(hive) == [ADA]
    assert os.listdir(outside) == ["canary"]


def test_what_is_not_applied_yet_is_cloned_as_it_was_proposed_last(hive: Hive) -> None:
    first = hand.write(hive, {"agent.toml": b'role = "one"\n'})
    last = hand.write(hive, {"agent.toml": b'role = "two"\n'})
    applied.publish(hive, ADA, {"refs/tags/proposal/9": first, "refs/tags/proposal/10": last, "refs/tags/denied/9": first})
    assert ensure(hive) == [ADA]
    mona = Manager(hive)
    assert mona.git("rev-parse", "HEAD", "proposal/10") == f"{last}\n{last}"
    assert mona.git("symbolic-ref", "HEAD") == "refs/heads/main"
    assert mona.git("status", "--porcelain") == ""
    assert (mona.repository / "agent.toml").read_bytes() == b'role = "two"\n'
    # Once something is applied, main follows it as in any other clone.
    assert mona.git("config", "--local", "--get-regexp", r"^(remote|branch)\.").splitlines() == [
        "remote.applied.url /applied/ada.git", "remote.applied.fetch +refs/heads/*:refs/remotes/applied/*",
        "branch.main.remote applied", "branch.main.merge refs/heads/main",
    ]  # fmt: skip


def test_of_two_who_fill_a_folder_at_once_one_waits_for_the_other(hive: Hive, first: str) -> None:
    with Lock(hive.paths.proposed_lock(MONA)) as lock:
        assert lock.take()
        with pytest.raises(Expired, match="being filled"):
            proposed.ensure(hive, MONA, uid=UID, gid=UID, names=[ADA], seconds=0)
    assert ensure(hive) == [ADA]
    with Lock(hive.paths.proposed_lock(MONA)) as lock:
        # Where nothing is missing nobody waits.
        assert lock.take()
        assert ensure(hive) == []


def test_a_purged_managers_folder_is_gone(hive: Hive, first: str) -> None:
    ensure(hive)
    proposed.purge(hive, MONA)
    proposed.purge(hive, MONA)
    assert os.listdir(hive.paths.proposed_folder) == []


WORK = """
set -eu
cd {config}/ada
git fetch --quiet applied
echo 2 > more
git add more
git commit --quiet --message 'Say more'
git log --max-count=1 --format='%an <%ae> %s'
git log --oneline applied/main | wc -l
git --git-dir={applied}/ada.git log --oneline main | wc -l
git -C {config}/ada status --porcelain
git init --quiet {workspace}/own && cd {workspace}/own && git commit --quiet --allow-empty --message x && git log --format=%ae
"""
DESTROY = """
for place in x ada.git/x ada.git/refs/heads/x ada.git/HEAD; do
    if : >> /applied/$place; then echo "wrote $place"; fi
done 2>/dev/null
mv /applied/ada.git /applied/bob.git 2>/dev/null || echo kept
"""


@pytest.mark.parametrize("kind", boxes.KINDS)
def test_a_manager_commits_in_its_container_and_cannot_change_what_was_applied(hive: Hive, kind: str) -> None:
    commit = hand.write(hive, {"agent.toml": b"1"})
    applied.publish(hive, ADA, {"refs/heads/main": commit})
    uid = {"own-user": boxes.FIRST_UID, "ordinary": boxes.ORDINARY if boxes.IS_ROOT else None}[kind]
    folders.prepare(hive, MONA, uid=uid, flavor=Flavor.MANAGER)
    proposed.ensure(hive, MONA, uid=uid, gid=uid, names=[ADA])
    place = folders.place(
        hive,
        MONA,
        uid=uid if kind == "own-user" else None,
        program=None,
        config=AgentConfig(network=Network.NONE),
        flavor=Flavor.MANAGER,
    )
    box = boxes.Box(hive, runtime_named("bubblewrap"), place, kind)
    inside = box.runtime.inside(place)
    assert (inside.config, inside.applied) == ("/config", "/applied")
    said = box.out("sh", "-c", WORK.format(config="/config", applied="/applied", workspace="/workspace"))
    assert said.split("\n") == ["mona <mona@hyperhive.invalid> Say more", "1", "1", "mona@hyperhive.invalid"]
    assert box.out("bash", "-c", DESTROY) == "kept"


def test_without_a_container_a_manager_works_at_the_real_paths(hive: Hive) -> None:
    commit = hand.write(hive, {"agent.toml": b"1"})
    applied.publish(hive, ADA, {"refs/heads/main": commit})
    folders.prepare(hive, MONA, uid=None, flavor=Flavor.MANAGER)
    place = folders.place(hive, MONA, uid=None, program=None, config=AgentConfig(), flavor=Flavor.MANAGER)
    box = boxes.Box(hive, runtime_named("host"), place, "host")
    inside = box.runtime.inside(place)
    assert inside.config == str(hive.paths.proposed(MONA))
    assert inside.applied == str(hive.paths.applied_folder)
    proposed.ensure(hive, MONA, uid=None, gid=None, names=[ADA], seen=inside.applied)
    said = box.out("sh", "-c", WORK.format(config=inside.config, applied=inside.applied, workspace=inside.workspace))
    assert said.split("\n") == ["mona <mona@hyperhive.invalid> Say more", "1", "1", "mona@hyperhive.invalid"]


def test_only_a_manager_sees_the_repositories(hive: Hive) -> None:
    folders.prepare(hive, ADA, uid=None)
    place = folders.place(hive, ADA, uid=None, program=None, config=AgentConfig())
    assert (place.config, place.applied) == (None, None)
    assert not hive.paths.proposed(ADA).exists()
    for runtime in ("bubblewrap", "host"):
        inside = runtime_named(runtime).inside(place)
        assert (inside.config, inside.applied) == (None, None)
