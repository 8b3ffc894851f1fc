"""What an agent floods its own socket with: `python -m tests.security.flood KIND SOCKET COUNT` prints how far it came."""

import contextlib
import json
import socket
import sys
from collections.abc import Callable

from tests.mcp.client import Bare

BATCH = 50
DEEP = b'{"jsonrpc":"2.0","id":1,"method":"ping","params":' + b'{"a":' * 80_000 + b"1" + b"}" * 80_000 + b"}\n"


def long_lines(path: str, count: int) -> dict[str, int]:
    """Lines of a gigabyte; says how many megabytes somebody took."""
    taken = 0
    for _ in range(count):
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as peer, contextlib.suppress(OSError):
            peer.connect(path)
            for _ in range(1024):
                peer.sendall(b"x" * 1024 * 1024)
                taken += 1
    return {"megabytes": taken}


def connections(path: str, count: int) -> dict[str, int]:
    """Connections, many at the same time; says how many were let in."""
    opened = 0
    while opened < count:
        with contextlib.ExitStack() as batch:
            for _ in range(BATCH):
                peer = batch.enter_context(contextlib.closing(socket.socket(socket.AF_UNIX)))
                peer.connect(path)
                opened += 1
    return {"opened": opened}


def sends(path: str, count: int) -> dict[str, int]:
    """Messages in a loop; says how many were accepted, and how many refused."""
    said = {"sent": 0, "refused": 0}
    with Bare(path) as peer:
        for number in range(count):
            answer = peer.ask("tools/call", {"name": "send", "arguments": {"to": "operator", "body": f"flood {number}"}})
            said["refused" if answer["result"].get("isError") else "sent"] += 1
    return said


def deep(path: str, count: int) -> dict[str, int]:
    """Lines of very deep JSON; says how many were refused."""
    refused = 0
    with Bare(path) as peer:
        for _ in range(count):
            peer.write(DEEP)
            heard = peer.hear()
            refused += heard is not None and "error" in heard
    return {"refused": refused}


KINDS: dict[str, Callable[[str, int], dict[str, int]]] = {kind.__name__: kind for kind in (long_lines, connections, sends, deep)}

if __name__ == "__main__":
    print(json.dumps(KINDS[sys.argv[1]](sys.argv[2], int(sys.argv[3]))))
