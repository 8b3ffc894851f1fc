"""Hives for tests of the core: agents without containers, and small programs that work on the same hive."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from hyperhive.core import messages, turns
from hyperhive.core.hive import Hive, open_hive
from hyperhive.core.model import OPERATOR, AgentName, Flavor, Message, Outcome, Wanted
from hyperhive.core.tables import AgentRow

ROOT = Path(__file__).parents[2]
ADA, BOB, EVE = AgentName("ada"), AgentName("bob"), AgentName("eve")
_PRELUDE = """
import os, sys, time
from hyperhive.core import agents, eligibility, events, holding, messages, operations, spawning, turns
from hyperhive.core.hive import open_hive
from hyperhive.core.locks import Lock, is_held
from hyperhive.core.model import *
from hyperhive.core.tables import *
hive = open_hive({"HYPERHIVE_HOME": sys.argv[1]})
ADA, BOB, EVE = AgentName("ada"), AgentName("bob"), AgentName("eve")
"""


def hive_in(home: Path) -> Hive:
    """The hive of a folder."""
    return open_hive({"HYPERHIVE_HOME": str(home)})


def add_agent(hive: Hive, name: AgentName, *, flavor: Flavor = Flavor.WORKER) -> AgentName:
    """An agent's row, without folders or a configuration of its own."""
    with hive.db.write():
        AgentRow.create(name=name, flavor=flavor, host="here", runtime="host", wanted=Wanted.STARTED, created_at=hive.now())
    return name


def row_of(hive: Hive, name: AgentName) -> AgentRow:
    """An agent's row as it is now."""
    with hive.db.read():
        return AgentRow.get(AgentRow.name == name)


def set_row(hive: Hive, name: AgentName, **fields: object) -> None:
    """Change an agent's row."""
    with hive.db.write():
        AgentRow.update(**fields).where(AgentRow.name == name).execute()


def send(hive: Hive, body: str = "do it", *, to: str = ADA, sender: str = OPERATOR, key: str | None = None) -> Message:
    """A message to ada."""
    return messages.send(hive, sender=sender, to=to, body=body, key=key)


def begin(hive: Hive, name: AgentName = ADA, *, epoch: int | None = None) -> tuple[int, turns.Begun]:
    """Begin a turn as a harness does, in a new epoch if none is given; there must be mail."""
    epoch = turns.begin_epoch(hive, name) if epoch is None else epoch
    begun = turns.begin(hive, name, epoch=epoch, model=None, conversation="c")
    assert begun is not None
    return epoch, begun


def end(hive: Hive, epoch: int, turn: int, outcome: Outcome, name: AgentName = ADA, **more: object) -> None:
    """End a turn as a harness does."""
    turns.end(hive, name, epoch=epoch, turn=turn, outcome=outcome, usage=turns.Usage(), **more)  # type: ignore[arg-type]  # as given


def one_turn(hive: Hive, outcome: Outcome, *, name: AgentName = ADA, epoch: int | None = None, **more: object) -> list[Message]:
    """A whole turn; gives back what it was given."""
    epoch, begun = begin(hive, name, epoch=epoch)
    end(hive, epoch, begun.number, outcome, name, **more)
    return begun.messages


class Program:
    """A small program in a process of its own. It says lines, and is told lines."""

    def __init__(self, home: Path, code: str, *arguments: str, within: Sequence[str] = ()) -> None:
        self._process = subprocess.Popen(
            [*within, sys.executable, "-c", _PRELUDE + code, str(home), *arguments],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.pid = self._process.pid

    @property
    def stdout(self) -> IO[str]:
        """What it says."""
        assert self._process.stdout is not None
        return self._process.stdout

    @property
    def is_running(self) -> bool:
        """It has not ended."""
        return self._process.poll() is None

    def heard(self) -> str:
        """Its next line; empty at its end."""
        return self.stdout.readline().rstrip("\n")

    def tell(self, line: str = "") -> None:
        """Let it go on."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._process.kill()
        self._process.wait()

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        return self._process.wait(30)


@contextmanager
def program(home: Path, code: str, *arguments: str, within: Sequence[str] = ()) -> Iterator[Program]:
    """A program that does not outlive the block; `within` are the words of another that starts it."""
    started = Program(home, code, *arguments, within=within)
    try:
        yield started
    finally:
        started.kill()
        for stream in (started._process.stdin, started.stdout):
            assert stream is not None
            stream.close()
