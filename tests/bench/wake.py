"""From `send` to the answer of a blocked `recv`, with one agent and with two hundred."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from hyperhive.core import messages
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR
from hyperhive.demo.reply import say
from tests.bench.blocked import Blocked
from tests.bench.crowd import crowd
from tests.bench.figures import Aim, Figure, Sample
from tests.bench.floor import floor
from tests.bench.ground import folder
from tests.support.swarm import Swarm

ROUNDS = 300
MANY = 200


def measure(base: Path) -> Iterator[Figure]:
    """Real hub, real children; the floor is measured between the rounds, on the same disk."""
    for agents, aim in ((1, Aim(median=0.002, worst=0.020)), (MANY, Aim(worst=0.010))):
        home = folder(base, f"wake-{agents}")
        with Swarm(home, lambda request: say("never asked"), up=False) as swarm, floor(home) as bare, ExitStack() as held:
            names = crowd(swarm.hive, agents)
            swarm.start_hub()
            waiting = [held.enter_context(Blocked(swarm, name)) for name in names]
            for one in waiting:
                one.wait()
            lowest, found = [], []
            for number in range(ROUNDS):
                lowest.append(bare.wake())
                found.append(_round(swarm.hive, waiting[number % agents]))
            # Before the agents let go of it: it would start harnesses in their place.
            swarm.stop_hub()
        what = "one agent blocked in recv" if agents == 1 else f"one of {agents} blocked agents"
        yield Figure(
            f"wake.{agents}",
            Sample(f"send to wake, {what}", tuple(found)),
            beside=Sample("one-row commit, inotify wake", tuple(lowest)),
            aim=aim,
        )


def _round(hive: Hive, agent: Blocked) -> float:
    began = time.perf_counter()
    messages.send(hive, sender=OPERATOR, to=agent.name, body="good morning")
    answer = agent.wake()
    seconds = time.perf_counter() - began
    assert "good morning" in str(answer), answer
    agent.confirm()
    agent.wait()
    return seconds
