"""What a hostile or broken peer meets: limits, and a process that holds nothing but its own connection."""

import contextlib
import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperhive.core import messages
from hyperhive.core.log import Log
from hyperhive.core.model import MessageState
from hyperhive.mcp import transport
from hyperhive.mcp.children import CHILDREN_MOST, MEMORY_MOST, Children
from tests.mcp.client import Bare
from tests.mcp.conftest import ADA, BOB, Hub, Place, make_hive, wait_for_end


def test_of_fifty_connections_at_once_eight_are_served(place: Place) -> None:
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(Bare(place.socket(), greet=False)) for _ in range(50)]
        served = []
        for peer in peers:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                peer.request(1, "ping")
                if peer.hear() is not None:
                    served.append(peer)
        assert len(served) == len(place.children()) == CHILDREN_MOST
        # Another agent is not touched by it, and a place that is given back can be taken.
        with Bare(place.socket(BOB)) as other:
            other.settle()
        pid = place.children()[0]
        served[0].close()
        wait_for_end(pid)
        with Bare(place.socket()) as late:
            late.settle()


def test_a_child_holds_nothing_but_its_own_connection(place: Place) -> None:
    with Bare(place.socket()) as peer, Bare(place.socket(BOB)):
        peer.settle()
        (pid,) = place.children()
        held = {fd.name: os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()}
        of_hub = {os.readlink(fd) for fd in Path(f"/proc/{place.hub.pid}/fd").iterdir() if fd.name != "2"}
        (bobs,) = place.children(BOB)
        of_bob = {os.readlink(fd) for fd in Path(f"/proc/{bobs}/fd").iterdir() if fd.name != "2"}
    assert held.pop("0") == held.pop("1") == "/dev/null"
    held.pop("2")
    sockets = [target for target in held.values() if target.startswith("socket:")]
    # Its connection, and the pair by which its own event loop wakes itself.
    assert len(sockets) == 3
    files = {target for target in held.values() if target.startswith("/")}
    assert files <= {str(path) for path in place.hive.paths.state.glob("hive.sqlite*")}
    named = {target for target in held.values() if target.startswith(("socket:", "pipe:"))}
    assert not named & {target for target in of_hub if target.startswith("socket:")}
    assert not named & of_bob


def test_a_child_has_a_memory_limit_and_fresh_signals(place: Place) -> None:
    with Bare(place.socket()) as peer:
        peer.settle()
        (pid,) = place.children()
        limits = Path(f"/proc/{pid}/limits").read_text()
        status = dict(re.findall(r"^(\w+):\s*(.*)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE))
    found = re.search(r"Max data size\s+(\d+)\s+(\d+)", limits)
    assert found is not None
    assert MEMORY_MOST < int(found[1]) == int(found[2]) < 4 * MEMORY_MOST
    assert int(status["SigBlk"], 16) == 0
    # The two below the first real-time signal are the C library's own: no program sees or changes them (signal(7)).
    ignored = int(status["SigIgn"], 16) & ~(0b11 << 31)
    assert ignored == sum(1 << (number - 1) for number in (signal.SIGINT, signal.SIGPIPE))


def test_no_child_is_made_while_the_database_is_open(home: Path) -> None:
    hive = make_hive(home)
    ours, theirs = socket.socketpair()
    with ours, pytest.raises(RuntimeError, match="database is open"):
        Children(hive.paths, Log("test", quiet=True)).spawn(theirs, ADA)
    hive.close()


def test_children_die_with_a_killed_hub(home: Path) -> None:
    hub = Hub()
    hive = make_hive(home)
    hub.ask("serve", hive, ADA)
    with Bare(str(hive.paths.agent_socket(ADA))) as peer:
        peer.settle()
        (pid,) = hub.children(hive, ADA)
        hub.kill()
        wait_for_end(pid)
        assert peer.hear() is None
    hub.close()
    hive.close()


def test_a_child_ends_when_its_peer_hangs_up(place: Place) -> None:
    with Bare(place.socket()) as peer:
        peer.settle()
        (pid,) = place.children()
    wait_for_end(pid)


@pytest.mark.parametrize("leaving", ["hangs up", "cancels"])
def test_who_leaves_recv_while_a_message_comes_is_handed_nothing(place: Place, leaving: str) -> None:
    place.begin_turn()
    with Bare(place.socket()) as peer:
        peer.settle()
        (pid,) = place.children()
        peer.call(1, "recv", wait_seconds=100)
        peer.settle()
        # Held still, so that the child finds the message and the end of the call at the same moment.
        with stopped(pid):
            sent = place.send("nobody hears this")
            if leaving == "hangs up":
                peer.close()
            else:
                peer.say({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})
        if leaving == "hangs up":
            wait_for_end(pid)
        else:
            peer.settle()
        assert place.message(sent.number).state is MessageState.PENDING
    # The control: the same call takes it where nobody leaves.
    with Bare(place.socket()) as peer:
        peer.call(1, "recv", wait_seconds=100)
        assert "nobody hears this" in json.dumps(peer.hear())
        assert place.message(sent.number).state is MessageState.DELIVERED


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"garbage", -32700),
        (b'{"jsonrpc":"2.0"', -32700),
        (b"\xff\xfe\x00", -32700),
        (b'"\\ud800"', -32700),
        (b"[]", -32600),
        (b"1", -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":' + b'{"a":' * 70 + b"1" + b"}" * 70 + b"}", -32600),
        (b"[" * 500_000, -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":' + b"[" * 400_000 + b"]" * 400_000 + b"}}", -32600),
    ],
)
def test_a_bad_line_is_refused_and_the_connection_lives(place: Place, line: bytes, code: int) -> None:
    with Bare(place.socket()) as peer:
        peer.write(line + b"\n\n")
        heard = peer.hear()
        assert heard is not None
        assert heard["error"]["code"] == code
        peer.settle()


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_that_is_too_long_ends_the_connection(place: Place, end: bytes) -> None:
    with Bare(place.socket()) as peer:
        peer.settle()
        (pid,) = place.children()
        peer.write(b"x" * (transport.LINE_MOST + 1) + end)
        heard = peer.hear()
        assert heard is not None
        assert heard["error"]["message"] == "a message may have 1048576 bytes"
        assert peer.hear() is None
    wait_for_end(pid)


