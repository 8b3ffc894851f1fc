"""What is put into a manager's folder, by whom, and how it works from its container."""

import os
from pathlib import Path

import pytest

from hyperhive.core import applied, folders, proposed, transfer
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.errors import Conflict, Invalid
from hyperhive.core.hive import Hive
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


def template(hive: Hive, name: AgentName = EVE, **files: bytes) -> None:
    proposed.template(
        hive, MONA, uid=UID, gid=UID, name=name, files=files or {"agent.toml": b'role = ""\n', 'odd/"name\\': b"\0\n"}
    )


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


def test_a_new_agent_begins_with_one_commit_in_the_managers_folder(hive: Hive) -> None:
    template(hive)
    mona = Manager(hive)
    repository = mona.folder / EVE
    log = mona.run("git", "log", "--format=%an %ae %cn: %s", cwd=repository).stdout.decode()
    assert log == "mona mona@hyperhive.invalid mona: Begin with what eve needs at the least\n"
    assert mona.run("git", "status", "--porcelain", "--branch", cwd=repository).stdout.startswith(b"## main")
    assert mona.run("git", "status", "--porcelain", cwd=repository).stdout == b""
    assert (repository / 'odd/"name\\').read_bytes() == b"\0\n"
    assert mona.run("git", "config", "remote.applied.url", cwd=repository).stdout == b"/applied/eve.git\n"
    assert {path.lstat().st_uid for path in mona.folder.rglob("*")} == {os.geteuid() if UID is None else UID}
    with pytest.raises(Conflict, match="eve already"):
        template(hive)
    with pytest.raises(Invalid):
        template(hive, BOB, **{"../x": b""})


def test_a_template_is_proposed_like_anything_else(hive: Hive) -> None:
    template(hive)
    applied.create(hive, EVE)
    commit = hand.git(Manager(hive).folder / EVE, "rev-parse", "HEAD")
    brought = transfer.fetch(hive, EVE, proposer=MONA, uid=UID, gid=UID, commit=commit, operation=4)
    assert applied.read(hive, EVE, brought, "agent.toml", most=100) == b'role = ""\n'


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
