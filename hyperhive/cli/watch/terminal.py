"""The operator's terminal while it is drawn on: taken as a whole, and given back however this ends."""

import contextlib
import os
import signal
import sys
import termios
import tty
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Final, Self, TypeAlias

from hyperhive.core.errors import Invalid

# Another screen, no cursor, no line that wraps, pastes marked as such (xterm's control sequences, "Private Mode Set").
_TAKE: Final = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[?2004h\x1b[2J"
_GIVE: Final = "\x1b[m\x1b[?2004l\x1b[?7h\x1b[?25h\x1b[?1049l"
_ENDS: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_CHUNK: Final = 65536
_Handler: TypeAlias = Callable[[int, FrameType | None], Any] | int | None


class Terminal:
    """Standard input and output, from `with` to its end. A signal that ends the process ends the block first."""

    def __init__(self) -> None:
        """Raises `Invalid` where nobody looks and types, or nothing can be drawn."""
        if not (os.isatty(0) and os.isatty(1)) or os.environ.get("TERM", "dumb") in ("dumb", ""):
            raise Invalid(
                "this is no terminal that can be drawn on", hint="`hyperhive ps`, `hyperhive pending`, `hyperhive events NAME -f`"
            )
        self._before = termios.tcgetattr(0)
        self._encoding = sys.stdout.encoding or "utf-8"
        self._handlers: dict[signal.Signals, _Handler] = {}
        self._woken = self._wake = self._wakeup_before = -1
        self._is_to_stop = False

    def __enter__(self) -> Self:
        # Read after each signal: one that comes just before a wait would otherwise be seen when that wait is over.
        self._woken, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            self._wakeup_before = signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
            for number in _ENDS:
                self._handlers[number] = signal.signal(number, _leave)
            self._handlers[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, lambda *_: None)
            self._handlers[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, self._stop)
            self._take()
        except BaseException:
            self._give_back()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._give_back()

    def filenos(self) -> list[int]:
        """What can be read when something was typed, or a signal came."""
        return [0, self._woken]

    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        with contextlib.suppress(OSError):
            size = os.get_terminal_size(1)
            # A terminal that does not tell says nothing.
            if size.columns and size.lines:
                return size.columns, size.lines
        return 80, 24

    def read(self) -> bytes:
        """What was typed. Raises `EOFError` when the terminal is gone."""
        try:
            typed = os.read(0, _CHUNK)
        except OSError:
            typed = b""
        if not typed:
            raise EOFError
        return typed

    def forget_typed(self) -> None:
        """Throw away what was typed and not read yet."""
        with contextlib.suppress(termios.error):
            termios.tcflush(0, termios.TCIFLUSH)

    def heard(self) -> bool:
        """Act on the signals that came. Says whether all is to be drawn again."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, _CHUNK)
        if not self._is_to_stop:
            return False
        self._is_to_stop = False
        self._give()
        # The shell that this was started from has the terminal until it lets this go on.
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._stop)
        self._take()
        return True

    def write(self, text: str) -> None:
        """Draw. Raises `EOFError` when the terminal is gone."""
        data = text.encode(self._encoding, "replace")
        try:
            while data:
                data = data[os.write(1, data) :]
        except OSError:
            raise EOFError from None

    def _take(self) -> None:
        # Ctrl-C, Ctrl-Z and Ctrl-\\ stay signals.
        tty.setcbreak(0, termios.TCSADRAIN)
        self.write(_TAKE)

    def _give(self) -> None:
        with contextlib.suppress(EOFError):
            self.write(_GIVE)
        with contextlib.suppress(termios.error):
            # What was typed ahead was for the screen that is gone.
            termios.tcsetattr(0, termios.TCSAFLUSH, self._before)

    def _give_back(self) -> None:
        # Nothing may come between: a second Ctrl-C would leave the terminal as it is.
        interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
        for number in self._handlers:
            signal.signal(number, signal.SIG_IGN)
        self._give()
        signal.set_wakeup_fd(self._wakeup_before)
        for number, handler in {**self._handlers, signal.SIGINT: interrupt}.items():
            signal.signal(number, handler)
        os.close(self._wake)
        os.close(self._woken)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._is_to_stop = True


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
