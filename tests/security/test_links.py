"""Links and odd files of an agent's making lead the host nowhere, where it reads, measures or removes."""

import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hyperhive.core import beneath, folders
from hyperhive.core.errors import Denied, HyperhiveError, Invalid, NotFound, Unavailable
from hyperhive.core.hive import Hive, open_hive
from hyperhive.core.model import AgentName
from tests.runtimes import boxes

ADA = AgentName("ada")
ROUNDS = int(os.environ.get("HYPERHIVE_ROUNDS", "20"))


@pytest.fixture
def hive(home: Path) -> Hive:
    hive = open_hive()
    folders.prepare(hive, ADA, uid=None)
    return hive


@pytest.fixture
def canary(outside: Path) -> Path:
    """A folder outside that must survive whatever happens to the agent's."""
    (outside / "precious").mkdir()
    (outside / "precious/canary").write_text("alive")
    return outside / "precious"


def alive(canary: Path) -> bool:
    return (canary / "canary").exists()


def removed_naively(folder: Path) -> None:
    """What purging must not do: look first, and go by paths later."""
    for at, names, files in os.walk(folder, topdown=False, followlinks=True):
        for name in files:
            os.unlink(f"{at}/{name}")
        for name in names:
            if not os.path.islink(f"{at}/{name}"):
                os.rmdir(f"{at}/{name}")


def odd_files(workspace: Path, secret: Path) -> None:
    """One of each that an agent can make."""
    (workspace / "link").symlink_to(secret)
    (workspace / "folder-link").symlink_to(secret.parent)
    (workspace / "dangling").symlink_to("/nowhere")
    (workspace / "loop").symlink_to("loop")
    os.mkfifo(workspace / "fifo")
    with open(workspace / "giant", "wb") as file:
        file.truncate(1 << 42)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(workspace / "socket"))
    (workspace / "plain").write_text("fine")
    (workspace / "folder").mkdir()
    (workspace / "folder/plain").write_text("fine too")


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("link", Denied), ("folder-link/canary", Denied), ("dangling", Denied), ("loop", Denied), ("loop/x", Denied),
        ("fifo", Denied), ("socket", Denied), ("giant", Invalid), ("folder", Denied), ("plain/x", Denied), ("none", NotFound),
        ("folder/none", NotFound),
    ],
)  # fmt: skip
def test_only_plain_files_are_read(hive: Hive, canary: Path, name: str, error: type[HyperhiveError]) -> None:
    workspace = hive.paths.agent_workspace(ADA)
    odd_files(workspace, canary / "canary")
    with pytest.raises(error):
        beneath.read_beneath(workspace, name, 1000)


def test_plain_files_are_read_up_to_the_limit(hive: Hive, canary: Path) -> None:
    workspace = hive.paths.agent_workspace(ADA)
    odd_files(workspace, canary / "canary")
    assert beneath.read_beneath(workspace, "plain", 4) == b"fine"
    assert beneath.read_beneath(workspace, "folder/plain", 100) == b"fine too"
    with pytest.raises(Invalid, match="more than 3 bytes"):
        beneath.read_beneath(workspace, "plain", 3)


def test_reading_by_path_would_have_followed_the_link(hive: Hive, canary: Path) -> None:
    workspace = hive.paths.agent_workspace(ADA)
    odd_files(workspace, canary / "canary")
    assert (workspace / "link").read_text() == (workspace / "folder-link/canary").read_text() == "alive"


def test_a_folder_that_is_a_link_itself_is_not_read(hive: Hive, canary: Path) -> None:
    link = hive.paths.agent_workspace(ADA) / "link"
    link.symlink_to(canary)
    with pytest.raises(Denied):
        beneath.read_beneath(link, "canary", 100)


@pytest.mark.parametrize(
    "name",
    ["", "/", "/etc/passwd", "..", "../x", "folder/../plain", "./plain", "folder//plain", "plain/", "a\0b", "\0"],
)  # fmt: skip
def test_paths_that_climb_are_refused(hive: Hive, name: str) -> None:
    with pytest.raises(Invalid):
        beneath.read_beneath(hive.paths.agent_workspace(ADA), name, 100)


