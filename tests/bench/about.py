"""The machine that was measured on, in one line."""

import os
import platform
import subprocess
from pathlib import Path

import msgspec

import hyperhive
from tests.support.machine import claude_program


class Machine(msgspec.Struct, frozen=True):
    """What a figure depends on; `cores` are those that this process may use, `memory_bytes` is all there is.

    `load` is how many processes wanted to run before the measurements began: with more than cores, only ratios say much.
    """

    hyperhive: str
    cores: int
    processor: str
    memory_bytes: int
    kernel: str
    python: str
    claude: str | None
    load: float

    def line(self) -> str:
        """All of it, for a person."""
        return " · ".join(
            [
                f"hyperhive {self.hyperhive}",
                f"{self.cores} cores ({self.processor})",
                f"{self.memory_bytes / 2**30:.1f} GiB",
                f"Linux {self.kernel}",
                f"Python {self.python}",
                f"claude {self.claude}" if self.claude else "no claude",
                f"load {self.load:.1f}",
            ]
        )


def machine(home: Path) -> Machine:
    """Look at this machine; `home` is where the agent CLI may believe to live."""
    return Machine(
        hyperhive=hyperhive.__version__,
        cores=len(os.sched_getaffinity(0)),
        processor=_processor(),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        kernel=platform.release(),
        python=platform.python_version(),
        claude=_claude(home),
        load=os.getloadavg()[0],
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        key, _, found = line.partition(":")
        if key.strip() in ("model name", "Model"):
            return found.strip()
    return platform.machine()


def _claude(home: Path) -> str | None:
    program = claude_program()
    if program is None:
        return None
    env = {"PATH": "/usr/bin:/bin", "HOME": str(home), "CLAUDE_CONFIG_DIR": str(home), "TMPDIR": str(home)}
    env |= {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1"}
    said = subprocess.run([program, "--version"], env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=True)
    return said.stdout.decode().split()[0]
