"""What a hostile manager puts into its repositories runs nothing on the host, and brings nothing out of it."""

import hashlib
import os
import shutil
import stat
import subprocess
import traceback
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from hyperhive.core import applied, folders, proposed, transfer
from hyperhive.core.errors import Invalid
from hyperhive.core.hive import Hive, open_hive
from hyperhive.core.model import AgentName
from hyperhive.core.runtimes.bubblewrap import Bubblewrap
from tests.repositories import hand
from tests.repositories.boxes import UID, Manager
from tests.repositories.hand import ADA, MONA
from tests.runtimes.boxes import IS_ROOT, ORDINARY

pytestmark = pytest.mark.box
BOB = AgentName("bob")
MEMORY = 1024**3
# As git would run in them: on the host, by somebody who thinks of nothing.
CARELESS = """
cd /config/ada
git config --global safe.directory '*'
git status; git diff; git log -p; git checkout -q other; git checkout -q main; git gc; git push --dry-run; git fetch evil
git submodule update --init; git cat-file -e 1111111111111111111111111111111111111111
true
"""


@pytest.fixture
def hive(home: Path) -> Hive:
    hive = open_hive()
    applied.create(hive, ADA)
    return hive


@pytest.fixture
def mona(hive: Hive) -> Manager:
    manager = Manager(hive)
    manager.begin()
    return manager


@pytest.fixture
def canary(outside: Path) -> Path:
    """A folder in which every user may leave a trace, at the same path in and out of the box of the control."""
    folder = outside / "canary"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


def set_traps(mona: Manager, canary: Path) -> str:
    """A repository in which nearly everything that git does runs a command; gives back its commit."""
    mona.commit({"plain": b"0\n"})
    mona.git("branch", "other")
    attributes = b"*.x filter=evil diff=evil\n*.y diff=shown\n*.z filter=included\n"
    first = mona.commit(
        {".gitattributes": attributes, "a.x": b"1\n", "a.y": b"1\n", "a.z": b"1\n", "plain": b"1\n",
         ".gitmodules": b'[submodule "sub"]\n\tpath = sub\n\turl = https://localhost:9/x\n'},
    )  # fmt: skip
    trap = "touch {}/{} #".format

    def setting(name: str) -> str:
        return trap(canary, name)

    config = f"""
[core]
    repositoryformatversion = 1
    bare = false
    fsmonitor = "{setting("fsmonitor")}"
    hooksPath = /config/hooks
    sshCommand = "{setting("ssh")}"
    pager = "{setting("pager")}"
    editor = "{setting("editor")}"
    alternateRefsCommand = "{setting("alternate-refs")}"
[diff "evil"]
    textconv = "{setting("textconv")}"
[diff "shown"]
    command = "{setting("external-diff")}"
[filter "evil"]
    clean = "{setting("clean")}"
    smudge = "{setting("smudge")}"
    required = true
[include]
    path = /config/included
[uploadpack]
    packObjectsHook = "{setting("pack-objects")}"
[remote "evil"]
    url = ext::sh -c touch% {canary}/ext
    fetch = +refs/heads/*:refs/remotes/evil/*
    uploadpack = "{setting("upload-pack")}"
[remote "origin"]
    url = ext::sh -c touch% {canary}/promisor
    promisor = true
    partialclonefilter = blob:none
    fetch = +refs/heads/*:refs/remotes/origin/*
[extensions]
    partialClone = origin
    worktreeConfig = true
[protocol]
    allow = always
[protocol "ext"]
    allow = always
[credential]
    helper = "!{setting("credential")}"
"""
    included = f'[filter "included"]\n\tclean = "{setting("included")}"\n'
    hook = f"#!/bin/sh\ntouch {canary}/hook-$(basename $0)\n"
    script = 'mkdir -p hooks && for name in $1; do printf "%s" "$2" > hooks/$name; chmod 755 hooks/$name; done'
    names = "pre-commit post-commit post-checkout pre-auto-gc reference-transaction post-index-change pre-push update"
    assert mona.run("sh", "-c", script, "sh", names, hook).returncode == 0
    put = 'cat > "$0"'
    assert mona.run("sh", "-c", put, "included", stdin=included.encode()).returncode == 0
    assert mona.run("sh", "-c", put, "ada/.git/config", stdin=config.encode()).returncode == 0
    # Changed in the work tree, so that git has something to compare.
    for name in ("a.x", "a.y", "a.z", "plain"):
        assert mona.run("sh", "-c", put, f"ada/{name}", stdin=b"2\n").returncode == 0
    return first


