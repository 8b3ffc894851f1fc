"""What the kernel knows of a process: its memory, its time on the processor, its program, its children."""

import os
from contextlib import suppress
from pathlib import Path


def memory(pid: int) -> int:
    """Bytes in memory, each shared page counted in parts (PSS, proc_pid_smaps(5)); 0 for a process that has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def busy_seconds(pid: int) -> float:
    """How long the threads of a process have run (/proc/PID/schedstat, nanoseconds)."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with suppress(FileNotFoundError, ProcessLookupError):
            total += int(Path(f"/proc/{pid}/task/{task}/schedstat").read_text(encoding="ascii").split()[0])
    return total / 1e9


def reaped_seconds(pid: int) -> float:
    """How long the children of a process have run that have ended and were reaped (proc_pid_stat(5), cutime, cstime)."""
    with suppress(FileNotFoundError, ProcessLookupError):
        words = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return (int(words[13]) + int(words[14])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def children(pid: int) -> list[int]:
    """What the main thread of a process has started and has not reaped."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    return []


def words(pid: int) -> list[str]:
    """The words that a process was started with; none for one that has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")[:-1]
    return []
