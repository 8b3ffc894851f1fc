"""How much memory and how many tasks the programs of an agent may use, all of them together."""

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from hyperhive.core import cgroup_trees
from hyperhive.core.cgroup_trees import Tree
from hyperhive.core.control_group import EVENTS, Group, oom_kills, remove_unused
from hyperhive.core.errors import Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.user_scope import Scope

_OURS: Final = "hyperhive"
# `0` is the process that writes. What it becomes, and the folders, are words: nothing of an agent is in the script.
_JOIN: Final = 'for group; do shift; [ "$group" = -- ] && break; echo 0 >"$group/cgroup.procs" || exit 125; done; exec "$@"'


class Limits:
    """The limits of one program and of all that it starts: `words` go in front of its command.

    Where nothing can be limited there are no words, and `why_not` says why.
    """

    def __init__(
        self,
        groups: Sequence[Group] = (),
        *,
        scope: Scope | None = None,
        unit: Path | None = None,
        why_not: Unavailable | None = None,
    ) -> None:
        self.why_not = why_not
        self._groups = list(groups)
        self._scope = scope
        self._unit = unit
        self._before = 0
        self.begin()

    @property
    def words(self) -> tuple[str, ...]:
        """The words that put a program under the limits before it runs, and then become it."""
        if self._groups:
            return ("sh", "-c", _JOIN, "sh", *(str(group.path) for group in self._groups), "--")
        return self._scope.words if self._scope is not None else ()

    @property
    def how(self) -> str:
        """By what it is limited, for people."""
        if self._groups:
            return f"control groups like {self._groups[0].path}"
        return "scopes of this user's systemd" if self._scope is not None else "nothing"

    def begin(self) -> None:
        """From now on `ran_out` tells."""
        self._before = self._kills()

    def ran_out(self) -> bool:
        """The kernel has ended something for want of memory since `begin`."""
        return self._kills() > self._before or (self._scope is not None and self._scope.was_out_of_memory())

    def close(self) -> None:
        """Give the limits up. Whatever still runs keeps them."""
        for group in self._groups:
            group.close()
        if self._scope is not None:
            self._scope.close()
        self._groups, self._scope = [], None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _kills(self) -> int:
        of_unit = 0 if self._unit is None else oom_kills(self._unit / EVENTS)
        return sum(group.oom_kills() for group in self._groups) + of_unit


def limit(hive: Hive, leaf: str, *, memory: int, tasks: int) -> Limits:
    """Limit what is called `leaf` in this hive to `memory` bytes, swap among them, and to `tasks` processes and threads.

    Everything of one leaf shares its limits, also what other processes start: an agent's name is the leaf of its CLI
    and of what is run in its container.
    """
    tidy(hive)
    groups: list[Group] = []
    try:
        for tree in cgroup_trees.find_trees():
            folder = _folder(hive, tree, leaf)
            # Before, for one who is killed while making it; after, for another may have tidied meanwhile.
            _remember(hive, tree, folder)
            groups.append(Group(tree, folder / leaf, memory=memory, tasks=tasks))
            _remember(hive, tree, folder)
    except Unavailable as error:
        for group in groups:
            group.close()
        if os.geteuid() == 0:
            return Limits(why_not=error)
    else:
        return Limits(groups)
    try:
        return Limits(scope=Scope(f"{_OURS}-{_digest(hive)}-{leaf}", memory=memory, tasks=tasks))
    except Unavailable as error:
        return Limits(why_not=error)


def of_unit(group: Path) -> Limits:
    """The limits that a unit of the machine's systemd has already, by its control group: nothing is to be added to a program."""
    return Limits(unit=group)


def tidy(hive: Hive) -> None:
    """Remove the groups of this hive that nobody uses any more, also those of killed processes."""
    for link, folder in _remembered(hive):
        remove_unused(folder)
        if not folder.is_dir():
            link.unlink(missing_ok=True)


def _folder(hive: Hive, tree: Tree, leaf: str) -> Path:
    """Where the group is to be: where it is already, else below the group of this process."""
    own = tree.base / _OURS / _digest(hive)
    # An ordinary user may not move processes into another branch.
    if os.geteuid() == 0:
        for link, folder in _remembered(hive):
            if link.name.startswith(f"{_kind(tree)}.") and (folder / leaf).is_dir():
                return folder
    return own


def _remember(hive: Hive, tree: Tree, folder: Path) -> None:
    """Another process may be in another group, and finds this one by a link in the state folder."""
    name = f"{_kind(tree)}.{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}"
    with suppress(OSError):
        (hive.paths.groups / name).symlink_to(folder)


def _remembered(hive: Hive) -> list[tuple[Path, Path]]:
    """Each link with the folder that it names."""
    try:
        return [(link, link.readlink()) for link in hive.paths.groups.iterdir()]
    except OSError:
        return []


def _kind(tree: Tree) -> str:
    return f"v{tree.version}-{'-'.join(tree.controllers)}"


def _digest(hive: Hive) -> str:
    """Two hives of one machine do not meet."""
    return hashlib.sha256(os.fsencode(hive.paths.state.resolve())).hexdigest()[:16]
