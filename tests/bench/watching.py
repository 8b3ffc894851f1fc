"""What one look of crash-watch takes: as `hyperhive up` lets it be taken, and as a command of its own."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from hyperhive.core import crash_watch
from hyperhive.core.forked import Forked
from hyperhive.core.hive import Hive, open_hive
from tests.bench.crowd import crowd
from tests.bench.figures import Aim, Figure, Sample
from tests.bench.ground import folder

ROUNDS = 25
FEW, MANY = 20, 1000
IMPORTS = "import click, peewee, apsw, platformdirs"


def measure(base: Path) -> Iterator[Figure]:
    """The first look writes all agents down; those that are measured find nothing new, as nearly all looks do."""
    hives = {count: _hive(folder(base, f"watching-{count}"), count) for count in (FEW, MANY)}
    few = [_look(hives[FEW])[1] for _ in range(ROUNDS)]
    many = [_look(hives[MANY])[0] for _ in range(ROUNDS)]
    first = []
    for _ in range(3):
        with hives[MANY].db.write():
            hives[MANY].db.ask("DELETE FROM observation")
        hives[MANY].close()
        first.append(_look(hives[MANY])[0])
    home = hives[FEW].paths.config
    environment = {"HYPERHIVE_HOME": str(home), "PATH": "/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8"}
    command, peer = [], []
    for _ in range(ROUNDS):
        peer.append(_processor(lambda: _run([sys.executable, "-c", IMPORTS], environment)))
        command.append(_processor(lambda: _run([sys.executable, "-m", "hyperhive", "crash-watch"], environment)))
    yield Figure(
        "watching.20", Sample(f"processor of one look at {FEW} agents, under hyperhive up", tuple(few)), aim=Aim(median=0.06)
    )
    yield Figure("watching.1000", Sample(f"one look at {MANY} agents", tuple(many)), aim=Aim(median=1.0))
    yield Figure("watching.first", Sample(f"the first look at {MANY} agents", tuple(first)), aim=Aim(median=1.0))
    yield Figure(
        "watching.command",
        Sample(f"processor of hyperhive crash-watch over {FEW} agents", tuple(command)),
        beside=Sample(f"python -c '{IMPORTS}'", tuple(peer)),
    )


def _hive(home: Path, count: int) -> Hive:
    hive = open_hive({"HYPERHIVE_HOME": str(home)})
    crowd(hive, count)
    # Nothing of it crosses the fork.
    hive.close()
    _look(hive)
    return hive


def _look(hive: Hive) -> tuple[float, float]:
    """One look in a fork; the seconds that it took, and those of the processor."""
    began = time.perf_counter()
    busy = _processor(lambda: _forked(hive))
    return time.perf_counter() - began, busy


def _forked(hive: Hive) -> None:
    def look() -> int:
        seen = crash_watch.run(Hive(hive.paths))
        return len(seen.troubles)

    child = Forked(look)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert child.poll() == 0, "the look has failed"


def _run(command: list[str], environment: dict[str, str]) -> None:
    subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=True)


def _processor(act: Callable[[], None]) -> float:
    """How long the processor works for the children of this process that end meanwhile, in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    act()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
