"""An agent that floods its socket costs itself; another agent's mail still wakes it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hyperhive.core.model import AgentName, MessageState
from hyperhive.core.tables import MessageRow
from tests.faults.aftermath import children_of_hub, tracebacks
from tests.faults.chance import rounds
from tests.faults.puppet import Puppet, Waiter
from tests.faults.variants import ROOT
from tests.faults.wrecks import ADA, Wreck, wreck

BOB = AgentName("bob")
FLOODS = {
    "long_lines": 20,
    "connections": 1_000,
    "sends": 300,
    "deep": 50,
}


@contextmanager
def two(home: Path, variant: str | None = None) -> Iterator[tuple[Wreck, Waiter]]:
    """A hive with two agents that are in a turn each, and bob's connection."""
    with wreck(home, mode="good", variant=variant) as hive:
        hive.spawn("bob")
        hive.until(lambda: hive.hive.paths.agent_socket(BOB).exists(), "the hub serves both")
        with Puppet(hive.hive, ADA) as ada, Puppet(hive.hive, BOB) as bob:
            ada.begin()
            bob.begin()
            with Waiter(str(hive.hive.paths.agent_socket(BOB))) as model:
                model.settle()
                yield hive, model


def wakes(hive: Wreck, model: Waiter, text: str) -> bool:
    """A message to bob, who waits in `recv`, wakes it: it did not have to look by itself."""
    model.wait()
    model.settle()
    hive.send("bob", text)
    words = model.woken()
    return words is not None and f"| {text}" in words


@pytest.mark.parametrize("kind", FLOODS)
def test_mail_still_wakes_another_agent(home: Path, kind: str) -> None:
    count = rounds(FLOODS[kind])
    with two(home) as (hive, model):
        socket = str(hive.hive.paths.agent_socket(ADA))
        flood = subprocess.Popen(
            [sys.executable, "-m", "tests.security.flood", kind, socket, str(count)],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        )  # fmt: skip
        woken = 0
        while flood.poll() is None or woken < 5:
            assert wakes(hive, model, f"message {woken}"), f"nobody woke bob for message {woken}"
            woken += 1
        assert flood.stdout is not None
        said = json.loads(flood.stdout.read())
        flood.stdout.close()
        print(f"{kind}: {said}, and {woken} messages to another agent meanwhile")
        match kind:
            case "long_lines":
                # What a socket holds by itself is taken; nobody took a gigabyte.
                assert said["megabytes"] < 10 * count
            case "connections":
                assert said["opened"] >= count
            case "sends":
                most = hive.hive.settings.limits.sends_per_minute
                with hive.hive.db.read():
                    stored = MessageRow.select().where(MessageRow.sender == "ada").count()
                assert said["sent"] == stored
                assert said["refused"] >= count - most - count // 4
            case _:
                assert said["refused"] == count
        # One that is idle again is served as before.
        hive.until(lambda: len(children_of_hub(hive.hub_pid)) == 1, "the flood's connections are gone")
        with Waiter(socket) as late:
            late.settle()
        assert not tracebacks(home)


def test_a_hive_that_forgets_others_in_a_flood_is_found_out(home: Path) -> None:
    # The control of the test above: bob's message is there, and nobody wakes it.
    with two(home, variant="deaf") as (hive, model):
        assert not wakes(hive, model, "who hears this?")
        with hive.hive.db.read():
            (row,) = MessageRow.select().where(MessageRow.recipient == "bob")
        assert row.state is MessageState.DELIVERED