def in_a_box(mona: Manager, script: str, canary: Path, *, writable: bool = True) -> "subprocess.CompletedProcess[bytes]":
    binds = ["--bind", str(mona.folder), "/config", "--bind" if writable else "--ro-bind", str(canary), str(canary)]
    words = Bubblewrap().errand(["sh", "-c", script], uid=mona.uid, gid=mona.uid, binds=binds, env={}, seconds=20, memory=MEMORY)
    return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)


def test_what_would_run_if_git_ran_in_such_a_repository_is_no_idle_threat(mona: Manager, canary: Path) -> None:
    set_traps(mona, canary)
    in_a_box(mona, CARELESS, canary)
    fired = set(os.listdir(canary))
    assert fired >= {
        "fsmonitor", "external-diff", "clean", "smudge", "included", "textconv", "ext", "promisor", "hook-post-checkout",
    }, fired  # fmt: skip


def test_bringing_a_commit_over_and_looking_at_it_runs_nothing(hive: Hive, mona: Manager, canary: Path, outside: Path) -> None:
    first = set_traps(mona, canary)
    assert mona.fetch(first) == first
    applied.publish(hive, ADA, {"refs/heads/main": first, "refs/tags/proposal/7": first})
    assert [entry.path for entry in applied.entries(hive, ADA, first)] == [
        ".gitattributes", ".gitmodules", "a.x", "a.y", "a.z", "plain",
    ]  # fmt: skip
    assert "+++ b/a.x\n@@ -0,0 +1 @@\n+1\n" in applied.diff(hive, ADA, None, first, most=10_000)
    applied.export(hive, ADA, first, outside / "tree")
    assert (outside / "tree/a.x").read_bytes() == b"1\n"
    second = hand.write(hive, {"a.x": b"3\n"}, parent=first)
    applied.publish(hive, ADA, {"refs/heads/main": second})
    assert applied.changed_files(hive, ADA, first, second) == ["a.x"]
    assert "-1\n+3\n" in applied.diff(hive, ADA, first, second, most=10_000)
    applied.forget_incoming(hive, ADA)
    assert proposed.ensure(hive, MONA, uid=UID, gid=UID, names=[ADA]) == []
    applied.create(hive, BOB)
    assert proposed.ensure(hive, MONA, uid=UID, gid=UID, names=[BOB]) == [BOB]
    assert os.listdir(canary) == []


def test_a_bare_repository_and_one_with_its_settings_elsewhere_run_nothing(hive: Hive, mona: Manager, canary: Path) -> None:
    first = set_traps(mona, canary)
    for number, script in enumerate(
        (
            "cp -a ada/.git bare && rm -rf ada && mv bare ada",
            "mkdir moved && mv ada moved/git && mkdir ada && echo 'gitdir: /config/moved/git' > ada/.git",
        )
    ):
        assert mona.run("sh", "-c", script).returncode == 0
        assert mona.fetch(first, operation=number + 1) == first
    assert os.listdir(canary) == []


def submodule(mona: Manager) -> str:
    sub = hand.put(mona.repository, "blob", b'[submodule "sub"]\n\tpath = sub\n\turl = ext::sh -c touch% /tmp/x\n')
    return hand.put_commit(
        mona.repository, hand.put_tree(mona.repository, ("100644", b".gitmodules", sub), ("160000", b"sub", "1" * 40))
    )


