"""An agent's folders: who owns them, what is refused, what the host keeps there."""

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hyperhive.core import builds, folders
from hyperhive.core.agent_config import AgentConfig, Mount
from hyperhive.core.beneath import Size
from hyperhive.core.errors import Conflict, Denied, HyperhiveError, Invalid, Unavailable
from hyperhive.core.hive import Hive, open_hive
from hyperhive.core.model import AgentName

ADA = AgentName("ada")
UID = 0x7001_0000


@pytest.fixture
def hive(home: Path) -> Hive:
    return open_hive()


def shape(path: Path) -> tuple[str, int, int]:
    known = path.lstat()
    return oct(stat.S_IMODE(known.st_mode)), known.st_uid, known.st_gid


def mounted(hive: Hive, *mounts: Mount, uid: int | None = None) -> None:
    folders.place(hive, ADA, uid=uid, program=None, config=AgentConfig(mounts=mounts))


@pytest.mark.root
def test_as_root_an_agent_owns_its_four_folders_and_nothing_else(hive: Hive) -> None:
    folders.prepare(hive, ADA, uid=UID)
    home, run = hive.paths.agent(ADA), hive.paths.agent_run(ADA)
    assert {path.name: shape(path) for path in home.iterdir()} == {
        "state": ("0o700", UID, UID), "workspace": ("0o700", UID, UID), "claude": ("0o700", UID, UID), "tmp": ("0o700", UID, UID),
        "log": ("0o700", 0, 0),
    }  # fmt: skip
    assert shape(home) == ("0o711", 0, 0)
    assert shape(run) == ("0o750", 0, UID)
    assert {path.name: shape(path) for path in run.iterdir()} == dict.fromkeys(
        ("relay.py", "forward.py", "enter.py", "passwd", "group", "gitconfig"), ("0o644", 0, 0)
    )


def test_without_a_user_of_its_own_all_is_this_users_and_closed(hive: Hive) -> None:
    folders.prepare(hive, ADA, uid=None)
    for path in (hive.paths.agent(ADA), hive.paths.agent_run(ADA), *hive.paths.agent(ADA).iterdir()):
        assert shape(path)[:2] == ("0o700", os.geteuid())


def test_preparing_again_keeps_everything_and_renews_what_the_host_puts_there(hive: Hive) -> None:
    folders.prepare(hive, ADA, uid=None)
    note = hive.paths.agent_state(ADA) / "note"
    note.write_text("mine")
    passwd = hive.paths.agent_run(ADA) / "passwd"
    relay = hive.paths.agent_run(ADA) / "relay.py"
    text, inode = passwd.read_text(), relay.stat().st_ino
    passwd.write_text("root::0:0::/:/bin/sh\n")
    folders.prepare(hive, ADA, uid=None)
    assert note.read_text() == "mine"
    assert passwd.read_text() == text
    assert relay.stat().st_ino == inode