@pytest.mark.parametrize("name", ["-x", "--help", "a\nb", "n" * 255, "\u202egpj", "*", "$(id)", "a b", "\x1b[2J"])
def test_odd_names_are_only_names(hive: Hive, name: str) -> None:
    workspace = hive.paths.agent_workspace(ADA)
    (workspace / name).write_text("x")
    (workspace / "folder").mkdir()
    (workspace / "folder" / name).mkdir()
    assert beneath.read_beneath(workspace, name, 1) == b"x"
    with pytest.raises(Denied) as refused:
        beneath.read_beneath(workspace, f"folder/{name}", 1)
    assert "\x1b" not in refused.value.message
    assert "\u202e" not in refused.value.message
    folders.purge(hive, ADA)
    assert os.listdir(hive.paths.agents) == []


def test_a_name_that_is_too_long_is_no_file(hive: Hive) -> None:
    with pytest.raises(Denied):
        beneath.read_beneath(hive.paths.agent_workspace(ADA), "n" * 300, 100)


def test_a_giant_with_nothing_in_it_counts_as_nothing(hive: Hive, canary: Path) -> None:
    odd_files(hive.paths.agent_workspace(ADA), canary / "canary")
    (canary / "big").write_bytes(bytes(5_000_000))
    size = folders.size_of(hive, ADA)
    assert size.bytes < 1_000_000
    assert size.complete


def test_a_date_beyond_every_calendar_is_no_date(hive: Hive) -> None:
    file = hive.paths.agent_workspace(ADA) / "file"
    file.touch()
    os.utime(file, (2**40, 2**40))
    assert folders.size_of(hive, ADA).bytes >= 0


def test_purging_leaves_alone_what_links_point_to(hive: Hive, canary: Path) -> None:
    odd_files(hive.paths.agent_workspace(ADA), canary / "canary")
    folders.purge(hive, ADA)
    assert alive(canary)
    assert os.listdir(hive.paths.agents) == []


def test_the_naive_way_would_have_followed_them(hive: Hive, canary: Path) -> None:
    odd_files(hive.paths.agent_workspace(ADA), canary / "canary")
    removed_naively(hive.paths.agent_workspace(ADA))
    assert not alive(canary)


def swapping(folder: Path, canary: Path) -> tuple[threading.Thread, threading.Event]:
    """Somebody who holds the folder open and puts a link in a sub-folder's place, and back, as fast as can be."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            for old, new in (("sub", "kept"), ("link", "sub"), ("sub", "link"), ("kept", "sub")):
                try:
                    os.rename(old, new, src_dir_fd=fd, dst_dir_fd=fd)
                except OSError:
                    continue
        os.close(fd)

    (folder / "link").symlink_to(canary)
    (folder / "sub/deeper").mkdir(parents=True)
    for number in range(200):
        (folder / "sub" / str(number)).touch()
        (folder / "sub/deeper" / str(number)).touch()
    return threading.Thread(target=swap), done


def test_a_folder_that_is_swapped_for_a_link_meanwhile_leads_nowhere(hive: Hive, canary: Path) -> None:
    for _ in range(ROUNDS):
        folders.prepare(hive, ADA, uid=None)
        swapper, done = swapping(hive.paths.agent_workspace(ADA), canary)
        swapper.start()
        try:
            # Who is fast enough keeps a name from being removed, and is told of; then purging again goes on.
            with contextlib.suppress(Unavailable):
                folders.purge(hive, ADA)
        finally:
            done.set()
            swapper.join()
        assert alive(canary)
        folders.purge(hive, ADA)
        assert os.listdir(hive.paths.agents) == []


def swap_at(monkeypatch: pytest.MonkeyPatch, call: str, name: str, folder: Path, canary: Path) -> list[str]:
    """Put a link in the place of `folder/name` right before the first call that is given that name."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    swapped: list[str] = []
    original: Callable[..., object] = getattr(os, call)

    def first_swap(path: object, *args: object, **others: object) -> object:
        if path == name and not swapped:
            swapped.append(call)
            os.rename("sub", "kept", src_dir_fd=fd, dst_dir_fd=fd)
            os.symlink(canary, "sub", dir_fd=fd)
            os.close(fd)
        return original(path, *args, **others)

    monkeypatch.setattr(os, call, first_swap)
    return swapped