def option_as_address(mona: Manager) -> str:
    sub = hand.put(mona.repository, "blob", b'[submodule "sub"]\n\tpath = sub\n\turl = -u./payload\n')
    return hand.put_commit(
        mona.repository, hand.put_tree(mona.repository, ("100644", b".gitmodules", sub), ("160000", b"sub", "1" * 40))
    )


def climbing_file(mona: Manager) -> str:
    blob = hand.put(mona.repository, "blob", b"x")
    return hand.put_commit(mona.repository, hand.put_tree(mona.repository, ("100644", b"../../escaped", blob)))


def link_then_file(mona: Manager) -> str:
    """A link to a folder outside, then a file that would be written through it."""
    link, blob = hand.put(mona.repository, "blob", b"/tmp"), hand.put(mona.repository, "blob", b"x")
    return hand.put_commit(
        mona.repository, hand.put_tree(mona.repository, ("120000", b"a", link), ("100644", b"a/escaped", blob))
    )


def link_outside(mona: Manager) -> str:
    link = hand.put(mona.repository, "blob", b"../../../hive.sqlite")
    return hand.put_commit(mona.repository, hand.put_tree(mona.repository, ("120000", b"agent.toml", link)))


def inflated(mona: Manager) -> str:
    """A fifth of a megabyte that is forty when it is unpacked."""
    zeros = 40 * 1024**2
    packer = zlib.compressobj(1)
    header = b"blob %d\0" % zeros
    digest = hashlib.sha1(header, usedforsecurity=False)
    chunk = bytes(1024**2)
    data = [packer.compress(header)]
    for _ in range(40):
        digest.update(chunk)
        data.append(packer.compress(chunk))
    name = digest.hexdigest()
    file = mona.repository / ".git/objects" / name[:2] / name[2:]
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"".join([*data, packer.flush()]))
    return hand.put_commit(mona.repository, hand.put_tree(mona.repository, ("100644", b"zeros", name)))


@pytest.mark.parametrize("make", [submodule, option_as_address, climbing_file, link_then_file, link_outside, inflated])
def test_a_hostile_tree_is_refused_before_anything_of_it_lies_on_the_disk(
    hive: Hive, mona: Manager, outside: Path, make: Callable[[Manager], str]
) -> None:
    commit = make(mona)

    def take_over() -> None:
        mona.fetch(commit)
        applied.export(hive, ADA, commit, outside / "tree")

    with pytest.raises(Invalid):
        take_over()
    assert os.listdir(outside) == []
    assert not Path("/tmp/escaped").exists()


def test_what_was_reviewed_is_what_is_exported_whatever_is_amended_or_moved_later(
    hive: Hive, mona: Manager, outside: Path
) -> None:
    reviewed = mona.commit({"agent.toml": b"good"})
    mona.fetch(reviewed)
    (mona.repository / "agent.toml").write_bytes(b"evil")
    mona.git("commit", "-q", "-a", "--amend", "-m", "Change it")
    amended = mona.git("rev-parse", "HEAD")
    mona.fetch(amended, operation=8)
    # Replacing an object by another is a thing of the repository that says so.
    mona.git("replace", reviewed, amended)
    hand.git(hive.paths.applied(ADA), "replace", reviewed, amended)
    applied.publish(hive, ADA, {"refs/tags/proposal/7": amended})
    applied.export(hive, ADA, reviewed, outside / "tree")
    assert (outside / "tree/agent.toml").read_bytes() == b"good"
    assert applied.read(hive, ADA, reviewed, "agent.toml", most=10) == b"good"


