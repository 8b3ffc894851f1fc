"""A group gets its limits in the words of its version."""

from pathlib import Path

import pytest

from hyperhive.core.cgroup_trees import Tree
from hyperhive.core.control_group import Group
from hyperhive.core.errors import Unavailable

BOTH = ("memory", "pids")


def base(home: Path, *folders: str) -> Path:
    """A group of the second version, with groups below it, as folders of a test."""
    for name in ("", *folders):
        (home / "base" / name).mkdir()
        (home / "base" / name / "cgroup.subtree_control").write_text("cpu", encoding="ascii")
    return home / "base"


def text(file: Path) -> str:
    return file.read_text(encoding="ascii")


def test_the_second_version_hands_its_controllers_down_and_allows_no_swap(home: Path) -> None:
    top = base(home, "hyperhive", "hyperhive/a")
    path = top / "hyperhive/a/ada"
    group = Group(Tree(top, 2, BOTH), path, memory=1000, tasks=10)
    for folder in (top, top / "hyperhive", top / "hyperhive/a"):
        assert text(folder / "cgroup.subtree_control") == "+memory +pids"
    found = {file.name: text(file) for file in path.iterdir()}
    assert found == {"memory.max": "1000", "memory.swap.max": "0", "pids.max": "10"}
    assert group.oom_kills() == 0
    (path / "memory.events").write_text("low 0\nhigh 0\nmax 7\noom 3\noom_kill 2\noom_group_kill 0\n", encoding="ascii")
    assert group.oom_kills() == 2
    group.close()


def test_controllers_that_are_handed_down_already_are_left_alone(home: Path) -> None:
    top = base(home, "hyperhive", "hyperhive/a")
    (top / "cgroup.subtree_control").write_text("cpu memory pids\n", encoding="ascii")
    Group(Tree(top, 2, BOTH), top / "hyperhive/a/ada", memory=1000, tasks=10).close()
    assert text(top / "cgroup.subtree_control") == "cpu memory pids\n"


def test_the_first_version_limits_memory_and_swap_together(home: Path) -> None:
    path = home / "hyperhive/a/ada"
    group = Group(Tree(home, 1, ("memory",)), path, memory=1000, tasks=10)
    found = {file.name: text(file) for file in path.iterdir()}
    assert found == {"memory.limit_in_bytes": "1000", "memory.memsw.limit_in_bytes": "1000"}
    group.close()


def test_what_cannot_be_made_is_said(home: Path) -> None:
    (home / "hyperhive").write_text("no folder", encoding="ascii")
    with pytest.raises(Unavailable, match="cannot be made: Not a directory"):
        Group(Tree(home, 1, ("memory",)), home / "hyperhive/a/ada", memory=1000, tasks=10)