@pytest.mark.root
def test_preparing_again_never_closes_the_run_folder_to_the_agent_in_it(hive: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    folders.prepare(hive, ADA, uid=UID)
    seen, chmod = [], os.chmod

    def spied(path: Path, mode: int, *, follow_symlinks: bool = True) -> None:
        chmod(path, mode, follow_symlinks=follow_symlinks)
        seen.append(shape(hive.paths.agent_run(ADA)))

    monkeypatch.setattr(os, "chmod", spied)
    folders.prepare(hive, ADA, uid=UID)
    assert set(seen) == {("0o750", 0, UID)}


@pytest.mark.root
def test_a_file_for_an_agent_is_its_to_read_from_the_moment_that_it_has_its_name(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, replace = [], Path.replace

    def spied(path: Path, target: Path) -> Path:
        seen.append(shape(path))
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", spied)
    builds.write_whole(home / "mcp.json", b"{}", mode=0o640, gid=UID)
    assert seen == [("0o640", 0, UID)] == [shape(home / "mcp.json")]


def test_one_who_died_half_way_leaves_nothing_in_the_way(hive: Hive) -> None:
    hive.paths.agent(ADA).mkdir()
    (hive.paths.agent(ADA) / ".workspace.new").mkdir()
    folders.prepare(hive, ADA, uid=None)
    assert {path.name for path in hive.paths.agent(ADA).iterdir()} == {"state", "workspace", "claude", "tmp", "log"}


@pytest.mark.root
def test_kept_folders_of_another_user_are_refused_and_left_alone(hive: Hive) -> None:
    folders.prepare(hive, ADA, uid=UID)
    with pytest.raises(Conflict, match=str(UID)):
        folders.prepare(hive, ADA, uid=UID + 1)
    assert hive.paths.agent_state(ADA).stat().st_uid == UID


def test_a_link_in_place_of_a_folder_is_refused(hive: Hive, outside: Path) -> None:
    hive.paths.agent(ADA).mkdir()
    hive.paths.agent_workspace(ADA).symlink_to(outside)
    with pytest.raises(Conflict):
        folders.prepare(hive, ADA, uid=None)


@pytest.mark.root
def test_a_folder_that_the_agents_user_cannot_walk_through_is_named(home: Path, hive: Hive) -> None:
    home.chmod(0o700)
    with pytest.raises(Unavailable, match=f"cannot walk through {home}$") as refused:
        folders.prepare(hive, ADA, uid=UID)
    assert refused.value.hint == f"chmod o+x {home}"
    home.chmod(0o711)
    folders.prepare(hive, ADA, uid=UID)


def test_mounts_that_cannot_be_given_are_refused(hive: Hive, outside: Path) -> None:
    folders.prepare(hive, ADA, uid=None)
    (outside / "real/sub").mkdir(parents=True)
    (outside / "link").symlink_to("real")
    (outside / "file").touch()
    real = str(outside / "real")
    cases: list[tuple[type[HyperhiveError], str, tuple[Mount, ...]]] = [
        (Unavailable, "no folder", (Mount(str(outside / "none"), "/mnt/a"),)),
        (Unavailable, "no folder", (Mount(str(outside / "file"), "/mnt/a"),)),
        (Invalid, "is a link", (Mount(str(outside / "link"), "/mnt/a"),)),
        (Invalid, "is a link", (Mount(str(outside / "link/sub"), "/mnt/a"),)),
        (Invalid, "the hive itself", (Mount("/", "/mnt/a"),)),
        (Invalid, "the hive itself", (Mount(str(hive.paths.agent_state(ADA)), "/mnt/a"),)),
        (Invalid, "may change", (Mount(real, "/mnt/a", "rw"), Mount(f"{real}/sub", "/mnt/b"))),
        (Invalid, "nothing can be mounted", (Mount(real, "/opt/hyperhive"),)),
        (Invalid, "nothing can be mounted", (Mount(real, "/opt/hyperhive/claude"),)),
        (Invalid, "nothing can be mounted", (Mount(real, "/opt/agent/bin"),)),
        (Invalid, "nothing can be mounted", (Mount(real, "/opt//hyperhive"),)),
        (Invalid, "nothing can be mounted", (Mount(real, "/opt/./agent/."),)),
        (Invalid, "nothing can be mounted", (Mount(real, "/opt/."),)),
        (Invalid, "nothing can be mounted", (Mount(real, "/workspace/."),)),
    ]
    for error, words, mounts in cases:
        with pytest.raises(error, match=words) as refused:
            mounted(hive, *mounts)
        assert refused.value.hint
    mounted(hive, Mount(real, "/mnt/a"), Mount(f"{real}/sub", "/opt/b"))


def test_what_the_agent_puts_where_a_mount_belongs_is_seen(hive: Hive, outside: Path) -> None:
    folders.prepare(hive, ADA, uid=None)
    workspace = hive.paths.agent_workspace(ADA)
    (workspace / "blog").symlink_to(outside)
    for target in ("/workspace/blog", "/workspace/blog/deeper"):
        with pytest.raises(Unavailable, match="in the way"):
            mounted(hive, Mount(str(outside), target))
    (workspace / "blog").unlink()
    (workspace / "blog").mkdir()
    mounted(hive, Mount(str(outside), "/workspace/blog"), Mount(str(outside), "/workspace/new/deeper"))


@pytest.mark.root
def test_somebody_elses_folder_is_not_mounted_writable(hive: Hive, outside: Path) -> None:
    folders.prepare(hive, ADA, uid=UID)
    os.chown(outside, 1, 1)  # daemon, on every Debian
    with pytest.raises(Denied) as refused:
        mounted(hive, Mount(str(outside), "/mnt/a", "rw"), uid=UID)
    assert refused.value.hint == "run the agent as the folder's owner: `hyperhive spawn … --user daemon`"
    mounted(hive, Mount(str(outside), "/mnt/a", "ro"), uid=UID)
    mounted(hive, Mount(str(outside), "/mnt/a", "rw"), uid=1)
    outside.chmod(0o700)
    with pytest.raises(Denied, match="may not read"):
        mounted(hive, Mount(str(outside), "/mnt/a", "ro"), uid=UID)


def test_a_token_is_the_hosts_alone(hive: Hive) -> None:
    folders.prepare(hive, ADA, uid=None)
    assert folders.read_token(hive, ADA) is None
    folders.write_token(hive, ADA, "first")
    folders.write_token(hive, ADA, "sk-other")
    assert folders.read_token(hive, ADA) == "sk-other"
    assert shape(hive.paths.agent_token(ADA))[:2] == ("0o600", os.geteuid())


def test_a_token_for_nobody_is_an_error(hive: Hive) -> None:
    with pytest.raises(Unavailable):
        folders.write_token(hive, ADA, "x")
    assert folders.read_token(hive, ADA) is None


def test_a_login_is_a_file_that_is_there(hive: Hive, outside: Path) -> None:
    assert not folders.is_login_there(hive, ADA)
    folders.prepare(hive, ADA, uid=None)
    assert not folders.is_login_there(hive, ADA)
    file = hive.paths.agent_claude(ADA) / ".credentials.json"
    (outside / "other").write_text("{}")
    file.symlink_to(outside / "other")
    assert not folders.is_login_there(hive, ADA)
    file.unlink()
    file.write_text("{}")
    assert folders.is_login_there(hive, ADA)


def test_the_size_of_what_is_kept(hive: Hive) -> None:
    assert folders.size_of(hive, ADA) == Size(0, None, True)
    folders.prepare(hive, ADA, uid=None)
    before = folders.size_of(hive, ADA)
    (hive.paths.agent_workspace(ADA) / "file").write_bytes(bytes(100_000))
    os.utime(hive.paths.agent_workspace(ADA) / "file", (2e9, 2e9))
    after = folders.size_of(hive, ADA)
    assert 100_000 <= after.bytes - before.bytes < 200_000
    assert after.newest == datetime.fromtimestamp(2e9, UTC)
    assert after.complete


def test_looking_at_the_size_ends(hive: Hive) -> None:
    folders.prepare(hive, ADA, uid=None)
    assert not folders.size_of(hive, ADA, seconds=0).complete


def test_purging_removes_all_and_a_new_agent_finds_nothing(hive: Hive) -> None:
    folders.prepare(hive, ADA, uid=None)
    folders.prepare(hive, AgentName("bob"), uid=None)
    (hive.paths.agent_workspace(ADA) / "deep/er").mkdir(parents=True)
    (hive.paths.agent_workspace(ADA) / "deep/er/file").write_text("x")
    hive.paths.build(ADA, 3).mkdir(parents=True)
    folders.write_token(hive, ADA, "x")
    for _ in range(2):
        folders.purge(hive, ADA)
        builds.purge(hive, ADA)
    for folder in (hive.paths.agents, hive.paths.run / "agents", hive.paths.state / "builds"):
        assert {path.name for path in folder.iterdir()} <= {"bob"}
    folders.prepare(hive, ADA, uid=None)
    assert list(hive.paths.agent_workspace(ADA).iterdir()) == []