def test_the_box_holds_the_proposers_folder_and_nothing_else(hive: Hive, mona: Manager) -> None:
    mona.commit({"a": b"1"})
    script = """
    ls /; echo; ls /config; echo; ls /tmp /run /var /root /home /applied 2>/dev/null; env | sort; echo
    cat /proc/net/dev | grep : | cut -d: -f1; id -u; ulimit -u; ulimit -v; ulimit -t
    for place in /config/x /x /usr/x /proc/x; do if : > $place; then echo wrote $place; fi; done 2>/dev/null; true
    """
    binds = ["--ro-bind", str(mona.folder), "/config"]
    words = Bubblewrap().errand(["bash", "-c", script], uid=UID, gid=UID, binds=binds, env={"A": "1"}, seconds=20, memory=MEMORY)
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=60, check=True, env={"PATH": os.environ["PATH"], "SECRET": "x"}
    )
    root, config, others, found = done.stdout.split("\n\n")
    assert set(root.split()) <= {"bin", "config", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "sbin", "tmp", "usr"}
    assert config.split() == ["ada"]
    names = {line.partition("=")[0] for line in others.splitlines() if "=" in line}
    assert names - {"_", "SHLVL", "PWD", "OLDPWD"} == {"A", "HOME", "LANG", "PATH"}
    assert found.split() == ["lo", "1000", "64", str(MEMORY // 1024), "20"]


def round_trip(hive: Hive, outside: Path) -> None:
    """All of it, as whoever this process is."""
    applied.create(hive, ADA)
    applied.publish(hive, ADA, {"refs/heads/main": hand.write(hive, {"agent.toml": b"1"})})
    assert proposed.ensure(hive, MONA, uid=None, gid=None, names=[ADA]) == [ADA]
    mona = Manager(hive, uid=None)
    commit = mona.commit({"agent.toml": b"2"})
    assert transfer.fetch(hive, ADA, proposer=MONA, uid=None, gid=None, commit=commit, operation=1) == commit
    applied.export(hive, ADA, commit, outside / "tree")
    assert (outside / "tree/agent.toml").read_bytes() == b"2"
    unseen = mona.commit({"agent.toml": b"3"})
    shutil.move(mona.repository, outside / "secret")
    mona.repository.symlink_to(outside / "secret")
    with pytest.raises(Invalid):
        transfer.fetch(hive, ADA, proposer=MONA, uid=None, gid=None, commit=unseen, operation=2)


def test_an_ordinary_user_needs_no_root_for_any_of_it(home: Path, outside: Path) -> None:
    if IS_ROOT:
        for folder in (home, outside):
            os.chown(folder, ORDINARY, ORDINARY)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setgroups([]) if IS_ROOT else None
            if IS_ROOT:
                os.setresgid(ORDINARY, ORDINARY, ORDINARY)
                os.setresuid(ORDINARY, ORDINARY, ORDINARY)
            round_trip(open_hive({"HYPERHIVE_HOME": str(home)}), outside)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    owner = ORDINARY if IS_ROOT else os.geteuid()
    shapes = {path.name: (stat.S_IMODE(path.stat().st_mode), path.stat().st_uid) for path in (home / "state").iterdir()}
    assert shapes["applied"] == shapes["proposed"] == (0o700, owner)


@pytest.mark.root
def test_another_managers_repositories_are_closed_to_a_manager(hive: Hive, mona: Manager) -> None:
    commit = mona.commit({"secret": b"1"})
    eve = AgentName("eve")
    assert UID is not None
    folders.give_proposed(hive, eve, uid=UID + 1)
    (hive.paths.proposed(eve) / ADA).symlink_to(mona.repository)
    with pytest.raises(Invalid):
        transfer.fetch(hive, ADA, proposer=eve, uid=UID + 1, gid=UID + 1, commit=commit, operation=1)
    # The control: as its own user it comes over.
    assert mona.fetch(commit) == commit
    tried: Mapping[str, int] = {
        path: subprocess.run(
            ["setpriv", f"--reuid={UID + 1}", f"--regid={UID + 1}", "--clear-groups", "--", "cat", path],
            capture_output=True,
            check=False,
        ).returncode
        for path in (str(mona.repository / "secret"), str(hive.paths.applied(ADA) / "HEAD"))
    }
    assert list(tried.values()) == [1, 0]
