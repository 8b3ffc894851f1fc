"""Where control groups can be made is read off the machine, whichever version it has."""

import os
from pathlib import Path

import pytest

from hyperhive.core.cgroup_trees import Tree, find_trees
from hyperhive.core.errors import Unavailable

BOTH = "cpu memory pids"


class Machine:
    """The files of the kernel that tell of control groups, as folders of a test."""

    def __init__(self, home: Path) -> None:
        self.proc = home / "proc"
        self.top = home / "cgroup"
        self.proc.mkdir()
        self._mounts: list[str] = []
        self._own: list[str] = []

    def mount(self, kind: str, options: str, own: str, *, name: str = "", root: str = "/", names: str = "") -> None:
        """Mount a hierarchy in which this process is in the group `own`."""
        self._mounts.append(f"31 23 0:28 {root} {self.top / name} rw,relatime - {kind} {kind} {options}")
        self._own.append(f"{len(self._own)}:{names}:{own}")
        (self.proc / "mountinfo").write_text("\n".join(self._mounts) + "\n", encoding="utf-8")
        (self.proc / "cgroup").write_text("\n".join(self._own) + "\n", encoding="utf-8")

    def group(self, path: str = "", *, has: str = "", hands_on: str = "") -> Path:
        """Make a group."""
        folder = self.top / path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cgroup.procs").write_text("", encoding="ascii")
        (folder / "cgroup.controllers").write_text(has, encoding="ascii")
        (folder / "cgroup.subtree_control").write_text(hands_on, encoding="ascii")
        if path:
            (folder / "cgroup.type").write_text("domain", encoding="ascii")
        return folder


@pytest.fixture
def machine(home: Path) -> Machine:
    return Machine(home)


def test_the_nearest_group_that_hands_on_its_controllers_is_taken(machine: Machine) -> None:
    machine.mount("cgroup2", "rw", "/user.slice/user-0.slice/session-1.scope")
    machine.group(has=BOTH, hands_on=BOTH)
    machine.group("user.slice", has=BOTH, hands_on=BOTH)
    near = machine.group("user.slice/user-0.slice", has=BOTH, hands_on=BOTH)
    machine.group("user.slice/user-0.slice/session-1.scope", has=BOTH)
    assert find_trees(machine.proc) == [Tree(near, 2, ("memory", "pids"))]


def test_nothing_above_what_is_mounted_is_taken(machine: Machine) -> None:
    machine.mount("cgroup2", "rw", "/box/inner", root="/box")
    machine.group(has=BOTH, hands_on=BOTH)
    machine.group("inner", has=BOTH)
    assert find_trees(machine.proc) == [Tree(machine.top, 2, ("memory", "pids"))]
    outside = Machine(machine.top)
    outside.mount("cgroup2", "rw", "/elsewhere", root="/box")
    outside.group(has=BOTH, hands_on=BOTH)
    with pytest.raises(Unavailable):
        find_trees(outside.proc)


def test_only_the_root_of_all_groups_may_hold_processes_and_hand_on(machine: Machine) -> None:
    machine.mount("cgroup2", "rw", "/")
    top = machine.group(has=BOTH)
    assert find_trees(machine.proc) == [Tree(top, 2, ("memory", "pids"))]
    (top / "cgroup.type").write_text("domain", encoding="ascii")
    with pytest.raises(Unavailable, match="cannot be written here"):
        find_trees(machine.proc)


def test_a_group_that_systemd_left_to_its_processes_is_taken_before_those_above(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.mount("cgroup2", "rw", "/system.slice/agent.service")
    machine.group(has=BOTH, hands_on=BOTH)
    above = machine.group("system.slice", has=BOTH, hands_on=BOTH)
    own = machine.group("system.slice/agent.service", has=BOTH)
    # The control: without the mark it is none.
    assert find_trees(machine.proc) == [Tree(above, 2, ("memory", "pids"))]
    marks = {(own, "user.delegate"): b"1"}

    def read(path: Path, name: str) -> bytes:
        if (path, name) not in marks:
            raise OSError
        return marks[path, name]

    monkeypatch.setattr(os, "getxattr", read)
    assert find_trees(machine.proc) == [Tree(own, 2, ("memory", "pids"))]


def test_a_hybrid_machine_limits_by_its_first_version(machine: Machine) -> None:
    machine.mount("cgroup", "rw,memory", "/service", name="memory", names="memory")
    machine.mount("cgroup", "rw,pids", "/", name="pids", names="pids")
    machine.mount("cgroup2", "rw", "/", name="unified")
    memory, pids = machine.group("memory/service"), machine.group("pids")
    machine.group("unified")
    assert find_trees(machine.proc) == [Tree(memory, 1, ("memory",)), Tree(pids, 1, ("pids",))]


def test_memory_is_limited_also_where_tasks_are_not(machine: Machine) -> None:
    machine.mount("cgroup", "rw,memory", "/", name="memory", names="memory")
    memory = machine.group("memory")
    assert find_trees(machine.proc) == [Tree(memory, 1, ("memory",))]


def test_a_machine_without_any_says_so(machine: Machine) -> None:
    with pytest.raises(Unavailable, match="no control groups are mounted"):
        find_trees(machine.proc)


def test_a_kernel_that_limits_no_memory_says_so(machine: Machine) -> None:
    machine.mount("cgroup2", "rw", "/")
    machine.group(has="cpu pids")
    with pytest.raises(Unavailable, match="this kernel limits no memory") as caught:
        find_trees(machine.proc)
    assert "cgroup_enable=memory" in (caught.value.hint or "")
