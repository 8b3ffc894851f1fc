"""How long a command takes in a pipe, beside an interpreter that only imports what it must."""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from hyperhive.core.hive import open_hive
from tests.bench.crowd import asked, crowd
from tests.bench.figures import Aim, Figure, Sample
from tests.bench.ground import folder

ROUNDS = 25
HYPERHIVE = str(Path(sys.executable).parent / "hyperhive")


def measure(base: Path) -> Iterator[Figure]:
    """Command and peer in turn, so that both meet the same machine."""
    for name, command, agents, imports, aim in (
        ("help", ["--help"], 0, "click", Aim(ratio=1.3)),
        ("ps100", ["ps"], 100, "click, peewee, apsw, platformdirs", Aim(ratio=1.3)),
        ("pending", ["pending"], 20, "click, peewee, apsw, platformdirs", Aim(ratio=1.3)),
        ("ps1000", ["ps"], 1000, "click, peewee, apsw, platformdirs", Aim(median=0.5)),
    ):
        home = folder(base, name)
        environment = {"HYPERHIVE_HOME": str(home), "PATH": "/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8"}
        hive = open_hive(environment)
        names = crowd(hive, agents)
        if name == "pending":
            asked(hive, names)
        hive.close()
        # Once for the interpreter's own cache of what it has compiled.
        _timed([HYPERHIVE, *command], environment)
        found, peer = [], []
        for _ in range(ROUNDS):
            peer.append(_timed([sys.executable, "-c", f"import {imports}"], environment)[0])
            seconds, output = _timed([HYPERHIVE, *command], environment)
            found.append(seconds)
            assert all(name in output for name in names), output
        yield Figure(
            f"shell.{name}",
            Sample(f"hyperhive {command[0]}" + (f" over {agents} agents" if agents else ""), tuple(found)),
            beside=Sample(f"python -c 'import {imports}'", tuple(peer)),
            aim=aim,
        )


def _timed(command: Sequence[str], environment: dict[str, str]) -> tuple[float, str]:
    began = time.perf_counter()
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=True)
    return time.perf_counter() - began, done.stdout.decode()
