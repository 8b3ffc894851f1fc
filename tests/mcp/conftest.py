"""A hub for all tests of the tools, a hive with three agents for each, and ways to connect."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hyperhive.core import messages, turns
from hyperhive.core.hive import Hive, open_hive
from hyperhive.core.model import OPERATOR, AgentName, Flavor, Message, Wanted
from hyperhive.core.tables import AgentRow

ROOT = Path(__file__).parents[2]
ADA, BOB, EVE = AgentName("ada"), AgentName("bob"), AgentName("eve")


class Hub:
    """The hub's process, seen from a test."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.mcp.hub"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.pid = self._process.pid
        self._answer()

    def ask(self, command: str, hive: Hive, name: str, value: Any = None) -> dict[str, Any]:
        assert self._process.stdin is not None
        home = str(hive.paths.config)
        self._process.stdin.write(json.dumps({"command": command, "home": home, "name": name, "value": value}).encode() + b"\n")
        self._process.stdin.flush()
        return self._answer()

    def children(self, hive: Hive, name: str) -> list[int]:
        pids: list[int] = self.ask("children", hive, name)["pids"]
        return pids

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
        self._process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


class Place:
    """One test's hive with its agents' sockets, and what happens in it."""

    def __init__(self, hive: Hive, hub: Hub) -> None:
        self.hive = hive
        self.hub = hub

    def socket(self, name: AgentName = ADA) -> str:
        return str(self.hive.paths.agent_socket(name))

    def children(self, name: AgentName = ADA) -> list[int]:
        return self.hub.children(self.hive, name)

    def send(self, body: str, *, to: AgentName = ADA, sender: str = OPERATOR) -> Message:
        """What the operator's `send` and the hub's watcher do together."""
        sent = messages.send(self.hive, sender=sender, to=to, body=body)
        self.say("m", to)
        return sent

    def say(self, word: str, to: AgentName = ADA) -> None:
        self.hub.ask("wake", self.hive, to, word)

    def begin_turn(self, name: AgentName = ADA) -> turns.Current:
        """A turn that holds one message, as a harness begins it."""
        messages.send(self.hive, sender=OPERATOR, to=name, body="begin")
        epoch = turns.begin_epoch(self.hive, name)
        begun = turns.begin(self.hive, name, epoch=epoch, model=None, conversation="c")
        assert begun is not None
        return turns.Current(epoch, begun.number)

    def message(self, number: int) -> Message:
        return messages.get(self.hive, number)


@pytest.fixture(scope="session")
def hub() -> Iterator[Hub]:
    running = Hub()
    yield running
    running.close()


@pytest.fixture
def place(home: Path, hub: Hub) -> Iterator[Place]:
    hive = make_hive(home)
    for name in (ADA, BOB, EVE):
        hub.ask("serve", hive, name)
    yield Place(hive, hub)
    for name in (ADA, BOB, EVE):
        hub.ask("leave", hive, name)
    hub.ask("patience", hive, ADA, 20.0)
    hive.close()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def make_hive(home: Path) -> Hive:
    hive = open_hive({"HYPERHIVE_HOME": str(home)})
    with hive.db.write():
        for name, flavor in ((ADA, Flavor.WORKER), (BOB, Flavor.WORKER), (EVE, Flavor.MANAGER)):
            AgentRow.create(name=name, flavor=flavor, host="here", runtime="host", wanted=Wanted.STARTED, created_at=hive.now())
    return hive


def wait_for_end(pid: int) -> None:
    """Wait until a process, somebody else's child, has ended."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([fd], [], [], 30)[0], f"process {pid} lives on"
    finally:
        os.close(fd)
