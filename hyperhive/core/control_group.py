"""A control group of a hive: made with its limits, held while somebody uses it, removed by the last."""

import errno
import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from hyperhive.core.cgroup_trees import MEMORY, TASKS, Tree
from hyperhive.core.errors import Unavailable

# How long what was killed may take to leave a group, in seconds.
LEAVE_MOST: Final = 0.2
# Where the kernel counts what becomes of a group's memory (cgroup v2).
EVENTS: Final = "memory.events"
# As often as others may come and go between two steps of making one.
_TRIES: Final = 100
# Where the processes of a unit that systemd leaves to them are, hyperhive's own among them.
_INNER: Final = "processes"
_GONE: Final = (errno.ENOENT, errno.ENODEV)


class Group:
    """A group that is held: a lock on its folder, which ends with this process, keeps others from removing it."""

    def __init__(self, tree: Tree, path: Path, *, memory: int, tasks: int) -> None:
        """Make it, or join the one that is there; its limits are these. Raises `Unavailable`."""
        self.path = path
        self._tree = tree
        try:
            self._fd = self._held()
        except OSError as error:
            raise _cannot(path, error) from None
        try:
            self._limit(memory, tasks)
        except OSError as error:
            self.close()
            raise _cannot(path, error) from None

    def oom_kills(self) -> int:
        """How many processes in it the kernel has ended for want of memory."""
        if MEMORY not in self._tree.controllers:
            return 0
        return oom_kills(self.path / (EVENTS if self._tree.version == 2 else "memory.oom_control"))

    def close(self) -> None:
        """Give it up; the last one removes it."""
        remove(self.path, self._fd, patience=LEAVE_MOST)

    def _held(self) -> int:
        for _ in range(_TRIES):
            try:
                self._make()
                fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except OSError as error:
                # Somebody has just removed it, or what it lies in.
                if error.errno in _GONE:
                    continue
                raise
            fcntl.flock(fd, fcntl.LOCK_SH)
            if _is_at(self.path, fd):
                return fd
            os.close(fd)
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    def _make(self) -> None:
        if self._tree.version == 2:
            _hand_on(self._tree.base)
        hive = self.path.parent
        for folder in (hive.parent, hive):
            _mkdir(folder)
            if self._tree.version == 2:
                _hand_on(folder)
        _mkdir(self.path)

    def _limit(self, memory: int, tasks: int) -> None:
        if TASKS in self._tree.controllers:
            self._write("pids.max", str(tasks))
        if MEMORY not in self._tree.controllers:
            return
        # A kernel without swap accounting has no such files.
        if self._tree.version == 2:
            self._write("memory.max", str(memory))
            with suppress(OSError):
                self._write("memory.swap.max", "0")
            return
        # Memory with swap is never less than memory alone, so this one gives way first.
        with suppress(OSError):
            self._write("memory.memsw.limit_in_bytes", "-1")
        self._write("memory.limit_in_bytes", str(memory))
        with suppress(OSError):
            self._write("memory.memsw.limit_in_bytes", str(memory))

    def _write(self, name: str, text: str) -> None:
        (self.path / name).write_text(text, encoding="ascii")


def oom_kills(events: Path) -> int:
    """How many processes the kernel has ended for want of memory, from the file in which it counts them, if that is there."""
    try:
        lines = events.read_text()
    except OSError:
        return 0
    counts = dict(line.split(maxsplit=1) for line in lines.splitlines())
    return int(counts.get("oom_kill", 0))


def remove_unused(hive: Path) -> None:
    """Remove the groups of a hive that nobody holds and nothing runs in, which killed processes left behind."""
    try:
        found = [entry.path for entry in os.scandir(hive) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return
    for path in found:
        with suppress(OSError):
            remove(Path(path), os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), patience=0.0)
    _remove_empty(hive)


def remove(path: Path, fd: int, *, patience: float) -> None:
    """Remove a group unless somebody else holds it, or something still runs in it after `patience` seconds."""
    deadline = time.monotonic() + patience
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        while _is_at(path, fd):
            try:
                path.rmdir()
            except OSError:
                if time.monotonic() >= deadline:
                    break
                time.sleep(0.002)
    except OSError:
        pass
    finally:
        os.close(fd)
    _remove_empty(path.parent)


def _remove_empty(hive: Path) -> None:
    """Remove the folder of a hive, and the one of all hives, where nothing is in them."""
    with suppress(OSError):
        hive.rmdir()
        hive.parent.rmdir()


def _is_at(path: Path, fd: int) -> bool:
    """The folder that was opened is still the one of that name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(fd))
    except OSError:
        return False


def _mkdir(folder: Path) -> None:
    with suppress(FileExistsError):
        folder.mkdir(mode=0o755)


def _hand_on(folder: Path) -> None:
    """Let the groups below have limits."""
    file = folder / "cgroup.subtree_control"
    if {MEMORY, TASKS} <= set(file.read_text(encoding="ascii").split()):
        return
    for _ in range(_TRIES):
        try:
            file.write_text(f"+{MEMORY} +{TASKS}", encoding="ascii")
            return
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
        make_room(folder)
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))


def make_room(folder: Path) -> None:
    """Move the processes of a group that was left to them into one below it: with any in it, it hands no controller on."""
    inner = folder / _INNER
    _mkdir(inner)
    for pid in (folder / "cgroup.procs").read_text(encoding="ascii").split():
        try:
            (inner / "cgroup.procs").write_text(pid, encoding="ascii")
        except ProcessLookupError:
            # It has ended.
            continue


def _cannot(path: Path, error: OSError) -> Unavailable:
    return Unavailable(f"the control group {path} cannot be made: {error.strerror}", hint=f"ls -la {path.parent}")
