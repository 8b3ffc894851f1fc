"""From a message's commit to the model's request, beside the agent CLI alone."""

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from hyperhive.core.locks import holder
from hyperhive.core.model import AgentName
from hyperhive.core.process import descendants
from hyperhive.demo.model_api import ModelApi
from hyperhive.demo.reply import Reply, say
from hyperhive.demo.request import Request
from tests.bench import processes
from tests.bench.figures import Aim, Figure, Sample, Unit
from tests.bench.ground import folder
from tests.claude.bare import environment
from tests.support.machine import claude_program
from tests.support.swarm import PATIENCE, Swarm

ROUNDS = 10
LATER = 30


class Scale:
    """A model that looks at something in the moment of a request, when told to."""

    def __init__(self) -> None:
        self.look: Callable[[], None] = lambda: None

    def __call__(self, request: Request) -> Reply:
        self.look()
        return say("yes")


def measure(base: Path) -> Iterator[Figure]:
    """The CLI alone, a sleeping agent, a new agent, each in turn; then one that lingers."""
    scale = Scale()
    home = folder(base, "turn")
    with Swarm(home, scale, linger_seconds=0) as swarm:
        alone = folder(base, "alone")
        sleeper = swarm.spawn("sleeper")
        # The first of each reads the program from disk, and makes what is made once.
        _bare(alone, swarm.api)
        _slept(swarm, sleeper)
        bare, slept, fresh = [], [], []
        for number in range(ROUNDS):
            bare.append(_bare(alone, swarm.api))
            slept.append(_slept(swarm, sleeper))
            fresh.append(_slept(swarm, swarm.spawn(f"new-{number}")))
        peer = Sample("claude -p, spawn to request", tuple(bare))
        yield Figure("turn.sleeping", Sample("turn of a sleeping agent", tuple(slept)), beside=peer, aim=Aim(ratio=1.6))
        yield Figure("turn.new", Sample("first turn of a new agent", tuple(fresh)), beside=peer, aim=Aim(ratio=1.6))
        yield from _memory(swarm, sleeper, scale, alone)
        swarm.configure(linger_seconds=60)
        lingerer = swarm.spawn("lingerer")
        _asked(swarm, lingerer, 0)
        later = [_asked(swarm, lingerer, number) for number in range(1, LATER + 1)]
        yield Figure("turn.lingering", Sample("turn of a lingering agent", tuple(later)), beside=peer, aim=Aim(ratio=0.2))


def sleeps(swarm: Swarm) -> None:
    """Wait until nothing of an agent runs any more. Its lock is free a little sooner, and the hub then waits for the rest."""
    swarm.until(lambda: not processes.children(swarm.hub_pid), "the agent has no process")


def _bare(home: Path, api: ModelApi, look: Callable[[int], None] = lambda pid: None) -> float:
    """Seconds from the spawn of `claude -p` to its request."""
    program = claude_program()
    assert program is not None
    env = environment(home, api.url)
    known = len(api.requests)
    began = time.monotonic()
    with subprocess.Popen(
        [program, "-p", "good morning"], env=env, cwd=home / "work", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    ) as process:
        try:
            request = api.wait_for_requests(known + 1, PATIENCE)[known]
            look(process.pid)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
    return request.arrived - began


def _slept(swarm: Swarm, name: AgentName) -> float:
    """Seconds from a message to the request of an agent without a process; it sleeps again when this is back."""
    count = len(swarm.turns(name))
    seconds = _asked(swarm, name, count)
    sleeps(swarm)
    return seconds


def _asked(swarm: Swarm, name: AgentName, number: int) -> float:
    known = len(swarm.api.requests)
    ended = len([turn for turn in swarm.turns(name) if turn.outcome is not None])
    began = time.monotonic()
    swarm.send(name, f"good morning {number}")
    request = swarm.api.wait_for_requests(known + 1, PATIENCE)[known]
    assert f"good morning {number}" in request.prompt
    swarm.turn_ended(ended + 1, name)
    return request.arrived - began


def _memory(swarm: Swarm, name: AgentName, scale: Scale, alone: Path) -> Iterator[Figure]:
    """What an agent that has just woken holds in the moment of its request, each process in its place."""
    found: dict[str, float] = {}

    def look() -> None:
        words = re.match(r"pid (\d+) ", holder(swarm.hive.paths.harness_lock(name)))
        assert words is not None
        harness = int(words[1])
        inside = descendants(harness)
        serving = [pid for pid in processes.children(swarm.hub_pid) if pid != harness]
        found["container and CLI"] = sum(processes.memory(pid) for pid in inside)
        found["harness"] = processes.memory(harness)
        found["child of the hub"] = sum(processes.memory(pid) for pid in serving)

    scale.look = look
    _slept(swarm, name)
    scale.look = lambda: None
    weights: list[float] = []
    _bare(alone, swarm.api, lambda pid: weights.append(processes.memory(pid)))
    peer = Sample("claude -p", tuple(weights))
    yield Figure("turn.memory", Sample("memory at its request (PSS)", (sum(found.values()),)), Unit.BYTES, beside=peer)
    for what, size in found.items():
        yield Figure(f"turn.memory.{what}", Sample(f"of it {what}", (size,)), Unit.BYTES)
