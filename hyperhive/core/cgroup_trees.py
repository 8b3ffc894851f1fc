"""Where the kernel lets this process make control groups."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from hyperhive.core.errors import Unavailable

MEMORY: Final = "memory"
TASKS: Final = "pids"
_PROC: Final = Path("/proc/self")
# What systemd marks a group with that it leaves to those in it (https://systemd.io/CGROUP_DELEGATION/).
_DELEGATED: Final = ("user.delegate", "trusted.delegate")


class Tree(msgspec.Struct, frozen=True):
    """A group that others may be made below, and what those can limit. `version` is 1 or 2 (cgroups(7))."""

    base: Path
    version: int
    controllers: tuple[str, ...]


def find_trees(proc: Path = _PROC) -> list[Tree]:
    """The trees that limit memory, and tasks where they can. Raises `Unavailable` with the reason.

    Always below a group that this process is in: what limits hyperhive itself limits its agents too.
    """
    own, mounts = _own_groups(proc), list(_mounts(proc))
    second = [_below(root, point, own[""]) for kind, root, point, _ in mounts if kind == "cgroup2" and "" in own]
    for folder in second:
        if folder is not None and (tree := _second_version(*folder)) is not None:
            return [tree]
    first: list[Tree] = []
    for controller in (MEMORY, TASKS):
        for kind, root, point, options in mounts:
            if kind == "cgroup" and controller in options and controller in own:
                folder = _below(root, point, own[controller])
                if folder is not None and _may_make_groups(folder[0]):
                    first.append(Tree(folder[0], 1, (controller,)))
                    break
    if any(MEMORY in tree.controllers for tree in first):
        return first
    raise _reason(any(MEMORY in _words(folder[1] / "cgroup.controllers") for folder in second if folder), own, bool(mounts))


def _second_version(own: Path, top: Path) -> Tree | None:
    """The nearest group from `own` up to `top` whose groups can have limits."""
    wanted = {MEMORY, TASKS}
    if _is_delegated(own) and wanted <= _words(own / "cgroup.controllers") and _may_make_groups(own):
        return Tree(own, 2, (MEMORY, TASKS))
    for folder in (own, *own.parents):
        # A group that holds processes hands no controller on, so this is seldom the own one; of a unit that systemd has
        # left to its processes it is the one above, once they have made room.
        hands_on = wanted <= _words(folder / "cgroup.subtree_control")
        # Only the root of all groups may hold processes and hand on; nobody else's business is touched by it.
        may_hand_on = folder == own and not (folder / "cgroup.type").exists() and wanted <= _words(folder / "cgroup.controllers")
        if (hands_on or may_hand_on) and _may_make_groups(folder):
            return Tree(folder, 2, (MEMORY, TASKS))
        if folder == top:
            break
    return None


def _is_delegated(folder: Path) -> bool:
    """All below it is for the processes in it to arrange, and for nobody else."""
    for name in _DELEGATED:
        with suppress(OSError):
            if os.getxattr(folder, name) == b"1":
                return True
    return False


def _may_make_groups(folder: Path) -> bool:
    """Groups can be made there, and processes of below moved into them."""
    return os.access(folder, os.W_OK | os.X_OK) and os.access(folder / "cgroup.procs", os.W_OK)


def _own_groups(proc: Path) -> dict[str, str]:
    """The group of this process for each controller; the second version's has the name ""."""
    found: dict[str, str] = {}
    for line in _text(proc / "cgroup").splitlines():
        _, names, path = line.split(":", 2)
        found |= dict.fromkeys(names.split(","), path)
    return found


def _mounts(proc: Path) -> Iterator[tuple[str, str, Path, list[str]]]:
    """Kind, root, place and options of each mounted hierarchy (proc_pid_mountinfo(5))."""
    for line in _text(proc / "mountinfo").splitlines():
        where, _, what = line.partition(" - ")
        root, point = where.split()[3:5]
        kind, _, options = what.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            yield kind, root, Path(point), options.split(",")


def _below(root: str, point: Path, group: str) -> tuple[Path, Path] | None:
    """The folder of a group and that of the hierarchy, or None where only another part of it is mounted."""
    inside = os.path.relpath(group, root)
    if inside.split("/")[0] == "..":
        return None
    folder = point / inside if inside != "." else point
    return (folder, point) if folder.is_dir() else None


def _reason(has_memory: bool, own: dict[str, str], is_mounted: bool) -> Unavailable:
    if not is_mounted:
        return Unavailable("no control groups are mounted", hint="mount -t cgroup2 none /sys/fs/cgroup")
    if not has_memory and MEMORY not in own:
        return Unavailable(
            "this kernel limits no memory by control groups", hint="add cgroup_enable=memory to the kernel's command line"
        )
    if os.geteuid() != 0:
        return Unavailable("an ordinary user may make no control groups", hint="run hyperhive as root")
    return Unavailable(
        "the control groups cannot be written here", hint="in a container, give hyperhive a writable /sys/fs/cgroup"
    )


def _words(file: Path) -> set[str]:
    return set(_text(file).split())


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""
