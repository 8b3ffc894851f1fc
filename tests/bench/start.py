"""Where the time goes between a message and the request of a sleeping agent."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from typing_extensions import override

from hyperhive.core.model import AgentName, EventKind
from hyperhive.demo.reply import say
from tests.bench import processes
from tests.bench.figures import Figure, Sample
from tests.bench.ground import folder
from tests.bench.turn import sleeps
from tests.support.swarm import PATIENCE, Swarm

ROUNDS = 8
STEPS = (
    ("commit", "commit of the message, doorbell"),
    ("harness", "hub: the harness is forked"),
    ("imports", "harness: interpreter, imports"),
    ("epoch", "harness: lock, database, epoch"),
    ("box", "harness: meets the hub, container made ready"),
    ("container", "container: until the CLI's program runs"),
    ("connect", "CLI: until it calls its tools"),
    ("tools", "CLI: tools answer, turn begun, prompt"),
    ("request", "CLI: from the prompt to the request"),
)


def measure(base: Path) -> Iterator[Figure]:
    """Marks that the product leaves anyway, and a thread that looks each millisecond at who has been started."""
    steps: dict[str, list[float]] = {name: [] for name, _ in STEPS}
    with Swarm(folder(base, "start"), lambda request: say("yes"), linger_seconds=0) as swarm:
        name = swarm.spawn("sleeper")
        for number in range(ROUNDS + 1):
            marks = _round(swarm, name, number)
            if number:  # the first reads everything from disk
                for (step, _), before, after in zip(STEPS, marks, marks[1:], strict=False):
                    steps[step].append(after - before)
    whole = tuple(map(sum, zip(*steps.values(), strict=True)))
    yield Figure("start.all", Sample("from the message to the request", whole))
    for step, what in STEPS:
        yield Figure(f"start.{step}", Sample(f"of it {what}", tuple(steps[step])))


class Watch(threading.Thread):
    """Sees an agent's processes begin: the harness, the container, the CLI's program, the hub's child for it."""

    def __init__(self, hub: int) -> None:
        super().__init__(daemon=True)
        self._hub = hub
        self._known = set(processes.children(hub))
        self._deadline = time.monotonic() + PATIENCE
        self.seen: list[float] = []

    @override
    def run(self) -> None:
        """Look until all have been seen."""
        (harness,) = self._first(lambda: self._new("harness"))
        (outer,) = self._first(lambda: processes.children(harness)[:1])
        self._first(lambda: [pid for pid in _line(outer) if processes.words(pid)[1:2] == ["-p"]])
        self._first(lambda: [pid for pid in processes.children(self._hub) if pid not in {*self._known, harness}])

    def _new(self, word: str) -> list[int]:
        return [pid for pid in processes.children(self._hub) if pid not in self._known and word in processes.words(pid)]

    def _first(self, found: Callable[[], list[int]]) -> list[int]:
        while not (pids := found()):
            assert time.monotonic() < self._deadline, "a process that was to begin did not"
            time.sleep(0.001)
        self.seen.append(time.monotonic())
        return pids


def _round(swarm: Swarm, name: AgentName, number: int) -> list[float]:
    """The moments between the steps, in order."""
    watch = Watch(swarm.hub_pid)
    watch.start()
    clock = time.time() - time.monotonic()
    known = len(swarm.api.requests)
    began = time.monotonic()
    swarm.send(name, f"good morning {number}")
    sent = time.monotonic()
    request = swarm.api.wait_for_requests(known + 1, PATIENCE)[known]
    watch.join(PATIENCE)
    harness, container, program, child = watch.seen
    lock = swarm.hive.paths.lock(f"{name}.harness").stat().st_mtime - clock
    epoch = _epoch_began(swarm, name) - clock
    swarm.turn_ended(number + 1, name)
    sleeps(swarm)
    prompt = swarm.events(name, EventKind.PROMPT)[-1].at.timestamp() - clock
    return [began, sent, harness, lock, epoch, container, program, child, prompt, request.arrived]


def _epoch_began(swarm: Swarm, name: AgentName) -> float:
    log = (swarm.hive.paths.agent_log(name) / "harness.log").read_text(encoding="utf-8")
    line = [line for line in log.splitlines() if line.endswith("begins")][-1]
    return datetime.fromisoformat(line.split(" ")[0]).timestamp()


def _line(pid: int) -> list[int]:
    """A process and its first child, the first child of that, and so on."""
    found = [pid]
    while below := processes.children(found[-1]):
        found.append(below[0])
    return found