def test_a_line_of_the_greatest_length_is_taken(place: Place) -> None:
    with Bare(place.socket()) as peer:
        start, end = b'{"jsonrpc":"2.0","id":5,"method":"ping","params":{"_meta":{"a":"', b'"}}}'
        peer.write(start + b"x" * (transport.LINE_MOST - len(start) - len(end)) + end + b"\n")
        heard = peer.hear()
        assert heard is not None
        assert heard["id"] == 5
        assert "result" in heard


def test_a_gigabyte_is_not_kept(place: Place) -> None:
    with Bare(place.socket()) as peer:
        peer.settle()
        (pid,) = place.children()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(1024):
                peer.write(b"x" * 1024 * 1024)
            raise AssertionError("somebody took a gigabyte")
    wait_for_end(pid)


def test_only_so_many_requests_wait_at_once(place: Place) -> None:
    place.begin_turn()
    most = transport.IN_FLIGHT_MOST
    with Bare(place.socket()) as peer:
        for number in range(1, most + 4):
            peer.call(number, "recv", wait_seconds=100)
        refused = [peer.hear() for _ in range(3)]
        assert [heard and heard["id"] for heard in refused] == [most + 1, most + 2, most + 3]
        # One that was cancelled gives its place back, though it is never answered.
        peer.say({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})
        while "error" in peer.ask("ping"):
            pass
        peer.call(900, "recv", wait_seconds=100)
        place.send("x")
        got = peer.hear()
        assert got is not None
        assert "| x" in got["result"]["content"][0]["text"]


def test_a_peer_that_never_reads_blocks_nobody_else(place: Place) -> None:
    with Bare(place.socket()) as deaf, Bare(place.socket(BOB)) as other:
        deaf.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                deaf.write(b"garbage\n" * 1000)
        other.settle()


def test_rubbish_in_the_arguments_never_becomes_a_traceback(place: Place) -> None:
    with Bare(place.socket()) as peer:
        rubbish: list[object] = [[], {}, {"to": {}, "body": 1}, {"to": "\x1b[2J", "body": "\u202e"}, None]
        for number, arguments in enumerate(rubbish, 1):
            peer.request(number, "tools/call", {"name": "send", "arguments": arguments})
            heard = peer.hear()
            assert heard is not None
            assert "Traceback" not in json.dumps(heard)
        peer.request(90, "tools/call", {"name": "approve", "arguments": {}})
        heard = peer.hear()
        assert heard is not None
        assert heard["result"]["isError"] or "error" in heard
        peer.settle()
    assert not messages.flow(place.hive)


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Hold a process still, and let it go on when all has happened."""
    os.kill(pid, signal.SIGSTOP)
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        os.sched_yield()
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
