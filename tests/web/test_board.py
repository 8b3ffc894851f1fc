"""Every page is told what it lacks, once; one that takes nothing, says nothing or may not look holds nobody up."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from simple_websocket import Server

from hyperhive.core.hive import Hive
from hyperhive.core.log import Log
from hyperhive.web import live, pulse, sending
from hyperhive.web.live import Board
from hyperhive.web.pulse import Pulse
from hyperhive.web.rows import Page, row
from tests.core.hives import send
from tests.web.reader import PATIENCE, Reader

MARK = re.compile(r'id="([a-z0-9-]+)-live" class="\w+" data-mark="(\w+)"')


class Numbers:
    """A page that shows a number; how often it was drawn."""

    def __init__(self) -> None:
        self.number = 0
        self.drawn = 0
        self.weight = 0

    def draw(self) -> Page:
        self.drawn += 1
        head = f"{self.number}{'x' * self.weight}"
        return Page(title="t", signs=(), regions={"region": (row("number", head, "body"),)})

    @property
    def mark(self) -> str:
        return self.draw().marks["number"]


@contextmanager
def followed(board: Board, *, may: bool = True, small: bool = False) -> Iterator[tuple[Reader, threading.Thread]]:
    """A browser that follows a board, in a thread as the server has them."""
    here, there = socket.socketpair()
    if small:
        here.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        there.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    reader = Reader(here)
    server = Server({**reader.shake_hands(), "werkzeug.socket": there})
    reader.begin()
    thread = threading.Thread(target=lambda: board.follow(server, may=lambda: may), daemon=True)
    thread.start()
    try:
        yield reader, thread
    finally:
        here.close()
        thread.join(PATIENCE)
        there.close()


@pytest.fixture
def numbers() -> Numbers:
    """What is shown."""
    return Numbers()


@pytest.fixture
def board(hive: Hive, numbers: Numbers) -> Iterator[Board]:
    """The board that shows it."""
    log = Log("web", quiet=True)
    made = Board(hive, numbers.draw, log, Pulse(hive, log))
    yield made
    made.end()


def test_a_page_is_told_what_it_lacks_and_then_what_changes(board: Board, numbers: Numbers) -> None:
    with followed(board) as (reader, _):
        reader.say({"other": "x"})
        first = str(reader.hear())
        assert '#other" hx-swap="delete"' in first
        assert '<li id="number"' in first
        numbers.number += 1
        board.look()
        second = str(reader.hear())
        assert MARK.findall(second) == [("number", numbers.mark)]
        assert "<li" not in second


def test_what_is_committed_is_seen_without_being_asked_for(board: Board, numbers: Numbers, hive: Hive) -> None:
    with followed(board) as (reader, _):
        reader.say({})
        reader.hear()
        numbers.number += 1
        send(hive)
        assert MARK.findall(str(reader.hear())) == [("number", numbers.mark)]


def test_twenty_pages_are_told_the_same_and_it_is_drawn_once(board: Board, numbers: Numbers) -> None:
    with ExitStack() as stack:
        readers = [stack.enter_context(followed(board))[0] for _ in range(20)]
        for reader in readers:
            reader.say({})
            reader.hear()
        for _ in range(5):
            numbers.number += 1
            before = numbers.drawn
            board.look()
            assert numbers.drawn == before + 1
            said = {str(reader.hear()) for reader in readers}
            assert len(said) == 1
            assert MARK.findall(said.pop()) == [("number", numbers.mark)]
        # Else each would be waited for when it is closed.
        board.end()


def test_a_page_that_takes_nothing_is_let_go_and_holds_nobody_up(
    board: Board, numbers: Numbers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "SLOW", 1)
    numbers.weight = 2_000_000
    with followed(board, small=True) as (slow, thread), followed(board) as (quick, _):
        for reader in (slow, quick):
            reader.say({})
        for _ in range(3):
            assert MARK.findall(str(quick.hear())) == [("number", numbers.mark)]
            numbers.number += 1
            board.look()
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_a_slow_page_skips_what_was_meanwhile(board: Board, numbers: Numbers) -> None:
    numbers.weight = 500_000
    with followed(board, small=True) as (slow, _):
        slow.say({})
        for _ in range(20):
            numbers.number += 1
            board.look()
        heard = [MARK.findall(str(slow.hear()))]
        while heard[-1] != [("number", numbers.mark)]:
            heard.append(MARK.findall(str(slow.hear())))
        assert len(heard) < 20


@pytest.mark.parametrize("said", ["", "x", "[]", '{"have": {"a": 1}}', '{"have": []}', "{}"])
def test_what_is_no_page_of_ours_is_refused(board: Board, said: str) -> None:
    with followed(board) as (reader, _):
        reader.tell(said)
        assert reader.hear() == live.POLICY


def test_who_says_nothing_is_let_go(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "HELLO_MOST", 0.0)
    with followed(board) as (reader, _):
        assert reader.hear() == live.POLICY


def test_who_is_not_logged_in_any_more_is_shown_nothing_more(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "BEAT", 0.0)
    with followed(board, may=False) as (reader, _):
        reader.say({})
        reader.hear()
        assert reader.hear() == live.POLICY


def test_more_pages_than_there_are_places_for_are_told_to_come_later(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "CLIENTS_MOST", 1)
    with followed(board) as (first, _):
        first.say({})
        first.hear()
        with followed(board) as (second, _):
            second.say({})
            assert second.hear() == live.TRY_LATER


def test_a_server_that_ends_tells_its_pages_to_come_back(board: Board) -> None:
    with followed(board) as (reader, _):
        reader.say({})
        reader.hear()
        board.end()
        assert reader.hear() == live.SERVICE_RESTART


def test_what_was_seen_when_the_last_page_was_here_is_no_news(board: Board, numbers: Numbers) -> None:
    old = numbers.mark
    with followed(board) as (reader, _):
        reader.say({})
        reader.hear()
    numbers.number += 1
    with followed(board) as (reader, _):
        reader.say({"number": old})
        assert MARK.findall(str(reader.hear())) == [("number", numbers.mark)]


def test_a_page_that_waits_does_nothing_else(board: Board, numbers: Numbers, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = 0
    wait = Board._wait

    def counted(self: Board, seen: Page | None, came: int) -> tuple[Page | None, int, bool]:
        nonlocal waits
        waits += 1
        return wait(self, seen, came)

    monkeypatch.setattr(live, "_NOTICE", PATIENCE)
    monkeypatch.setattr(Board, "_wait", counted)
    with followed(board) as (reader, _):
        reader.say({})
        reader.hear()
        for _ in range(20):
            numbers.number += 1
            board.look()
            reader.hear()
        # Once for each state, and once for the next.
        assert waits <= 22
        board.end()