@pytest.mark.parametrize("call", ["unlink", "rmdir", "open"])
def test_a_swap_at_the_worst_moment_leads_nowhere(hive: Hive, canary: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    workspace = hive.paths.agent_workspace(ADA)
    (workspace / "sub").mkdir()
    (workspace / "sub/file").touch()
    swapped = swap_at(monkeypatch, call, "sub", workspace, canary)
    folders.purge(hive, ADA)
    assert swapped
    assert alive(canary)
    assert os.listdir(hive.paths.agents) == []


def test_the_worst_moment_is_bad_enough_for_the_naive_way(hive: Hive, canary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = hive.paths.agent_workspace(ADA)
    (workspace / "sub").mkdir()
    (workspace / "sub/canary").touch()
    swapped = swap_at(monkeypatch, "unlink", f"{workspace}/sub/canary", workspace, canary)
    removed_naively(workspace)
    assert swapped
    assert not alive(canary)


def test_no_depth_is_too_deep(hive: Hive) -> None:
    at = os.open(hive.paths.agent_workspace(ADA), os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(5000):
        os.mkdir("d" * 20, dir_fd=at)
        below = os.open("d" * 20, os.O_RDONLY | os.O_DIRECTORY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    assert not folders.size_of(hive, ADA).complete
    folders.purge(hive, ADA)
    assert os.listdir(hive.paths.agents) == []


def test_no_folder_is_too_full(hive: Hive) -> None:
    workspace = hive.paths.agent_workspace(ADA)
    for number in range(3000):
        (workspace / str(number)).touch()
        (workspace / f"d{number}").mkdir()
        (workspace / f"d{number}/x").touch()
    folders.purge(hive, ADA)
    assert os.listdir(hive.paths.agents) == []


@contextmanager
def as_the_ordinary_user(box: boxes.Box) -> Iterator[None]:
    """Own the hive and go on as that user does: without root's right to pass through closed folders."""
    if box.kind != "ordinary" or not boxes.IS_ROOT:
        yield
        return
    paths = box.hive.paths
    for folder in (paths.agents, paths.run / "agents", paths.state / "builds", paths.proposed_folder):
        for at, _, files in os.walk(folder):
            for path in (at, *(f"{at}/{name}" for name in files)):
                os.chown(path, boxes.ORDINARY, boxes.ORDINARY, follow_symlinks=False)
    os.seteuid(boxes.ORDINARY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("kind", boxes.KINDS)
@pytest.mark.box
def test_what_an_agent_has_closed_is_removed_all_the_same(kind: str) -> None:
    box = boxes.make(kind)
    box.out("sh", "-c", "mkdir -p a/b/c z; echo x > a/b/c/d; echo x > a/b/e; chmod 000 a/b/c/d a/b/c a/b a; chmod 555 z .")
    with as_the_ordinary_user(box):
        folders.purge(box.hive, box.place.name)
    assert os.listdir(box.hive.paths.agents) == []


@pytest.mark.root
def test_what_cannot_be_removed_is_named_and_the_rest_is_gone(hive: Hive) -> None:
    (hive.paths.agent_workspace(ADA) / "a/b").mkdir(parents=True)
    stuck = hive.paths.agent_workspace(ADA) / "a/b/stuck\x1b[2J"
    stuck.touch()
    stuck.with_name("other").touch()
    if subprocess.run(["chattr", "+i", stuck], capture_output=True, check=False).returncode != 0:
        pytest.skip("needs a file system that knows immutable files")
    try:
        with pytest.raises(Unavailable, match="1 thing of ada cannot be removed: stuck") as refused:
            folders.purge(hive, ADA)
        left = [Path(at) / name for at, _, names in os.walk(hive.paths.agents) for name in names]
    finally:
        for at, _, names in os.walk(hive.paths.agents):
            for name in names:
                subprocess.run(["chattr", "-i", f"{at}/{name}"], check=True)
    assert "\x1b" not in refused.value.message
    assert [path.name for path in left] == [stuck.name]
    folders.purge(hive, ADA)
    assert os.listdir(hive.paths.agents) == []
