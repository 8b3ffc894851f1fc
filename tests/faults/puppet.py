"""A test in the place of an agent's harness, so that an agent is in a turn without any agent CLI."""

import select
from types import TracebackType
from typing import Any, Self

from hyperhive.core import turns
from hyperhive.core.hive import Hive
from hyperhive.core.hub_link import HubLink
from hyperhive.core.locks import Lock
from hyperhive.core.model import Activity, AgentName, Outcome
from tests.mcp.client import Bare
from tests.support.swarm import PATIENCE


class Puppet:
    """Holds the agent as its harness would; the hub knows of it, and starts no other. Begin before the agent has mail."""

    def __init__(self, hive: Hive, name: AgentName) -> None:
        self._hive = hive
        self._name = name
        self._lock = Lock(hive.paths.harness_lock(name))
        self._link = HubLink(hive.paths.hub_socket, name)
        self._epoch = 0

    def begin(self) -> turns.Current:
        """Begin a turn that holds nothing."""
        number = turns.begin_without_mail(
            self._hive, self._name, epoch=self._epoch, model=None, conversation="puppet", activity=Activity.THINKING
        )
        return turns.Current(self._epoch, number)

    def end(self, current: turns.Current) -> None:
        """End that turn well."""
        turns.end(
            self._hive, self._name, epoch=current.epoch, turn=current.turn, outcome=Outcome.OK, usage=turns.Usage(model=None)
        )

    def __enter__(self) -> Self:
        assert self._lock.take()
        assert self._link.connect()
        # The hub's first word says that it knows who this is.
        assert select.select([self._link.fileno()], [], [], PATIENCE)[0]
        self._epoch = turns.begin_epoch(self._hive, self._name)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        turns.end_epoch(self._hive, self._name, epoch=self._epoch)
        self._lock.release()
        self._link.close()


class Waiter(Bare):
    """A model that waits for mail, again and again."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._number = 0

    def wait(self, seconds: float = 170) -> None:
        """Call `recv`."""
        self._number += 1
        token = f"wait {self._number}"
        meta = {"progressToken": token, "claudecode/toolUseId": token}
        self.request(self._number, "tools/call", {"name": "recv", "arguments": {"wait_seconds": seconds}, "_meta": meta})

    def woken(self) -> str | None:
        """What the wait brought, or None when it had to look by itself: then it first says that there was nothing yet."""
        heard = self.hear()
        assert heard is not None
        if heard.get("method") == "notifications/progress":
            answer = self.hear()
            while answer is not None and answer.get("id") != self._number:
                answer = self.hear()
            return None
        assert heard["id"] == self._number, heard
        return _words(heard)


def _words(heard: dict[str, Any]) -> str:
    return str(heard["result"]["content"][0]["text"])
