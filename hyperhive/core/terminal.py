"""Runs a command in an agent's container on the operator's terminal."""

import contextlib
import errno
import fcntl
import math
import os
import select
import selectors
import signal
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType
from typing import Final

from hyperhive.core import process
from hyperhive.core.errors import Invalid
from hyperhive.core.runtimes import Place, Runtime

_CHUNK: Final = 65536
# How long a command may work on the last answer that it was given, in seconds.
ANSWER_MOST: Final = 60.0


def run_in_box(
    runtime: Runtime,
    place: Place,
    command: Sequence[str],
    env: Mapping[str, str],
    *,
    before: Sequence[str] = (),
    unit: str | None = None,
) -> int:
    """Run a command in the agent's container, and give back its exit code, 128 + N when signal N ended it.

    On a terminal it gets one of its own, for the container may not touch the operator's; else the pipes pass through.
    `before` are words in front of the container's, `unit` is what the runtime is to call it.
    """
    if os.isatty(0) and os.isatty(1):
        command = [*runtime.inside(place).terminal, *command]
        return _on_terminal([*before, *runtime.wrap(place, command, env=env, unit=unit)], env, owner=place.uid)
    return process.attach([*before, *runtime.wrap(place, command, env=env, unit=unit)], env=env)


def ask_in_box(
    runtime: Runtime,
    place: Place,
    command: Sequence[str],
    env: Mapping[str, str],
    *,
    hint: str,
    before: Sequence[str] = (),
    unit: str | None = None,
    most: float = ANSWER_MOST,
) -> int:
    """As `run_in_box`, for a command that asks: where nobody is left to answer it is ended, and not waited for.

    Raises `Invalid` with the hint at once when standard input ends with nothing in it, else `most` seconds after its end.
    """
    if os.isatty(0):
        return run_in_box(runtime, place, command, env, before=before, unit=unit)
    return _while_fed([*before, *runtime.wrap(place, command, env=env, unit=unit)], env, hint, most)


def _while_fed(argv: Sequence[str], env: Mapping[str, str], hint: str, most: float) -> int:
    nobody = Invalid("standard input has ended, and nobody is left to answer", hint=hint)
    # Not epoll, which knows no files. What can be read and is empty has ended.
    answer = os.read(0, _CHUNK) if select.select([0], [], [], 0)[0] else None
    if answer == b"":
        raise nobody
    read, write = os.pipe2(os.O_CLOEXEC)
    try:
        with open(read, "rb") as stdin:
            child = process.start(argv, env=env, stdin=stdin, stdout=1, stderr=2)
    except BaseException:
        os.close(write)
        raise
    ended = os.pidfd_open(child.pid)
    deadline, given = math.inf, answer is not None
    try:
        while True:
            if answer:
                with contextlib.suppress(BrokenPipeError):
                    _write(write, answer)
            left = deadline - time.monotonic()
            ready = (
                select.select([ended, 0], [], [])[0] if left == math.inf else select.select([ended], [], [], max(0.0, left))[0]
            )
            if ended in ready:
                code = child.wait()
                return code if code >= 0 else 128 - code
            if not ready:
                raise nobody
            answer = os.read(0, _CHUNK)
            if not answer:
                deadline = time.monotonic() + (most if given else 0.0)
            given = given or bool(answer)
    finally:
        process.end_group(child)
        os.close(write)
        os.close(ended)


def _on_terminal(argv: Sequence[str], env: Mapping[str, str], *, owner: int | None) -> int:
    master, slave = os.openpty()
    try:
        _copy_size(slave)
        if owner is not None:
            # A systemd gives it to the user that it starts a program as, and in a container it could not.
            os.fchown(slave, owner, -1)
            os.fchmod(slave, 0o620)
        child = process.start(argv, env=env, stdin=slave, stdout=slave, stderr=slave)
    except BaseException:
        os.close(master)
        raise
    finally:
        os.close(slave)
    try:
        with _woken_by_signals() as woken, _raw(0), _sizes_to(master):
            _carry(master, child.pid, woken)
        code = child.wait()
    finally:
        process.end_group(child)
        os.close(master)
    return code if code >= 0 else 128 - code


def _carry(master: int, pid: int, woken: int) -> None:
    """Carry keys one way and the screen the other, until the process has ended and its last words are shown."""
    ended = os.pidfd_open(pid)
    try:
        with selectors.DefaultSelector() as selector:
            for fd in (master, 0, ended, woken):
                selector.register(fd, selectors.EVENT_READ)
            while ready := {key.fd for key, _ in selector.select()}:
                if woken in ready:
                    os.read(woken, _CHUNK)
                if 0 in ready:
                    keys = os.read(0, _CHUNK)
                    _write(master, keys)
                    if not keys:
                        selector.unregister(0)
                if master in ready:
                    screen = _read(master)
                    _write(1, screen)
                    if not screen:
                        return
                elif ended in ready:
                    return
    finally:
        os.close(ended)


def _read(terminal: int) -> bytes:
    """What is to be shown; nothing when nobody holds the other end any more."""
    try:
        return os.read(terminal, _CHUNK)
    except OSError as error:
        # The end of a pseudo-terminal is an error on Linux.
        if error.errno == errno.EIO:
            return b""
        raise


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


@contextlib.contextmanager
def _woken_by_signals() -> Iterator[int]:
    """A descriptor that can be read after each signal.

    One that comes just before a wait begins would otherwise be handled only when that wait is over.
    """
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    try:
        yield read
    finally:
        signal.set_wakeup_fd(before)
        os.close(read)
        os.close(write)


@contextlib.contextmanager
def _raw(fd: int) -> Iterator[None]:
    """Let every key through to the container; the terminal is as before at the end, also when a signal ends this."""
    before = termios.tcgetattr(fd)
    with leaving_in_order():
        try:
            # What was typed already is not thrown away: it is for the command.
            tty.setraw(fd, termios.TCSADRAIN)
            yield
        finally:
            termios.tcsetattr(fd, termios.TCSAFLUSH, before)


@contextlib.contextmanager
def leaving_in_order() -> Iterator[None]:
    """SIGTERM and SIGHUP end this process as an exit does, with whatever is to be done at its end."""
    if threading.current_thread() is not threading.main_thread():
        # Signals come to the main thread, and whoever works in another one is told by it.
        yield
        return

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    handlers = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _sizes_to(terminal: int) -> Iterator[None]:
    """Tell the other terminal whenever this one changes its size."""
    before = signal.signal(signal.SIGWINCH, lambda number, frame: _copy_size(terminal))
    try:
        _copy_size(terminal)
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


def _copy_size(terminal: int) -> None:
    with contextlib.suppress(OSError):
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8)))
