"""What a hive needs while nothing happens in it."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hyperhive.core.model import AgentName
from hyperhive.core.process import descendants
from hyperhive.demo.reply import say
from tests.bench import processes
from tests.bench.figures import Aim, Figure, Sample, Unit
from tests.bench.ground import folder
from tests.support.swarm import PATIENCE, Swarm

AGENTS = 20
# Long enough for several looks at the agents.
SECONDS = 40.0
OWN = ("hyperhive up", "the hub")


def measure(base: Path) -> Iterator[Figure]:
    """A hive that is up, with twenty agents and no mail."""
    with Swarm(folder(base, "idle"), lambda request: say("never asked"), up=False) as swarm, _up(swarm) as up:
        names = [swarm.spawn(f"agent-{number}") for number in range(1, AGENTS + 1)]
        swarm.until(lambda: _is_served(swarm, names), "the hub serves all agents")
        # The last bell has been heard when nothing runs any more in the two processes for a while.
        _settle(swarm, up)
        before = {pid: _busy(pid) for pid in _all(up)}
        began = time.monotonic()
        with _ended(up) as gone:
            assert not select.select([gone], [], [], SECONDS)[0], "hyperhive up has ended"
        seconds = time.monotonic() - began
        living = _all(up)
        busy = sum(_busy(pid) - before.get(pid, 0.0) for pid in living)
        weights = [processes.memory(pid) for pid in living]
        assert not swarm.api.requests, "an idle hive has asked the model"
    yield _one("processes", f"processes of {AGENTS} idle agents", len(living) - len(OWN), Unit.NUMBER, most=0)
    yield _one("processor", f"processor, over {seconds:.0f} s", busy / seconds, Unit.SHARE, most=0.01)
    yield _one("memory", "memory of the whole hive (PSS)", sum(weights), Unit.BYTES, most=90e6)
    for who, weight in zip(OWN, weights, strict=False):
        yield _one(f"memory.{who}", f"of it {who}", weight, Unit.BYTES)


def _one(name: str, what: str, value: float, unit: Unit, *, most: float | None = None) -> Figure:
    return Figure(f"idle.{name}", Sample(what, (value,)), unit, aim=None if most is None else Aim(median=most))


@contextmanager
def _up(swarm: Swarm) -> Iterator[int]:
    child = subprocess.Popen([sys.executable, "-m", "hyperhive", "up"], env=swarm.environment, stdin=subprocess.DEVNULL, stdout=2)
    try:
        swarm.until(lambda: swarm.hive.paths.hub_socket.exists(), "the hive is up")
        yield child.pid
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(PATIENCE)


@contextmanager
def _ended(pid: int) -> Iterator[int]:
    """A descriptor that becomes readable when the process ends."""
    handle = os.pidfd_open(pid)
    try:
        yield handle
    finally:
        os.close(handle)


def _all(up: int) -> list[int]:
    """What stays: without the look at the agents that `up` may be taking at this moment, in a fork of itself."""
    return [up, *(pid for pid in descendants(up) if processes.words(pid) != processes.words(up))]


def _busy(pid: int) -> float:
    """How long a process has run, with all that it has started and that has ended."""
    return processes.busy_seconds(pid) + processes.reaped_seconds(pid)


def _is_served(swarm: Swarm, names: list[AgentName]) -> bool:
    return all(swarm.hive.paths.agent_socket(name).exists() for name in names)


def _settle(swarm: Swarm, up: int) -> None:
    quiet = 0
    last = 0.0

    def is_quiet() -> bool:
        nonlocal quiet, last
        now = sum(processes.busy_seconds(pid) for pid in _all(up))
        quiet, last = (quiet + 1, last) if now == last else (0, now)
        return quiet > 50

    swarm.until(is_quiet, "the hive is idle")
