"""A commit comes out of a manager's repository whole and checked, or not at all."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hyperhive.core import applied, process
from hyperhive.core.errors import Expired, Invalid, NotFound, Unavailable
from hyperhive.core.hive import Hive
from tests.faults.chance import rounds
from tests.repositories import hand
from tests.repositories.boxes import UID, Manager
from tests.repositories.hand import ADA

pytestmark = pytest.mark.box
ROUNDS = rounds(8)


@pytest.fixture
def mona(hive: Hive) -> Manager:
    """A manager with an empty repository for ada."""
    manager = Manager(hive)
    manager.begin()
    return manager


def objects(hive: Hive) -> list[Path]:
    """Every file of ada's applied repository."""
    return sorted(path for path in hive.paths.applied(ADA).rglob("*") if path.is_file())


def references(hive: Hive) -> str:
    return hand.git(hive.paths.applied(ADA), "for-each-ref", "--format=%(refname) %(objectname)")


def processes_with(word: str) -> list[bytes]:
    """The processes of this machine that were started with this word."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = file.read_bytes()
            if word.encode() in words.split(b"\0"):
                found.append(words)
    return found


def test_a_commit_is_brought_over_as_an_incoming_reference(hive: Hive, mona: Manager) -> None:
    first = mona.commit({"agent.toml": b'role = "x"\n', "deep/er": b"y"})
    assert mona.fetch(first) == first
    assert references(hive) == f"refs/incoming/7 {first}"
    assert applied.read(hive, ADA, first, "deep/er", most=10) == b"y"
    hand.git(hive.paths.applied(ADA), "fsck", "--strict")
    kept = [path for path in hive.paths.applied(ADA).joinpath("objects").rglob("*") if path.is_file()]
    assert sorted((path.parent.name, path.suffix, path.stat().st_mode & 0o777) for path in kept) == [
        ("pack", ".idx", 0o444), ("pack", ".pack", 0o444),
    ]  # fmt: skip


def test_a_commit_that_no_branch_names_and_one_that_is_there_already_come_too(hive: Hive, mona: Manager) -> None:
    first = mona.commit({"a": b"1"})
    mona.git("checkout", "-q", "--detach")
    second = mona.commit({"a": b"2"})
    mona.git("checkout", "-q", "main")
    assert mona.fetch(second) == second
    assert mona.fetch(first, operation=8) == first
    assert mona.fetch(second.upper(), operation=9) == second
    assert len(references(hive).splitlines()) == 3


def test_only_what_is_new_is_brought_over(hive: Hive, mona: Manager) -> None:
    first = mona.commit({"big": random.Random(1).randbytes(100_000)})
    applied.publish(hive, ADA, {"refs/heads/main": mona.fetch(first)})
    applied.forget_incoming(hive, ADA)
    before = set(objects(hive))
    mona.fetch(mona.commit({"small": b"x"}), operation=8)
    new = [path for path in objects(hive) if path not in before and path.suffix == ".pack"]
    assert [path.stat().st_size < 2000 for path in new] == [True]


def test_a_part_of_an_id_or_a_name_is_refused(mona: Manager) -> None:
    first = mona.commit({"a": b"1"})
    for text in ("main", "HEAD", first[:12], "--upload-pack=touch /x", f"{first}:refs/heads/main", f"+{first}"):
        with pytest.raises(Invalid, match="commit's id"):
            mona.fetch(text)


def test_without_an_applied_repository_there_is_nothing_to_bring_it_to(hive: Hive, mona: Manager) -> None:
    first = mona.commit({"a": b"1"})
    applied.purge(hive, ADA)
    with pytest.raises(NotFound):
        mona.fetch(first)


def test_a_machine_without_bubblewrap_is_told_what_to_install(
    mona: Manager, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = mona.commit({"a": b"1"})
    for program in ("git", "sh", "setpriv", "prlimit"):
        (outside / program).symlink_to(shutil.which(program) or "")
    monkeypatch.setattr(process, "PATH", str(outside))
    with pytest.raises(Unavailable, match="bubblewrap is not installed") as refused:
        mona.fetch(first)
    assert "apt-get install bubblewrap" in (refused.value.hint or "")


def missing_file(mona: Manager) -> str:
    first = mona.commit({"a": b"1", "b": b"2"})
    blob = mona.git("rev-parse", "HEAD:b")
    (mona.repository / ".git/objects" / blob[:2] / blob[2:]).unlink()
    return first


def torn_file(mona: Manager) -> str:
    first = mona.commit({"a": b"1", "b": b"2" * 1000})
    blob = mona.git("rev-parse", "HEAD:b")
    file = mona.repository / ".git/objects" / blob[:2] / blob[2:]
    data = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(data[: len(data) // 2])
    return first


def other_content(mona: Manager) -> str:
    """A file whose content is not what its id says."""
    first = mona.commit({"a": b"1", "b": b"2"})
    one, other = (mona.git("rev-parse", f"HEAD:{name}") for name in "ab")
    files = [mona.repository / ".git/objects" / name[:2] / name[2:] for name in (one, other)]
    files[0].chmod(0o644)
    files[0].write_bytes(files[1].read_bytes())
    return first


def malformed(mona: Manager) -> str:
    """A tree in which a file is called `..`."""
    blob = hand.put(mona.repository, "blob", b"x")
    return hand.put_commit(mona.repository, hand.put_tree(mona.repository, ("100644", b"..", blob)))


def with_git_folder(mona: Manager) -> str:
    blob = hand.put(mona.repository, "blob", b"x")
    folder = hand.put_tree(mona.repository, ("100644", b"config", blob))
    return hand.put_commit(mona.repository, hand.put_tree(mona.repository, ("40000", b".git", folder)))


def shallow(mona: Manager) -> str:
    """A repository that says that history ends where it does not."""
    mona.commit({"a": b"1"})
    last = mona.commit({"a": b"2"})
    (mona.repository / ".git/shallow").write_text(f"{last}\n")
    return last


def grafted(mona: Manager) -> str:
    mona.commit({"a": b"1"})
    last = mona.commit({"a": b"2"})
    (mona.repository / ".git/info").mkdir(exist_ok=True)
    (mona.repository / ".git/info/grafts").write_text(f"{last}\n")
    return last


def partial(mona: Manager) -> str:
    """A clone that would ask elsewhere, by a command, for what it lacks."""
    first = missing_file(mona)
    elsewhere = "ext::sh -c touch% /config/canary"
    for key, value in (
        ("extensions.partialClone", "origin"), ("remote.origin.promisor", "true"), ("remote.origin.url", elsewhere),
        ("protocol.ext.allow", "always"), ("core.repositoryFormatVersion", "1"),
    ):  # fmt: skip
        mona.git("config", key, value)
    return first


def unknown(mona: Manager) -> str:
    mona.commit({"a": b"1"})
    return "1" * 40


def a_tree(mona: Manager) -> str:
    mona.commit({"a": b"1"})
    return mona.git("rev-parse", "HEAD^{tree}")


def a_tag(mona: Manager) -> str:
    mona.commit({"a": b"1"})
    mona.git("tag", "-a", "-m", "x", "v1")
    return mona.git("rev-parse", "v1")


def no_repository(mona: Manager) -> str:
    first = mona.commit({"a": b"1"})
    shutil.rmtree(mona.repository / ".git")
    return first


def nothing(mona: Manager) -> str:
    first = mona.commit({"a": b"1"})
    shutil.rmtree(mona.repository)
    return first


def a_file(mona: Manager) -> str:
    first = nothing(mona)
    mona.repository.write_text("x")
    return first


def a_fifo(mona: Manager) -> str:
    first = nothing(mona)
    os.mkfifo(mona.repository)
    return first


def too_large(mona: Manager) -> str:
    return mona.commit({"a": random.Random(2).randbytes(300_000)})


def other_ids(mona: Manager) -> str:
    """A repository with the longer kind of id."""
    shutil.rmtree(mona.repository)
    assert mona.run("git", "init", "-q", "--object-format=sha256", str(mona.repository)).returncode == 0
    return mona.commit({"a": b"1"})


@pytest.mark.parametrize(
    ("make", "wrong"),
    [
        (missing_file, "is not in order"),
        (torn_file, "is not in order"),
        (other_content, "is not in order"),
        (malformed, "hasDotdot"),
        (with_git_folder, "hasDotgit"),
        (shallow, "is not in order"),
        (partial, "is not in order"),
        (unknown, "there is no commit"),
        (a_tree, "is no commit"),
        (a_tag, "is no commit"),
        (no_repository, "no git repository"),
        (nothing, "has no repository for ada"),
        (a_file, "no git repository"),
        (a_fifo, "no git repository"),
        (too_large, "larger than 100000 bytes"),
        (other_ids, "there is no commit"),
    ],
)
def test_what_is_not_in_order_is_refused_and_leaves_nothing(
    hive: Hive, mona: Manager, monkeypatch: pytest.MonkeyPatch, make: Callable[[Manager], str], wrong: str
) -> None:
    monkeypatch.setattr("hyperhive.core.transfer.PACK_MOST", 100_000)
    applied.publish(hive, ADA, {"refs/heads/main": hand.write(hive, {"a": b"0"})})
    before = objects(hive)
    with pytest.raises(Invalid, match=wrong) as refused:
        mona.fetch(make(mona))
    assert refused.value.hint
    assert objects(hive) == before
    assert not (mona.folder / "canary").exists()


def test_what_was_refused_comes_over_once_it_is_mended(hive: Hive, mona: Manager) -> None:
    first = missing_file(mona)
    with pytest.raises(Invalid):
        mona.fetch(first)
    mona.git("hash-object", "-w", "b")
    assert mona.fetch(first) == first
    hand.git(hive.paths.applied(ADA), "fsck", "--strict")


def test_a_history_that_is_cut_by_a_graft_comes_whole_or_not_at_all(hive: Hive, mona: Manager) -> None:
    last = grafted(mona)
    with contextlib.suppress(Invalid):
        mona.fetch(last)
        hand.git(hive.paths.applied(ADA), "rev-list", "--objects", "--quiet", last)
    hand.git(hive.paths.applied(ADA), "fsck", "--strict")


def test_one_that_never_answers_is_too_slow(hive: Hive, mona: Manager) -> None:
    first = mona.commit({"a": b"1"})
    packed = mona.repository / ".git/packed-refs"
    packed.unlink(missing_ok=True)
    os.mkfifo(packed)
    before = objects(hive)
    with pytest.raises(Expired):
        mona.fetch(first, seconds=1.0)
    assert objects(hive) == before
    until = time.monotonic() + 30
    while left := processes_with(str(mona.folder)):
        assert time.monotonic() < until, left
        time.sleep(0.01)


def test_a_name_that_is_a_link_leads_nowhere_outside(hive: Hive, mona: Manager, outside: Path) -> None:
    first = mona.commit({"a": b"1"})
    secret = outside / "secret"
    shutil.move(mona.repository, secret)
    before = objects(hive)
    for target in (
        secret,
        Path("../../../..", *secret.parts[1:]),
        hive.paths.applied(ADA),
        Path("/proc/1/root", *secret.parts[1:]),
    ):
        mona.repository.symlink_to(target)
        with pytest.raises(Invalid, match="no git repository"):
            mona.fetch(first)
        mona.repository.unlink()
    for pointer in (f"gitdir: {secret}/.git\n", "gitdir: /etc\n", f"gitdir: {hive.paths.applied(ADA)}\n"):
        mona.repository.mkdir()
        (mona.repository / ".git").write_text(pointer)
        with pytest.raises(Invalid, match="no git repository"):
            mona.fetch(first)
        shutil.rmtree(mona.repository)
    assert objects(hive) == before


def test_objects_of_a_neighbour_cannot_be_borrowed(hive: Hive, mona: Manager, outside: Path) -> None:
    first = mona.commit({"a": b"1"})
    shutil.move(mona.repository / ".git/objects", outside / "objects")
    (mona.repository / ".git/objects/info").mkdir(parents=True)
    (mona.repository / ".git/objects/info/alternates").write_text(f"{outside}/objects\n{hive.paths.applied(ADA)}/objects\n")
    with pytest.raises(Invalid):
        mona.fetch(first)


def test_a_name_that_is_swapped_all_the_time_gives_the_right_commit_or_none(hive: Hive, mona: Manager, outside: Path) -> None:
    first = mona.commit({"a": b"1"})
    shutil.copytree(mona.repository, outside / "secret")
    foreign = hand.put_commit(
        outside / "secret", hand.put_tree(outside / "secret", ("100644", b"s", hand.put(outside / "secret", "blob", b"!")))
    )
    (mona.folder / "link").symlink_to(outside / "secret")
    swap = (
        "import ctypes, os, sys\nos.chdir(sys.argv[1])\nprint(flush=True)\nlibc = ctypes.CDLL(None)\n"
        # renameat2(…, RENAME_EXCHANGE)
        "while True: libc.renameat2(-100, b'ada', -100, b'link', 2)\n"
    )
    with subprocess.Popen([sys.executable, "-c", swap, str(mona.folder)], stdout=subprocess.PIPE) as swapper:
        assert swapper.stdout is not None
        swapper.stdout.readline()
        try:
            for number in range(1, 7):
                with contextlib.suppress(Invalid):
                    mona.fetch(first, operation=number)
                with pytest.raises(Invalid):
                    mona.fetch(foreign, operation=100 + number)
        finally:
            swapper.kill()
    assert "refs/incoming/10" not in references(hive)
    hand.git(hive.paths.applied(ADA), "fsck", "--strict")


FETCH = """
import sys
from hyperhive.core import applied, transfer
from hyperhive.core.hive import open_hive
from hyperhive.core.model import AgentName
hive = open_hive()
uid = int(sys.argv[1]) if sys.argv[1] else None
print(flush=True)
applied.forget_incoming(hive, AgentName("ada"))
transfer.fetch(hive, AgentName("ada"), proposer=AgentName("mona"), uid=uid, gid=uid, commit=sys.argv[2], operation=7)
"""


def test_a_transfer_that_is_killed_leaves_no_half_reference_and_can_be_done_again(hive: Hive, mona: Manager) -> None:
    chance = random.Random(3)
    first = mona.commit({f"{number}": chance.randbytes(20_000) for number in range(20)})
    repository = hive.paths.applied(ADA)
    for _ in range(ROUNDS):
        with subprocess.Popen(
            [sys.executable, "-c", FETCH, str(UID or ""), first],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(os.environ),
        ) as fetching:
            assert fetching.stdout is not None
            fetching.stdout.readline()
            # Any instant will do: the time is chance itself, and nothing waits for it.
            time.sleep(chance.random() * 0.12)
            fetching.send_signal(signal.SIGKILL)
        if references(hive):
            hand.git(repository, "rev-list", "--objects", "--quiet", "refs/incoming/7")
        hand.git(repository, "fsck", "--strict")
    applied.forget_incoming(hive, ADA)
    assert references(hive) == ""
    assert mona.fetch(first) == first
    assert [path.name for path in (repository / "objects").iterdir() if path.name.startswith("tmp_")] == []
