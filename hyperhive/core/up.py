"""A whole hive in the foreground: the hub as a child, started again when it crashes."""

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from hyperhive.core import process
from hyperhive.core.errors import Conflict
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock, holder

# The waits before a hub that crashed is started again, in seconds; it begins anew after a minute of health.
BACK_OFF: Final = (0.2, 1.0, 2.0, 5.0, 10.0, 30.0)
HEALTHY: Final = 60.0
# How long the hub may take to end in order, in seconds: longer than it gives its harnesses.
END_MOST: Final = 20.0
ENDS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def run(hive: Hive, say: Callable[[str], None]) -> None:
    """Keep a hive up until SIGINT or SIGTERM; `say` is told a line about each thing that happens.

    Raises `Conflict` when the hive is up already.
    """
    process.follow_parent()
    # What is wrong in `hive.toml` is said at once, not by a hub that is started again and again.
    _ = hive.settings
    with Lock(hive.paths.lock("up")) as lock:
        if not lock.take():
            raise Conflict(f"this hive is up already: {holder(hive.paths.lock('up'))}", hint="hyperhive ps")
        _keep_up(hive, say)


def _keep_up(hive: Hive, say: Callable[[str], None]) -> None:
    # A signal that is ignored is never waited for.
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD, *ENDS])
    ending = False
    crashes = 0
    say(f"the hive in {hive.paths.state} is up; Ctrl-C ends it")
    while not ending:
        begun = time.monotonic()
        child = process.start([sys.executable, "-m", "hyperhive", "hub"], env=process.parented(os.environ), stdout=2, stderr=2)
        while child.poll() is None and not ending:
            got = signal.sigtimedwait([signal.SIGCHLD, *ENDS], 5.0)
            ending = got is not None and got.si_signo != signal.SIGCHLD
        if ending:
            _end(child, say)
            break
        crashes = 1 if time.monotonic() - begun > HEALTHY else crashes + 1
        wait = BACK_OFF[min(crashes, len(BACK_OFF)) - 1]
        code = child.returncode
        if code == Conflict.exit_code and crashes == len(BACK_OFF):
            # One that was left by a killed `up` would have ended by now.
            raise Conflict(f"somebody else keeps this hive up: {holder(hive.paths.lock('hub'))}", hint="hyperhive ps")
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        say(f"the hub {how}; it is started again in {wait:g} s ({hive.paths.log / 'hub.log'})")
        got = signal.sigtimedwait(ENDS, wait)
        ending = got is not None
    say("the hive is down; messages are kept")


def _end(child: "process.Process", say: Callable[[str], None]) -> None:
    say("ending: running turns are interrupted, their messages come back")
    with suppress(ProcessLookupError):
        os.kill(child.pid, signal.SIGTERM)
    deadline = time.monotonic() + END_MOST
    while child.poll() is None and time.monotonic() < deadline:
        signal.sigtimedwait([signal.SIGCHLD], 0.5)
    process.end_group(child)
