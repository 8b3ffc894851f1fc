"""The agent CLI as a running process: lines in, lines out, and an end that leaves nothing behind."""

import fcntl
import os
import select
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from hyperhive.core import claude, process
from hyperhive.core.error_lines import ErrorLines
from hyperhive.core.errors import Unavailable
from hyperhive.core.log import Log

# So that a whole prompt fits without waiting for the reader, in bytes.
PIPE: Final = 1024 * 1024
CHUNK: Final = 256 * 1024
# A CLI that reads nothing for so long is not going to, in seconds.
WRITE_MOST: Final = 20.0


class CliProcess:
    """One agent CLI in its container, started from the main thread so that it ends with this process.

    `errors` gets what it says on standard error; `end` ends what is not this process' own to end: the CLI in a container that
    is booted.
    """

    def __init__(
        self,
        argv: Sequence[str],
        env: dict[str, str],
        *,
        conversation: str,
        log: Log,
        errors: Log,
        end: Callable[[], None] = lambda: None,
    ) -> None:
        self.conversation = conversation
        self._log = log
        self._end = end
        self._child = process.start(argv, env=env, stdin=process.PIPE)
        self._lines = claude.Lines()
        self._requests = 0
        self._rubbish_told = 0
        self._errors = ErrorLines(errors)
        self.ended = False
        # It has answered a request, so it speaks the protocol.
        self.answered = False
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        assert self._child.stderr is not None
        self._stdin = self._child.stdin.fileno()
        self.stdout = self._child.stdout.fileno()
        self.stderr = self._child.stderr.fileno()
        for fd in (self._stdin, self.stdout, self.stderr):
            os.set_blocking(fd, False)
        # An ordinary user may have used up what it may have of large pipes; a long prompt then waits for the reader.
        with suppress(OSError):
            fcntl.fcntl(self._stdin, fcntl.F_SETPIPE_SZ, PIPE)

    @property
    def pid(self) -> int:
        """The outermost process."""
        return self._child.pid

    @property
    def last_words(self) -> str:
        """The end of what it said on standard error, for a person."""
        return " ".join(self._errors.tail.split())[-500:]

    def read(self) -> list[dict[str, Any]]:
        """What it has said since the last look. Sets `ended` at the end of its output."""
        found: list[dict[str, Any]] = []
        try:
            data = os.read(self.stdout, CHUNK)
        except BlockingIOError:
            return found
        if not data:
            self.ended = True
        found.extend(self._lines.feed(data))
        if self._lines.rubbish > self._rubbish_told:
            self._rubbish_told = self._lines.rubbish
            self._log(f"the agent CLI has printed {self._rubbish_told} lines that are too long, or no JSON")
        return found

    @property
    def rubbish(self) -> int:
        """How many lines could not be used."""
        return self._lines.rubbish

    def read_errors(self) -> bool:
        """Write down what it has said on standard error. Says whether there may be more."""
        try:
            data = os.read(self.stderr, CHUNK)
        except BlockingIOError:
            return True
        self._errors.feed(data)
        return bool(data)

    def tell(self, uuid: str, text: str) -> None:
        """Give the model a prompt. Raises `Unavailable` when the CLI does not take it."""
        self._write(claude.prompt_line(uuid, text))

    def ask(self, subtype: str, **fields: Any) -> str:
        """Ask the CLI itself; the answer comes as a line with this number. Raises `Unavailable` as `tell` does."""
        self._requests += 1
        number = f"h{self._requests}"
        self._write(claude.request_line(number, subtype, **fields))
        return number

    def answer(self, line: bytes) -> None:
        """Answer what the CLI has asked. Raises `Unavailable` as `tell` does."""
        self._write(line)

    def close(self, *, grace: float) -> None:
        """Let it end by itself, for `grace` seconds, then end it."""
        try:
            os.close(self._stdin)
            self._child.stdin = None
        except OSError:
            pass
        deadline = time.monotonic() + grace
        while self._child.poll() is None and time.monotonic() < deadline:
            if self.ended or not select.select([self.stdout], [], [], 0.1)[0]:
                time.sleep(0.01)
            self.read()
            self.read_errors()
        self.kill()

    def kill(self) -> None:
        """End it and everything below it, now."""
        self._end()
        process.end_group(self._child)
        process.end_descendants()
        self.ended = True

    def _write(self, data: bytes) -> None:
        deadline = time.monotonic() + WRITE_MOST
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._stdin, rest) :]
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Unavailable("the agent CLI does not read what it is told") from None
                time.sleep(0.005)
            except OSError as error:
                raise Unavailable(f"the agent CLI has ended: {self.last_words or error.strerror}") from None
