"""A scope of the user's own systemd, which limits what an ordinary user may make no control group for."""

import os
import socket
from itertools import count
from pathlib import Path
from typing import Final

from hyperhive.core import process
from hyperhive.core.cgroup_trees import MEMORY, TASKS
from hyperhive.core.errors import HyperhiveError, Unavailable

_LIMITS: Final = Path("/sys/fs/cgroup/user.slice")
_RUNTIME: Final = Path("/run/user")
# How long the user's systemd may take to answer, in seconds.
_ANSWER_MOST: Final = 5.0
_numbers: Final = count(1)


class Scope:
    """One program under the user's systemd, with limits of its own."""

    def __init__(self, name: str, *, memory: int, tasks: int) -> None:
        """Raises `Unavailable` where no systemd of this user answers, or it cannot limit memory."""
        self._env = {"XDG_RUNTIME_DIR": str(_answering())}
        self._unit = f"{name}-{os.getpid()}-{next(_numbers)}.scope"
        self.words = (
            # For systemd-run alone: the program's own environment is as it was.
            "env", *(f"{key}={value}" for key, value in self._env.items()),
            "systemd-run", "--user", "--scope", "--quiet", f"--unit={self._unit}",
            "--property", f"MemoryMax={memory}",
            "--property", "MemorySwapMax=0",
            "--property", f"TasksMax={tasks}",
            "--", "env", *(f"--unset={key}" for key in (*self._env, "INVOCATION_ID")), "--",
        )  # fmt: skip

    def was_out_of_memory(self) -> bool:
        """The kernel has ended something in it for want of memory. systemd before 253 does not tell."""
        return self._systemctl("show", "--property=Result", "--value").strip() == "oom-kill"

    def close(self) -> None:
        """Forget how it ended, which systemd otherwise keeps."""
        self._systemctl("reset-failed")

    def _systemctl(self, *words: str) -> str:
        try:
            argv = ["systemctl", "--user", *words, self._unit]
            return process.run(argv, env=self._env, timeout=_ANSWER_MOST, check=False).text()
        except HyperhiveError:
            return ""


def _answering() -> Path:
    """The runtime folder of this user's systemd. Raises `Unavailable` unless that one answers and can limit memory."""
    user = os.geteuid()
    folder = _RUNTIME / str(user)
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(_ANSWER_MOST)
            line.connect(str(folder / "systemd/private"))
    except OSError:
        raise Unavailable(
            "an ordinary user may make no control groups, and no systemd of this user answers",
            hint=f"sudo loginctl enable-linger {user}",
        ) from None
    try:
        given = (_LIMITS / f"user-{user}.slice/user@{user}.service/cgroup.controllers").read_text().split()
    except OSError:
        given = []
    if not {MEMORY, TASKS} <= set(given):
        raise Unavailable(
            "the systemd of this user was not given the limits of memory and tasks",
            hint="boot with systemd.unified_cgroup_hierarchy=1, or run hyperhive as root",
        )
    return folder
