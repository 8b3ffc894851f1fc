"""A hub that is only sockets and children: what the real one does with them, told what to do over standard input."""

import json
import selectors
import socket
import sys
from pathlib import Path
from typing import Any

from hyperhive.core import operations
from hyperhive.core.log import Log
from hyperhive.core.model import AgentName
from hyperhive.core.paths import Paths, find_paths
from hyperhive.mcp import worker
from hyperhive.mcp.children import Child, Children


class Hub:
    """Serves agents of several hives, so that the tests pay for the SDK once."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._children: dict[str, Children] = {}
        self._listening: dict[tuple[str, str], socket.socket] = {}
        Children(Paths(Path(), Path()), Log("hub")).prepare()

    def run(self) -> None:
        self._selector.register(sys.stdin, selectors.EVENT_READ, None)
        answer({})
        while True:
            for key, _ in self._selector.select():
                match key.fileobj, key.data:
                    case Child() as child, _:
                        self._selector.unregister(child)
                        child.reap()
                    case socket.socket() as listener, (str(home), str(name)):
                        self._accept(listener, home, AgentName(name))
                    case _:
                        line = sys.stdin.readline()
                        if not line:
                            return
                        answer(self._obey(**json.loads(line)))

    def _accept(self, listener: socket.socket, home: str, name: AgentName) -> None:
        connection, _ = listener.accept()
        child = self._children[home].spawn(connection, name)
        if child is not None:
            self._selector.register(child, selectors.EVENT_READ, None)

    def _obey(self, command: str, home: str, name: str, value: Any = None) -> dict[str, Any]:
        match command:
            case "serve":
                paths = find_paths({"HYPERHIVE_HOME": home})
                agent = AgentName(name)
                paths.agent_run(agent).mkdir(parents=True, exist_ok=True)
                listener = socket.socket(socket.AF_UNIX)
                listener.bind(str(paths.agent_socket(agent)))
                listener.listen(128)
                self._children.setdefault(home, Children(paths, Log("hub", Path(home, "hub.log"), quiet=True)))
                self._listening[home, name] = listener
                self._selector.register(listener, selectors.EVENT_READ, (home, name))
                return {}
            case "leave":
                listener = self._listening.pop((home, name))
                self._selector.unregister(listener)
                listener.close()
                for child in self._children[home].of(AgentName(name)):
                    child.end()
                return {}
            case "wake":
                for child in self._children[home].of(AgentName(name)):
                    child.wake(value.encode())
                return {}
            case "children":
                return {"pids": [child.pid for child in self._children[home].of(AgentName(name))]}
            case "patience":
                # Tests do not wait for twenty seconds to see what happens after them.
                vars(worker).update(OTHERS_MOST=value, PROGRESS=value)
                vars(operations).update(ANSWER_MOST=value, QUICK_MOST=value)
                return {}
            case _:
                raise ValueError(command)


def answer(data: dict[str, Any]) -> None:
    print(json.dumps(data), flush=True)


if __name__ == "__main__":
    Hub().run()
