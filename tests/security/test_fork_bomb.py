"""An agent that starts processes without end takes nobody else down."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hyperhive.core.agent_config import AgentConfig, AgentLimits
from tests.runtimes import boxes

pytestmark = pytest.mark.box
kinds = pytest.mark.parametrize("kind", boxes.KINDS)

# Every process begins others until it may not, then says so once and waits to be asked; nobody ever gives up.
BOMB = """
import os, signal
told, tell = os.pipe()
while True:
    try:
        if os.fork() == 0:
            told = -1
    except OSError:
        break
if told < 0:
    os.write(tell, b".")
    while True:
        try:
            os.fork()
        except OSError:
            signal.sigtimedwait([], 0.05)
os.read(told, 1)
print(len([name for name in os.listdir("/proc") if name.isdigit()]), flush=True)
while True:
    signal.pause()
"""

# Thirty processes at once, and one that had to wait for all of them.
WORK = "for i in $(seq 30); do sleep 0.2 & done; wait && echo done"


@contextmanager
def bomb(kind: str, *, tasks: int) -> Iterator[int]:
    """A bomb at work in a container; gives how many processes it has come to."""
    box = boxes.make(kind, config=AgentConfig(limits=AgentLimits(tasks=tasks)))
    child = box.start("python3", "-c", BOMB)
    try:
        assert child.stdout
        yield int(child.stdout.readline())
    finally:
        child.kill()
        child.communicate()


@kinds
def test_it_stops_at_its_own_limit_and_others_work_on(kind: str) -> None:
    neighbour = boxes.make(kind, "bob", number=1, config=AgentConfig(limits=AgentLimits(tasks=60)))
    with bomb(kind, tasks=60) as processes:
        # The container's own first process is one of those that are counted.
        assert processes <= 60 + 2
        assert neighbour.out("bash", "-c", WORK) == "done"
        host = subprocess.run(["bash", "-c", WORK], capture_output=True, text=True, check=True)
        assert host.stdout.strip() == "done"


@kinds
def test_the_same_container_with_more_allowed_holds_more(kind: str) -> None:
    with bomb(kind, tasks=200) as processes:
        assert processes > 100


@kinds
def test_nothing_of_it_is_left(kind: str) -> None:
    with bomb(kind, tasks=60):
        box = boxes.make(kind, config=AgentConfig(limits=AgentLimits(tasks=60)))
    # Another box of the same agent starts from nothing.
    assert box.out("bash", "-c", WORK) == "done"
