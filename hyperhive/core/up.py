"""A whole hive in the foreground: its processes as children, each started again when it crashes."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple, Protocol

from hyperhive.core import crash_watch, process
from hyperhive.core.errors import Conflict, HyperhiveError
from hyperhive.core.forked import Forked
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock, holder
from hyperhive.core.log import Log

# The waits before what crashed is started again, in seconds; they begin anew after a minute of health, or with a good end.
BACK_OFF: Final = (0.2, 1.0, 2.0, 5.0, 10.0, 30.0)
HEALTHY: Final = 60.0
# How long all may take to end in order, in seconds: longer than the hub gives its harnesses.
END_MOST: Final = 20.0
ENDS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# How often the hive is swept, in seconds.
SWEEP_EVERY: Final = 3600.0
# How often it is looked at the children without a signal, in seconds.
LOOK: Final = 5.0

Say = Callable[[str], None]


class Child(Protocol):
    """A process that was started here."""

    @property
    def pid(self) -> int:
        """Its number."""
        ...

    def poll(self) -> int | None:
        """Its exit code, negative for the signal that ended it; None while it lives."""
        ...

    def end(self) -> None:
        """End it, and all of its group, at once, and reap it."""
        ...


class Part(NamedTuple):
    """A part of the hive: a process that always lives, or with `every` one that works and ends, so many seconds apart.

    One that is `besides` may be kept by somebody else, or have no place: the others go on without it.
    """

    name: str
    start: Callable[[Hive, Say], Child]
    every: float | None = None
    besides: bool = False


class _Command:
    """A command of hyperhive's own, as a program."""

    def __init__(self, *words: str) -> None:
        self._child = process.start(
            [sys.executable, "-m", "hyperhive", *words], env=process.parented(os.environ), stdout=2, stderr=2
        )
        self.pid = self._child.pid

    def poll(self) -> int | None:
        return self._child.poll()

    def end(self) -> None:
        process.end_group(self._child)


def _worked(hive: Hive, say: Say, name: str, work: Callable[[Hive], Iterable[str]]) -> int:
    """One pass of what works at its times, in a process of its own: says what it has to say. Gives back the exit code."""
    try:
        # With the settings as they are now.
        for line in work(Hive(hive.paths)):
            say(line)
    except Conflict:
        # Somebody else does it at this moment.
        return 0
    except HyperhiveError as error:
        say(f"the {name} cannot do its work: {error}")
        return error.exit_code
    except Exception:
        Log(name, hive.paths.log / f"{name}.log").exception(f"a bug in the {name}")
        return HyperhiveError.exit_code
    return 0


def _watch(hive: Hive) -> Iterable[str]:
    seen = crash_watch.run(hive)
    return (*(one.text for one in seen.told), *seen.troubles)


def _sweep(hive: Hive) -> Iterable[str]:
    # Once an hour, and not kept in memory in between.
    from hyperhive.core import vacuum

    swept = vacuum.run(hive)
    return (*filter(None, [swept.text]), *(one.message for one in swept.troubles))


def _at_times(name: str, work: Callable[[Hive], Iterable[str]], every: float) -> Part:
    # A program of its own would take twenty times the processor that a look takes, or stay in memory between two of them.
    return Part(name, lambda hive, say: Forked(lambda: _worked(hive, say, name, work)), every)


PARTS: Final = (
    Part("hub", lambda hive, say: _Command("hub")),
    _at_times("crash-watch", _watch, crash_watch.EVERY),
    _at_times("vacuum", _sweep, SWEEP_EVERY),
)
WEB: Final = Part("web", lambda hive, say: _Command("web"), besides=True)


def run(hive: Hive, say: Say, *, web: bool = False) -> None:
    """Keep a hive up until SIGINT or SIGTERM, with `web` its dashboard too; `say` is told a line about each thing that happens.

    Raises `Conflict` when the hive is up already.
    """
    process.follow_parent()
    # What is wrong in `hive.toml` is said at once, not by a hub that is started again and again.
    _ = hive.settings
    with Lock(hive.paths.lock("up")) as lock:
        if not lock.take():
            raise Conflict(f"this hive is up already: {holder(hive.paths.lock('up'))}", hint="hyperhive ps")
        _keep_up(hive, say, (*PARTS, WEB) if web else PARTS)


def _keep_up(hive: Hive, say: Say, parts: Sequence[Part]) -> None:
    # A signal that is ignored is never waited for.
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD, *ENDS])
    keepers = [_Keeper(hive, part, say) for part in parts]
    say(f"the hive in {hive.paths.state} is up; Ctrl-C ends it")
    ending = False
    try:
        while not ending:
            due = min([keeper.look() for keeper in keepers])
            got = signal.sigtimedwait([signal.SIGCHLD, *ENDS], max(0.0, min(due - time.monotonic(), LOOK)))
            ending = got is not None and got.si_signo != signal.SIGCHLD
        say("ending: running turns are interrupted, their messages come back")
    finally:
        _end(keepers)
    say("the hive is down; messages are kept")


class _Keeper:
    """Keeps one part alive, or lets it work at its times."""

    def __init__(self, hive: Hive, part: Part, say: Say) -> None:
        self._hive = hive
        self._part = part
        self._say = say
        self.child: Child | None = None
        self._begun = 0.0
        self._due = 0.0
        self._crashes = 0

    def look(self) -> float:
        """Notice its end, and start it when it is due. Gives back when to look again (monotonic)."""
        if self.child is not None and (code := self.child.poll()) is not None:
            self.child = None
            self._has_ended(code)
        now = time.monotonic()
        if self.child is None and now >= self._due:
            self._begun = now
            try:
                self.child = self._part.start(self._hive, self._say)
            except HyperhiveError as error:
                self._due = now + self._crashed()
                self._say(f"the {self._part.name} cannot be started: {error}; it is tried again in {self._due - now:g} s")
        return self._due if self.child is None else float("inf")

    def _has_ended(self, code: int) -> None:
        now = time.monotonic()
        every = self._part.every
        if every is not None and code == 0:
            self._crashes = 0
            self._due = max(now, self._begun + every)
            return
        if every is None and now - self._begun > HEALTHY:
            self._crashes = 0
        sole = every is None and not self._part.besides
        if sole and code == Conflict.exit_code and self._crashes == len(BACK_OFF) - 1:
            # One that was left by a killed `up` would have ended by now.
            who = holder(self._hive.paths.lock(self._part.name))
            raise Conflict(f"somebody else keeps this hive up: {who}", hint="hyperhive ps")
        wait = max(self._crashed(), 0.0 if every is None else self._begun + every - now)
        self._due = now + wait
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        log = self._hive.paths.log / f"{self._part.name}.log"
        self._say(f"the {self._part.name} {how}; it is started again in {round(wait, 1):g} s ({log})")

    def _crashed(self) -> float:
        """Count a crash. Gives back the wait that follows it."""
        self._crashes += 1
        return BACK_OFF[min(self._crashes, len(BACK_OFF)) - 1]


def _end(keepers: list[_Keeper]) -> None:
    children = [keeper.child for keeper in keepers if keeper.child is not None]
    for child in children:
        with suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGTERM)
    deadline = time.monotonic() + END_MOST
    while any(child.poll() is None for child in children) and time.monotonic() < deadline:
        signal.sigtimedwait([signal.SIGCHLD], 0.5)
    for child in children:
        child.end()
