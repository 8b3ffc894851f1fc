"""An agent in a turn that does not end, who waits in `recv`: what its harness and its CLI do, without them."""

import json
import select
import socket
from types import TracebackType
from typing import Any, Self

from hyperhive.core import leases, turns
from hyperhive.core.hub_link import Heard, HubLink
from hyperhive.core.model import Activity, AgentName
from tests.support.swarm import Swarm

PATIENCE = 60.0
_HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}


class Blocked:
    """The agent, from `with` to its end; the swarm's hub was started."""

    def __init__(self, swarm: Swarm, name: AgentName) -> None:
        self.name = name
        self._swarm = swarm
        self._hive = swarm.hive
        self._link = HubLink(swarm.hive.paths.hub_socket, name)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE)
        self._lines = self._socket.makefile("rb")
        self._asked = 0
        self._waiting = ""

    def __enter__(self) -> Self:
        # First of all: the hub starts no harness for an agent that has one.
        self._meet_hub()
        self._epoch = turns.begin_epoch(self._hive, self.name)
        turns.begin_without_mail(
            self._hive, self.name, epoch=self._epoch, model=None, conversation="bench", activity=Activity.THINKING
        )
        self._socket.connect(str(self._hive.paths.agent_socket(self.name)))
        self._hear(self._ask("initialize", _HELLO))
        self._say({"method": "notifications/initialized"})
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._lines.close()
        self._socket.close()
        self._link.close()

    def wait(self) -> None:
        """Call `recv`, and come back when the other end has seen the call and waits for mail."""
        self._waiting = f"call {self._asked + 1}"
        identity = {"claudecode/toolUseId": self._waiting}
        self._ask("tools/call", {"name": "recv", "arguments": {"wait_seconds": 180}, "_meta": identity})
        # Both ends of three pings pass the same line of tasks: after them the call has come to where it waits.
        for _ in range(3):
            self._hear(self._ask("ping"))

    def wake(self) -> dict[str, Any]:
        """What `recv` answers."""
        return self._hear(self._asked - 3)

    def confirm(self) -> None:
        """The harness' word that the answer reached the model."""
        leases.confirm(self._hive, self.name, epoch=self._epoch, tool_use=self._waiting)

    def _meet_hub(self) -> None:
        self._swarm.until(self._link.connect, "the hub answers")
        while not self._link.hear() & Heard.WAKE:
            assert select.select([self._link], [], [], PATIENCE)[0], "the hub does not greet"

    def _ask(self, method: str, params: dict[str, Any] | None = None) -> int:
        self._asked += 1
        self._say({"id": self._asked, "method": method, "params": params or {}})
        return self._asked

    def _say(self, message: dict[str, Any]) -> None:
        self._socket.sendall(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    def _hear(self, number: int) -> dict[str, Any]:
        for line in self._lines:
            heard: dict[str, Any] = json.loads(line)
            if heard.get("id") == number:
                assert "result" in heard, f"{self.name} was refused: {heard}"
                return heard
        raise EOFError(f"the hub's child of {self.name} has hung up")
