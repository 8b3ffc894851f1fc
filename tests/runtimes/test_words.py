"""What is said to start a container, word by word."""

import os
from pathlib import Path

import pytest

from hyperhive.core import process
from hyperhive.core.agent_config import Mount
from hyperhive.core.errors import Invalid
from hyperhive.core.model import AgentName, Network
from hyperhive.core.runtimes import Place, runtime_named, runtimes
from hyperhive.core.runtimes.bubblewrap import Bubblewrap
from hyperhive.core.runtimes.host import Host


def place(**changed: object) -> Place:
    a = Path("/h/state/agents/ada")
    fields: dict[str, object] = {
        "name": AgentName("ada"), "uid": 70_000, "gid": 70_001, "state": a / "state", "workspace": a / "workspace",
        "claude": a / "claude", "tmp": a / "tmp", "run": Path("/h/state/run/agents/ada"), "program": Path("/x/claude"),
        "network": Network.OPEN, "mounts": (), "tasks": 512,
        "memory": 4 * 1024**3,
    }  # fmt: skip
    return Place(**{**fields, **changed})  # type: ignore[arg-type]  # the fields are named one by one above


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small machine: merged /usr, two files in /etc, one of them a link into /usr."""
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/python3").touch()
    (tmp_path / "usr/bin/socat").touch()
    (tmp_path / "usr/share").mkdir()
    (tmp_path / "usr/share/UTC").touch()
    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hosts").touch()
    (tmp_path / "etc/shadow").touch()
    (tmp_path / "etc/localtime").symlink_to(tmp_path / "usr/share/UTC")
    return tmp_path


CLOSED = [
    "bwrap", "--unshare-all", "--unshare-user", "--uid", "1000", "--gid", "1000", "--disable-userns", "--cap-drop", "ALL",
    "--die-with-parent", "--new-session",
]  # fmt: skip
SYSTEM = [
    "--hostname", "ada", "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--ro-bind", "/etc/hosts", "/etc/hosts",
    "--symlink", "/usr/share/UTC", "/etc/localtime",
]  # fmt: skip
OWN = [
    "--ro-bind", "/h/state/run/agents/ada/passwd", "/etc/passwd", "--ro-bind", "/h/state/run/agents/ada/group", "/etc/group",
    "--ro-bind", "/h/state/run/agents/ada/gitconfig", "/etc/gitconfig",
    "--proc", "/proc", "--dev", "/dev", "--size", "2147483648", "--tmpfs", "/dev/shm", "--remount-ro", "/dev",
    "--size", "2147483648", "--perms", "1777", "--tmpfs", "/tmp",
    "--bind", "/h/state/agents/ada/state", "/state", "--bind", "/h/state/agents/ada/workspace", "/workspace",
    "--bind", "/h/state/agents/ada/claude", "/claude", "--ro-bind", "/h/state/run/agents/ada", "/run/hyperhive",
]  # fmt: skip
PROGRAM = ["--ro-bind", "/x/claude", "/opt/hyperhive/claude"]
ENTER = ["python3", "-S", "-E", "-I", "/run/hyperhive/enter.py", "512"]


def test_bubblewrap_as_root(root: Path) -> None:
    assert Bubblewrap(root=root).wrap(place(), ["claude", "--version"]) == [
        "setpriv", "--reuid", "70000", "--regid", "70001", "--clear-groups", "--no-new-privs", "--",
        *CLOSED, "--share-net", *SYSTEM, *OWN, *PROGRAM, "--remount-ro", "/", "--chdir", "/workspace",
        "--", *ENTER, "claude", "--version",
    ]  # fmt: skip


def test_bubblewrap_as_an_ordinary_user_without_network_or_program(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    closed = place(uid=None, gid=None, network=Network.NONE, program=None)
    assert Bubblewrap(root=root).wrap(closed, ["ls"], cwd="/state") == [
        *CLOSED, *SYSTEM, *OWN, "--remount-ro", "/", "--chdir", "/state", "--", *ENTER, "ls",
    ]  # fmt: skip


def test_mounts_come_after_what_they_lie_in(root: Path) -> None:
    mounts = (Mount("/srv/a", "/workspace/a", "rw"), Mount("/srv/b", "/mnt/b"))
    words = Bubblewrap(root=root).wrap(place(mounts=mounts), ["ls"])
    at = words.index("/srv/a")
    assert words[at - 1 : at + 6] == ["--bind", "/srv/a", "/workspace/a", "--ro-bind", "/srv/b", "/mnt/b", "--remount-ro"]
    assert words.index("/workspace") < at


def test_a_machine_without_merged_usr_python_and_socat(tmp_path: Path) -> None:
    for name in ("usr/bin", "bin", "lib64"):
        (tmp_path / name).mkdir(parents=True)
    runtime = Bubblewrap(root=tmp_path)
    words = runtime.wrap(place(), ["ls"])
    at = words.index("/bin")
    assert words[at - 1 : at + 5] == ["--ro-bind", "/bin", "/bin", "--ro-bind", "/lib64", "/lib64"]
    assert words[-5:] == ["--", "prlimit", "--nproc=512:512", "--", "ls"]
    assert runtime.inside(place()).relay[0] == "python3"
    assert "abstract sockets" in runtime.isolation


@pytest.mark.parametrize("uid", [0, None])
def test_bubblewrap_refuses_to_run_an_agent_as_root(uid: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(Invalid, match="as root"):
        Bubblewrap().wrap(place(uid=uid, gid=uid), ["ls"])


def test_host_gives_a_folder_and_a_death(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = place(uid=None, gid=None)
    words = ["env", "--chdir=/h/state/agents/ada/workspace", "--", "ls", "-l"]
    monkeypatch.setattr(process, "find", lambda name: "/usr/bin/setpriv")
    assert Host().wrap(plain, ["ls", "-l"]) == ["setpriv", "--pdeathsig", "KILL", "--", *words]
    monkeypatch.setattr(process, "find", lambda name: None)
    assert Host().wrap(plain, ["ls", "-l"]) == words
    inside = Host().inside(plain)
    assert (inside.workspace, inside.run) == (str(plain.workspace), str(plain.run))


@pytest.mark.parametrize(
    "changed", [{"uid": 7}, {"uid": None, "network": Network.NONE}, {"uid": None, "mounts": (Mount("/srv/a", "/mnt/a"),)}]
)
def test_host_refuses_what_it_cannot_give(changed: dict[str, object]) -> None:
    with pytest.raises(Invalid) as refused:
        Host().wrap(place(**changed), ["ls"])
    assert refused.value.hint


KINDS = ("bubblewrap", "nspawn", "host")


def test_a_runtime_is_known_by_its_name() -> None:
    assert runtime_named("auto").name == "bubblewrap"
    assert {name: runtime.name for name, runtime in runtimes().items()} == {kind: kind for kind in KINDS}
    with pytest.raises(Invalid, match="no runtime 'podman'") as refused:
        runtime_named("podman")
    assert refused.value.hint == f"known runtimes: auto, {', '.join(KINDS)}"


@pytest.mark.parametrize(
    ("output", "sentence", "hint"),
    [
        ("setpriv: failed to execute bwrap: No such file or directory", "is not installed", "apt-get install bubblewrap"),
        ("the program bwrap is not here (bwrap)", "is not installed", "apt-get install bubblewrap"),
        ("the program setpriv is not here (setpriv)", "util-linux", "apt-get install util-linux"),
        ("bwrap: execvp prlimit: No such file or directory", "util-linux", "apt-get install util-linux"),
        ("bwrap: Unknown option --disable-userns", "too old", "newer release"),
        ("bwrap: setting up uid map: Permission denied", "AppArmor", "apparmor_parser -r /etc/apparmor.d/bwrap"),
        ("bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted", "AppArmor", "/etc/apparmor.d/bwrap"),
        ("bwrap: No permissions to create new namespace, likely because", "forbids", "unprivileged_userns_clone=1"),
        ("bwrap: Creating new namespace failed: nesting depth or /proc/sys/user/max_*_namespaces exceeded (ENOSPC)", "no more",
         "max_user_namespaces"),
        ("bwrap: first\nbwrap: something else", "bwrap: something else", "bwrap --unshare-all"),
        ("", "it says nothing", "bwrap"),
    ],
)  # fmt: skip
def test_a_failure_becomes_a_sentence_with_a_hint(output: str, sentence: str, hint: str) -> None:
    explained = Bubblewrap().explain(output)
    assert sentence in explained.message
    assert hint in (explained.hint or "")
