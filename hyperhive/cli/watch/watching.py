"""The loop that looks, draws, and waits for a key or a change."""

import os
import select
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from inotify_simple import flags

from hyperhive.cli.watch.desk import Desk
from hyperhive.cli.watch.keys import ESCAPE_MOST, Key, Keyboard
from hyperhive.cli.watch.painter import Painter
from hyperhive.cli.watch.terminal import Terminal
from hyperhive.cli.watch.view import drawn
from hyperhive.core import follow, roster
from hyperhive.core.errors import HyperhiveError
from hyperhive.core.follow import LOOK, LOOK_BLIND, Watch
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName

# How soon after a look the next one may come, in seconds, and how many times as long as the look itself took.
_PAUSE: Final = 0.1
_PAUSE_TIMES: Final = 10
# How often what is told in seconds is drawn anew.
_TICK: Final = 1.0


def run(hive: Hive, name: AgentName | None) -> None:
    """Watch until the operator leaves. Raises `Invalid` where nothing can be drawn, `NotFound` for an unknown agent."""
    if name is not None:
        roster.get(hive, name)
    with Terminal() as terminal:
        Watching(hive, name, terminal).run()


class Watching:
    """One screen, from its first line to its last."""

    def __init__(self, hive: Hive, name: AgentName | None, terminal: Terminal) -> None:
        self._hive = hive
        self._terminal = terminal
        self._keyboard = Keyboard()
        self._painter = Painter(terminal.write, colours=not os.environ.get("NO_COLOR"))
        self._desk = Desk(hive, name)
        self._version: int | None = None
        self._is_changed = True
        # When it may be looked again, and when it must, for what changes without a sign: a process that died.
        self._next_look = self._next_whole = 0.0

    def run(self) -> None:
        """Look, draw, wait."""
        follow.make(self._hive.paths.changed)
        # The watch begins before the first look, so nothing falls between a look and the wait after it.
        with Watch(self._hive.paths.changed, flags.ATTRIB) as watch, suppress(EOFError):
            try:
                while not self._desk.is_left:
                    self._look()
                    self._draw()
                    self._wait(watch)
            finally:
                self._desk.close()

    def _look(self) -> None:
        """See what has changed, unless it was just looked."""
        began = time.monotonic()
        if began < (self._next_look if self._is_changed else self._next_whole):
            return
        self._is_changed = False
        try:
            version = self._hive.db.version()
            if version != self._version or began >= self._next_whole:
                self._desk.see()
                self._version, self._next_whole = version, began + LOOK
            self._desk.glance()
        except HyperhiveError as error:
            # The next look may find it mended.
            self._desk.tell(error)
            self._next_whole = began + LOOK
        ended = time.monotonic()
        self._next_look = ended + max(_PAUSE, min(_PAUSE_TIMES * (ended - began), LOOK))

    def _draw(self) -> None:
        columns, rows = self._terminal.size()
        self._painter.paint(drawn(self._hive, self._desk, columns, rows), columns=columns, rows=rows)

    def _wait(self, watch: Watch) -> None:
        """Wait for a key, a change, a signal, or until something is to be drawn anew, and act on it."""
        now = time.monotonic()
        until = self._next_look if self._is_changed else self._next_whole
        if self._desk.look.is_young(self._hive.now()):
            until = min(until, now + _TICK)
        if self._keyboard.waits:
            until = min(until, now + ESCAPE_MOST)
        changes = watch.fileno()
        if changes is None:
            until = min(until, now + LOOK_BLIND)
        pages = self._desk.page.filenos() if self._desk.page is not None else []
        heard = [*self._terminal.filenos(), *pages, *([] if changes is None else [changes])]
        ready = select.select(heard, [], [], max(0.0, until - now))[0]
        if changes is None or changes in ready:
            watch.wait(0)
            self._is_changed = True
        if self._terminal.heard():
            self._painter.forget()
        if any(fd in ready for fd in pages):
            self._desk.hear()
        self._press(self._keyboard.feed(self._terminal.read()) if 0 in ready else self._keyboard.flush())

    def _press(self, keys: Sequence[Key]) -> None:
        for key in keys:
            if key.name == "ctrl-l":
                self._painter.forget()
            elif self._desk.press(key):
                # What was typed ahead was no answer to what nobody had seen.
                self._terminal.forget_typed()
                return
