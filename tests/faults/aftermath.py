"""What is left on the machine after something died."""

import os
import re
import signal
from pathlib import Path

from hyperhive.core import process
from hyperhive.core.hive import Hive
from hyperhive.core.locks import holder, is_held
from hyperhive.core.model import AgentName


def processes_of(home: Path) -> dict[int, str]:
    """Every process that names this hive in its words or its environment, but for the one that asks."""
    mark = os.fsencode(home)
    # `/tmp/x/1` is not in `/tmp/x/11`.
    pattern = re.compile(re.escape(mark) + rb"(?![\w-])")
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            words, environment = read(entry, "cmdline"), read(entry, "environ")
            if pattern.search(words) or pattern.search(environment):
                found[int(entry)] = words.replace(b"\0", b" ").decode("utf-8", "replace").strip()
    return found


def read(pid: int | str, file: str) -> bytes:
    """A file of a process; nothing when it is gone."""
    try:
        return Path(f"/proc/{pid}/{file}").read_bytes()
    except OSError:
        return b""


def held_locks(hive: Hive) -> list[str]:
    """The locks of the hive that somebody holds."""
    return sorted(path.name for path in hive.paths.locks.iterdir() if is_held(path))


def tracebacks(home: Path) -> list[str]:
    """The logs of the hive that tell of a bug."""
    files = [*home.rglob("*.log"), *home.rglob("*.1"), *home.rglob("bug-*")]
    return [f"{file}:\n{text[-3000:]}" for file in files if "Traceback" in (text := file.read_text(encoding="utf-8"))]


def harness_of(hive: Hive, name: str) -> int | None:
    """The process of the agent's harness, if one lives."""
    lock = hive.paths.harness_lock(AgentName(name))
    found = re.match(r"pid (\d+) ", holder(lock)) if is_held(lock) else None
    return int(found[1]) if found else None


def cli_of(harness: int) -> int | None:
    """The agent CLI itself, below the programs that make its container."""
    for pid in process.descendants(harness):
        words = read(pid, "cmdline").split(b"\0")
        if words[0] == b"/opt/hyperhive/claude" or b"/opt/hyperhive/claude" in words[1:3]:
            return pid
    return None


def children_of_hub(hub: int) -> list[int]:
    """The processes that serve agents' connections."""
    own = read(hub, "cmdline")
    return [pid for pid in process.descendants(hub) if read(pid, "cmdline") == own]


def end(pid: int | None) -> bool:
    """SIGKILL a process; says whether it was there."""
    try:
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            return True
    except ProcessLookupError:
        pass
    return False
