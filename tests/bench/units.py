"""What it takes, from a message, until an agent's harness works: as a process of the hub's, and as a unit of systemd's."""

import time
from collections.abc import Iterator
from pathlib import Path

from hyperhive.core.model import AgentName
from hyperhive.demo.reply import say
from tests.bench.figures import Aim, Figure, Sample
from tests.bench.ground import folder
from tests.faults import stand_in
from tests.support.swarm import Swarm
from tests.systemd.hosted import hosted

ROUNDS = 12


def measure(base: Path) -> Iterator[Figure]:
    """One after the other, each with an agent that does not linger."""
    with Swarm(folder(base, "up"), lambda request: say("never asked"), linger_seconds=0) as swarm:
        swarm.configure(command=[stand_in.put(swarm.home), "good"])
        processes = _woken(swarm, swarm.spawn("sleeper"))
    with hosted(folder(base, "units"), lambda request: say("never asked")) as there:
        there.use_stand_in()
        units = _woken(there, there.spawn("sleeper"))
    beside = Sample("a process of the hub's", processes)
    yield Figure("units.harness", Sample("message to harness, a unit", units), beside=beside)
    more = tuple(each - beside.median for each in units)
    yield Figure("units.more", Sample("of it more than a process", more), aim=Aim(median=0.3))


def _woken(swarm: Swarm, name: AgentName) -> tuple[float, ...]:
    """Seconds from a message until its harness holds its lock; the first reads from disk what the others do not."""
    found = []
    for number in range(ROUNDS + 1):
        swarm.until(lambda: not swarm.has_harness(name), "the agent sleeps")
        began = time.monotonic()
        sent = swarm.send(name, f"good morning {number}")
        while not swarm.has_harness(name):
            time.sleep(0.001)
        found.append(time.monotonic() - began)
        swarm.ended(sent.number)
    return tuple(found[1:])
