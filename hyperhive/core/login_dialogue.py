"""The agent CLI's own login, held with somebody who has no terminal: an address comes out, a code goes in."""

import os
import re
import select
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

from hyperhive.core import box, login_command, process
from hyperhive.core.errors import Conflict, HyperhiveError, Invalid
from hyperhive.core.hive import Hive
from hyperhive.core.log import Log
from hyperhive.core.model import AgentName
from hyperhive.core.safe_text import clean

if TYPE_CHECKING:
    from hyperhive.core.process import Process

# A login that takes longer than this is given up, in seconds.
MOST: Final = 900.0
# So long nobody may be there before it is given up, in seconds: a page that is loaded again is away for a moment.
AWAY_MOST: Final = 20.0
# Nothing else is shown as an address to open; whatever stands in one.
_ADDRESS: Final = re.compile(r"https?://[!-~]{4,4000}")
_CODE: Final = re.compile(r"[!-~]{4,4096}")
# The end of what the program says that is kept, and how much it may say at all, in bytes.
_KEPT: Final = 16 * 1024
_SAID_MOST: Final = 1024 * 1024
_TICK: Final = 1.0


class Step(StrEnum):
    """How far a login is."""

    BEGINS = "begins"
    ASKS = "asks"
    DONE = "done"
    FAILED = "failed"

    @property
    def is_over(self) -> bool:
        """Nothing more will come."""
        return self in (Step.DONE, Step.FAILED)


class Said(msgspec.Struct, frozen=True):
    """What is to be seen of a login: the address to open, and in `text` what was said since the last code, or why it ended."""

    step: Step
    address: str = ""
    text: str = ""


class Dialogue:
    """One login of one agent, in a thread of its own. `say` is called whenever there is something new to be seen."""

    def __init__(self, hive: Hive, name: AgentName, log: Log, *, is_watched: Callable[[], bool], say: Callable[[], None]) -> None:
        """It is given up when nobody is there (`is_watched`) for a while, when it takes too long, or by `end`."""
        self._hive = hive
        self._name = name
        self._log = log
        self._is_watched = is_watched
        self._say = say
        self._said = Said(Step.BEGINS)
        self._wake, self._woken = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._lock = threading.Lock()
        self._codes: list[str] = []
        self._is_ended = False
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name=f"login of {name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def said(self) -> Said:
        """What is to be seen now."""
        return self._said

    def give(self, code: str) -> None:
        """Hand the code over. Raises `Invalid` for what can be none, `Conflict` where none is asked for."""
        if not _CODE.fullmatch(code.strip()):
            raise Invalid("that is not a code", hint="copy all of it, with the # in its middle")
        if self._said.step is not Step.ASKS:
            raise Conflict(f"the login of {self._name} asks for no code", hint=f"hyperhive login {self._name}")
        self._codes.append(code.strip())
        self._rouse()

    def end(self) -> None:
        """Give it up."""
        self._is_ended = True
        self._rouse()

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end."""
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            room = box.prepare(self._hive, self._name)
            with (
                login_command.reaching_the_api(self._hive, room) as command,
                room.converse(self._hive, command.words, env=command.env) as child,
            ):
                code, output = self._talk(child)
            login_command.finish(self._hive, room, command.words, code, output=output)
            self._tell(Said(Step.DONE, text=f"{self._name} is logged in"))
        except HyperhiveError as error:
            self._tell(Said(Step.FAILED, text=_why(error)))
        except Exception:
            self._log.exception(f"a bug, met at the login of {self._name}")
            self._tell(Said(Step.FAILED, text="this is a bug in hyperhive"))
        finally:
            with self._lock:
                self._is_closed = True
                os.close(self._wake)
                os.close(self._woken)
            self._hive.close()

    def _talk(self, child: "Process") -> tuple[int, str]:
        """Carry words both ways until the program ends; gives back its exit code, and what it said after the last code."""
        assert child.stdin is not None
        assert child.stdout is not None
        fd = child.stdout.fileno()
        begun = watched = time.monotonic()
        said, count = b"", 0
        while True:
            ready = select.select([fd, self._wake], [], [], _TICK)[0]
            now = time.monotonic()
            if self._is_watched():
                watched = now
            if self._is_ended:
                raise Conflict("it was given up", hint="")
            if now - watched > AWAY_MOST:
                raise Conflict("it was given up, for nobody had this page open any more", hint="")
            if now - begun > MOST:
                raise Conflict("it was given up: it took too long", hint="")
            if self._wake in ready:
                os.read(self._wake, 4096)
                for code in self._codes:
                    said = b""
                    with suppress(BrokenPipeError):
                        child.stdin.write(code.encode() + b"\n")
                        child.stdin.flush()
                self._codes.clear()
            if fd in ready:
                data = os.read(fd, 4096)
                count += len(data)
                said = (said + data)[-_KEPT:]
                if not data or count > _SAID_MOST:
                    break
                self._hear(said.decode("utf-8", "replace"))
        ended = process.code_of(child, 5.0)
        if ended is None:
            raise Conflict("the agent CLI did not end its login", hint="")
        return ended, said.decode("utf-8", "replace")

    def _hear(self, text: str) -> None:
        found = _ADDRESS.search(text)
        if self._said.step is Step.BEGINS:
            if found:
                self._tell(Said(Step.ASKS, found[0]))
        else:
            self._tell(Said(Step.ASKS, self._said.address, _last(text) if not found else ""))

    def _tell(self, said: Said) -> None:
        if said != self._said:
            self._said = said
            self._say()

    def _rouse(self) -> None:
        with self._lock, suppress(BlockingIOError):
            if not self._is_closed:
                os.write(self._woken, b"x")


def _why(error: HyperhiveError) -> str:
    from hyperhive.core.errors import CommandFailed

    if isinstance(error, CommandFailed):
        return _last(error.output) or error.message
    return error.message


def _last(text: str) -> str:
    """The last line of what a program said, as far as it is one that people read."""
    lines = [line.strip() for line in clean(text).splitlines() if line.strip()]
    return lines[-1][:400] if lines else ""
