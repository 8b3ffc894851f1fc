"""What keeps every open page as the hive is: one look for all of them, and to each what it lacks."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final, Protocol

import msgspec
from markupsafe import escape
from simple_websocket import ConnectionClosed, Server

from hyperhive.core.errors import HyperhiveError
from hyperhive.core.hive import Hive
from hyperhive.core.log import Log
from hyperhive.web.pulse import Pulse
from hyperhive.web.rows import Page, difference
from hyperhive.web.sending import limit, send

# A browser that says nothing about itself for so long is no page of ours. Seconds.
HELLO_MOST: Final = 10.0
# So often each page is told that the connection lives, and what time it is here, in seconds.
BEAT: Final = 15.0
# How often a page that has gone is noticed, in seconds.
_NOTICE: Final = 1.0
# After a look that took a second of the processor, nobody looks for so many seconds; never for longer than the second figure.
_REST: Final = 2.0
_REST_MOST: Final = 1.0
# Several commits that come together are one look.
_REST_LEAST: Final = 0.03
# Locks and files change without a commit: all is looked at again after so many seconds.
_AGAIN: Final = 4.0
# What a closed WebSocket means to the browser (RFC 6455, and IANA's list of codes).
GOING_AWAY: Final = 1001
SERVICE_RESTART: Final = 1012
TRY_LATER: Final = 1013
POLICY: Final = 1008


class Hello(msgspec.Struct, frozen=True):
    """What a page says first: the marks of the rows that it has, and how far it has what is written on and on, by its store."""

    have: dict[str, str]
    after: dict[str, int] = {}


class Tail(Protocol):
    """What is written on and on below the rows of a page."""

    def look(self) -> bool:
        """Read what came; says whether something did. Raises nothing that the core raises."""

    def since(self, after: Mapping[str, int]) -> tuple[str, dict[str, int]]:
        """What a browser is sent that has it so far, by its store, and how far it has it then."""


class Board:
    """The present state of a page, and those that follow it; with what is written on below it, where there is such."""

    def __init__(self, hive: Hive, draw: Callable[[], Page], log: Log, pulse: Pulse, tail: Tail | None = None) -> None:
        self._hive = hive
        self._draw = draw
        self._log = log
        self._pulse = pulse
        self._tail = tail
        self._came = 0
        self._looking = threading.Lock()
        self._news = threading.Condition()
        self._page: Page | None = None
        self._begun = 0.0
        self._clients = 0
        self._watched = False
        self._ended = False
        self._making = threading.Lock()
        self._messages: dict[int, tuple[Page, Page, str]] = {}

    def look(self) -> Page:
        """The page as it is now; whoever follows is told what is new. Raises what the core raises."""
        asked = time.monotonic()
        with self._looking:
            if self._page is not None and self._begun > asked:
                # Somebody else has looked meanwhile, for all that wait.
                return self._page
            self._begun = time.monotonic()
            page = self._draw()
            with self._news:
                if self._page is not None and page.marks == self._page.marks and page.title == self._page.title:
                    return self._page
                self._page = page
                self._news.notify_all()
            with self._making:
                # Who comes late to an older state makes its own.
                self._messages = {}
            return page

    @property
    def is_open(self) -> bool:
        """Somebody has the page open."""
        with self._news:
            return self._clients > 0

    def end(self) -> None:
        """Let every page go; they come back when there is a server again."""
        with self._news:
            self._ended = True
            self._news.notify_all()

    def follow(self, socket: Server, *, may: Callable[[], bool]) -> None:
        """Keep one page up to date until it goes, is too slow, or `may` says that nobody is logged in there any more."""
        limit(socket)
        try:
            said = socket.receive(timeout=HELLO_MOST)
            hello = msgspec.json.decode(said or b"", type=Hello)
        except msgspec.DecodeError:
            code = POLICY
        else:
            code = self._serve(socket, hello, may)
        # Who has gone already needs no word.
        with suppress(ConnectionClosed, OSError):
            socket.close(code)

    def _serve(self, socket: Server, hello: Hello, may: Callable[[], bool]) -> int:
        """Follow for one page, and give back why that ended, as a code to close its connection with."""
        try:
            with self._place():
                # Not what was seen when somebody was here last: that may be older than what the page has.
                self.look()
                if self._tail is not None:
                    self._tail.look()
                return self._tell(socket, hello, may)
        except HyperhiveError as error:
            self._log(f"the hive cannot be looked at: {error.whole}")
            return TRY_LATER
        except (ConnectionClosed, OSError):
            # It has gone, or takes nothing any more: when it comes back it says what it has.
            return GOING_AWAY

    def _tell(self, socket: Server, hello: Hello, may: Callable[[], bool]) -> int:
        """Send what is new, until there is nobody to send it to or the server ends. Gives back why, as a code to close with."""
        seen: Page | None = None
        came, after = -1, hello.after
        beat = 0.0
        while socket.connected:
            page, now, ended = self._wait(seen, came)
            if ended:
                return SERVICE_RESTART
            content = ""
            if page is not None and page is not seen:
                content = self._message(seen, page) if seen is not None else _content(hello.have, page)
                seen = page
            if self._tail is not None and now != came:
                more, after = self._tail.since(after)
                content += more
            came = now
            if content:
                self._send(socket, {"content": content})
            if time.monotonic() - beat > BEAT:
                beat = time.monotonic()
                if not may():
                    return POLICY
                self._send(socket, {})
        return GOING_AWAY

    def _wait(self, seen: Page | None, came: int) -> tuple[Page | None, int, bool]:
        """Wait for another state than this one, or a moment; gives it back, and whether the server ends."""
        with self._news:
            self._news.wait_for(lambda: self._ended or self._page is not seen or self._came != came, timeout=_NOTICE)
            return self._page, self._came, self._ended

    def _send(self, socket: Server, message: dict[str, str]) -> None:
        now = round(self._hive.now().timestamp() * 1000)
        send(socket, msgspec.json.encode({**message, "now": now}).decode())

    def _message(self, before: Page, page: Page) -> str:
        """What changed between two states, made once for all that saw the first."""
        # All of them come at the same moment: one makes it, and the others wait for that.
        with self._making:
            kept = self._messages.get(id(before))
            if kept is None or kept[0] is not before or kept[1] is not page:
                kept = (before, page, _content(before.marks, page, title=before.title))
                self._messages[id(before)] = kept
            return kept[2]

    @contextmanager
    def _place(self) -> Iterator[None]:
        with self._pulse.place():
            with self._news:
                self._clients += 1
                starts = not self._watched
                self._watched = True
            try:
                if starts:
                    threading.Thread(target=self._watch, name="watch", daemon=True).start()
                yield
            finally:
                with self._news:
                    self._clients -= 1

    def _watch(self) -> None:
        """Look whenever something was committed, as long as somebody follows."""
        try:
            seen, at = -1, 0.0
            for _ in self._pulse.looks():
                if self._is_alone():
                    return
                begun, used = time.monotonic(), time.thread_time()
                try:
                    self._look_below()
                    version = self._hive.db.version()
                    if version != seen or begun - at >= _AGAIN:
                        self.look()
                        seen, at = version, begun
                    elif self._tail is None:
                        continue
                except HyperhiveError as error:
                    self._log(f"the hive cannot be looked at: {error.whole}")
                    seen = -1
                # What others use of the machine meanwhile is no reason to see less.
                time.sleep(min(max(_REST * (time.thread_time() - used), _REST_LEAST), _REST_MOST))
        except Exception:
            self._log.exception("the watcher ended")
            with self._news:
                self._watched = False
        finally:
            self._hive.close()

    def _look_below(self) -> None:
        if self._tail is not None and self._tail.look():
            with self._news:
                self._came += 1
                self._news.notify_all()

    def _is_alone(self) -> bool:
        with self._news:
            if self._clients and not self._ended:
                return False
            self._watched = False
            return True


def _content(have: Mapping[str, str], page: Page, *, title: str | None = None) -> str:
    changed = difference(have, page)
    # htmx takes the title of the document from whatever is put in.
    return changed if page.title == title else f"<title>{escape(page.title)}</title>{changed}"
