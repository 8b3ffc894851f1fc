"""A part of this process that goes on as a child: all that is imported is shared with it, and it ends with its parent."""

import gc
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NoReturn

from hyperhive.core import process
from hyperhive.core.errors import Unavailable

# What a child ends with that an exception has ended.
FAILED: Final = 1


class Forked:
    """Runs a function in a child process, whose exit code is what the function gives back.

    Start it from the main thread, with no database open: neither a connection nor a thread crosses a fork.
    """

    def __init__(self, run: Callable[[], int]) -> None:
        import ctypes  # noqa: F401  # here it stays for the next child, which needs it

        for stream in (sys.stdout, sys.stderr):
            # What waits to be written would be written twice.
            with suppress(OSError, ValueError):
                stream.flush()
        parent = os.getpid()
        # No handler of the parent's may run in the child, not even in its first moment.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self.pid = os.fork()
            if self.pid == 0:
                _live(run, parent)
        except OSError as error:
            raise Unavailable(f"no process can be started: {error.strerror}", hint="hyperhive doctor") from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code, negative for the signal that ended it; None while it lives."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def end(self) -> None:
        """End it at once, and reap it."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            _, status = os.waitpid(self.pid, 0)
            self.returncode = os.waitstatus_to_exitcode(status)


def _live(run: Callable[[], int], parent: int) -> NoReturn:
    """All that a child ever does: it never comes back into the parent's code."""
    code = FAILED
    try:
        # Its objects are the parent's too: to collect them would copy the memory that they share.
        gc.disable()
        # As every program that is started: a session of its own, so that Ctrl-C is for the parent to decide.
        os.setsid()
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            with suppress(OSError):
                signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        process.die_with(parent, signal.SIGKILL)
        # The parent's locks are held by their descriptors.
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        code = run()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    finally:
        os._exit(code)
