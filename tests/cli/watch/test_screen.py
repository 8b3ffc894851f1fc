"""`hyperhive watch` on a real terminal: what is seen, what keys do, and what the terminal is like afterwards."""

import codecs
import os
import re
import select
import signal
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from hyperhive.core import approvals, questions, spawning
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, ApprovalState, EventKind, parse_name
from tests.cli import history, shell
from tests.cli.test_safe import ACTS, FAKE, MISCHIEF
from tests.cli.watch.sight import ask_tool
from tests.support.glass import Glass
from tests.support.terminal import Screen

# What may be the beginning of more.
UNFINISHED = re.compile(r"\x1b(\[[?0-9;]*)?\Z")
PROGRAM = ("/usr/bin/env", "TERM=xterm-256color", sys.executable, "-m", "hyperhive", "watch")
# The same, in which a key ends in a fault that nobody foresaw.
FAULT = """
import sys
from hyperhive.cli.main import main
from hyperhive.cli.watch import desk
desk.Desk._press = lambda *_: 1 / 0
sys.argv = ["hyperhive", "watch"]
main()
"""
CRASHES = (*PROGRAM[:3], "-c", FAULT)


class Watched:
    """The command on a terminal of its own, and what is seen on it."""

    def __init__(self, *words: str, columns: int, rows: int) -> None:
        self.screen = Screen(*words, size=(rows, columns))
        self.glass = Glass(columns, rows)
        self.before = termios.tcgetattr(self.screen.fd)
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._rest = ""
        self._next_size: tuple[int, int] | None = None

    def resize(self, columns: int, rows: int) -> None:
        """Change the size of the terminal, and wait until it is drawn on anew."""
        self._next_size = columns, rows
        self.screen.size(rows, columns)
        self.until(lambda _: self._next_size is None, f"{columns} × {rows}")

    def until(self, is_so: Callable[[list[str]], bool], what: str) -> list[str]:
        """Look until something is seen; gives back the rows."""
        until = time.monotonic() + 30
        while not is_so(self.glass.rows):
            ready, _, _ = select.select([self.screen.fd], [], [], max(0.0, until - time.monotonic()))
            assert ready, f"waited in vain for {what}:\n{self.glass.text}"
            self.hear()
        return self.glass.rows

    def hear(self) -> bool:
        """Take what was sent. Says whether the terminal is still in use."""
        try:
            data = os.read(self.screen.fd, 65536)
        except OSError:
            return False
        said = self._rest + self._decode(data)
        found = UNFINISHED.search(said)
        said, self._rest = (said[: found.start()], said[found.start() :]) if found else (said, "")
        self.screen.shown += said
        if self._next_size is not None and "\x1b[2J" in said:
            # What was sent before is for the old size.
            before, clear, said = said.partition("\x1b[2J")
            self.glass.feed(before)
            self.glass.resize(*self._next_size)
            self._next_size, said = None, clear + said
        self.glass.feed(said)
        return bool(data)

    def press(self, keys: str, until: str) -> list[str]:
        """Type, and look until this is seen."""
        self.screen.type(keys)
        return self.until(lambda rows: any(until in row for row in rows), f"{until!r} after {keys!r}")

    def end(self) -> int:
        """The exit code, when it has ended, after its last words."""
        while self.hear():
            pass
        code = os.waitstatus_to_exitcode(os.waitpid(self.screen.pid, 0)[1])
        self.screen.pid = 0
        return code

    def is_as_before(self) -> bool:
        """The terminal is as it was given."""
        return self.glass.modes == {"25", "7"} and termios.tcgetattr(self.screen.fd) == self.before


Begin: TypeAlias = Callable[..., Watched]


@pytest.fixture
def watch(screens: list[Screen]) -> Begin:
    def begin(
        *words: str, columns: int = 60, rows: int = 20, until: str = "q leave", program: tuple[str, ...] = PROGRAM
    ) -> Watched:
        watched = Watched(*program, *words, columns=columns, rows=rows)
        screens.append(watched.screen)
        watched.press("", "q leave")
        return watched

    return begin


def test_it_is_drawn_kept_up_to_date_and_left(hive: Hive, ada: AgentName, watch: Begin) -> None:
    watched = watch()
    assert watched.glass.rows[0].startswith("hyperhive  1 agent  0 at work")
    assert watched.glass.modes == {"1049", "2004"}
    # Something comes, from another process.
    question = questions.ask(hive, asker=ada, text="Which colour?").number
    rows = watched.until(lambda rows: any("│ Which colour?" in row for row in rows), "the question")
    assert "1 waits for you" in rows[0]
    history.events(hive, ada, (EventKind.TEXT, {"text": "I wait."}))
    watched.press("G", "│ I wait.")
    history.events(hive, ada, (EventKind.TEXT, {"text": "I still wait."}))
    watched.press("", "│ I still wait.")
    watched.press("g", "a answer")
    watched.press("a", "enter answers")
    watched.press("red", "> red")
    watched.press("\x7f\x7f\x7fblue\r", f"question {question} is answered")
    assert questions.get(hive, question).answer == "blue"
    number = ask_tool(hive, ada, "true\n" * 40)
    watched.press("", "Bash: true")
    watched.press("g", "a approve")
    # What is typed ahead decides nothing, nor does what is pasted.
    watched.press("ay", "space shows the other")
    watched.press("\x1b[200~y\x1b[201~" + "G", "y yes")
    assert approvals.get(hive, number).state is ApprovalState.PENDING
    watched.press("y", f"{number} is approved")
    assert approvals.get(hive, number).state is ApprovalState.APPROVED
    watched.screen.type("q")
    assert watched.end() == 0
    assert watched.is_as_before()


def test_it_is_laid_out_anew_for_another_size(hive: Hive, ada: AgentName, watch: Begin) -> None:
    for number in range(30):
        questions.ask(hive, asker=ada, text=f"{number} " + "word " * 60)
    watched = watch("ada")
    assert watched.glass.rows[-1].startswith("e events")
    for columns, rows in ((120, 40), (30, 8), (200, 50), (25, 5), (60, 20)):
        watched.resize(columns, rows)
        foot = "too small" if columns < 30 else "q leave"
        seen = watched.press("", foot)
        assert len(seen) == rows
        assert foot in seen[0 if columns < 30 else -1]


@pytest.mark.parametrize(
    ("leave", "code"),
    [("q", 0), ("\x03", 130), ("\x1c", 131), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)],
    ids=["q", "Ctrl-C", "Ctrl-Backslash", "SIGTERM", "SIGHUP", "SIGINT"],
)
def test_the_terminal_is_as_before_however_it_ends(leave: str | signal.Signals, code: int, ada: AgentName, watch: Begin) -> None:
    watched = watch()
    assert not watched.is_as_before()
    if isinstance(leave, str):
        watched.screen.type(leave)
    else:
        os.kill(watched.screen.pid, leave)
    assert watched.end() == code
    assert watched.is_as_before()


def test_after_a_bug_the_terminal_is_as_before_and_the_bug_is_told(hive: Hive, ada: AgentName, watch: Begin) -> None:
    watched = watch(program=CRASHES)
    watched.screen.type("x")
    assert watched.end() == 70
    assert watched.is_as_before()
    told = watched.screen.shown.rpartition("\x1b[?1049l")[2]
    assert "this is a bug in hyperhive (ZeroDivisionError" in told
    assert "Traceback" in next(hive.paths.log.glob("bug-*.txt")).read_text()


@pytest.mark.skipif(not Path("/bin/bash").exists(), reason="needs a shell that has jobs")
def test_it_can_be_stopped_and_goes_on(ada: AgentName, watch: Begin) -> None:
    watched = watch(program=("/bin/bash", "-mc", f"{' '.join(PROGRAM)}; echo stopped: $?; fg; echo ended: $?"))
    watched.screen.type("\x1a")
    watched.until(lambda _: "stopped: 148" in watched.screen.shown, "the shell")
    before, after = watched.screen.shown.split("stopped: 148")
    assert before.rfind("\x1b[?1049l") > before.rfind("\x1b[?1049h")
    assert "q leave" not in after.partition("\x1b[?1049h")[0]
    watched.until(lambda rows: watched.glass.is_other and any("q leave" in row for row in rows), "the screen again")
    watched.screen.type("q")
    assert watched.end() == 0
    assert "ended: 0" in watched.screen.shown
    assert watched.is_as_before()


def test_nothing_that_an_agent_wrote_acts_or_passes_for_ours(hive: Hive, watch: Begin) -> None:
    mallory = parse_name("mallory")
    spawning.spawn(hive, mallory, by="operator")
    history.tell(hive, mallory, MISCHIEF)
    history.events(
        hive, mallory, (EventKind.TEXT, {"text": MISCHIEF}), (EventKind.TOOL, {"name": MISCHIEF, "input": {"command": MISCHIEF}})
    )
    history.journal(hive, mallory, MISCHIEF)
    questions.ask(hive, asker=mallory, text=MISCHIEF.replace("\x00", ""), choices=[FAKE, "b"])
    ask_tool(hive, mallory, MISCHIEF)
    watched = watch(columns=60, rows=24)
    for keys, until in [
        ("", "q leave"), ("a", "esc goes back"), ("\x1b", "q leave"), ("j", "tool of mallory"), ("\r", "q back"), ("G", "q back"),
        ("q", "q leave"), ("G", "mallory"), ("e", "mallory: events"), ("g", "q back"), ("q", "q leave"),
        ("l", "mallory: journal"), ("q", "q leave"), ("i", "your inbox"), ("G", "q back"),
    ]:  # fmt: skip
        rows = watched.press(keys, until)
        assert not [row for row in rows if row.lstrip(" >").startswith(FAKE[:12])], watched.glass.text
    plain = re.sub(r"\x1b\[\??[0-9;]*[A-Za-z]", "", watched.screen.shown)
    assert not ACTS.search(plain)
    assert FAKE[:8] in plain


def test_where_nothing_can_be_drawn_it_says_what_to_type_instead(hive: Hive, ada: AgentName) -> None:
    error, hint = shell.complaint("watch", code=2)
    assert error == "this is no terminal that can be drawn on"
    assert hint == "`hyperhive ps`, `hyperhive pending`, `hyperhive events NAME -f`"
    code, seen = shell.terminal("watch", env={"TERM": "dumb"})
    assert code == 2
    assert "this is no terminal that can be drawn on" in seen
    assert "\x1b" not in seen


def test_who_is_not_there_is_not_watched(ada: AgentName) -> None:
    assert shell.complaint("watch", "aad", code=3) == ("there is no agent aad", "did you mean ada?")


def test_an_idle_hive_is_drawn_once(hive: Hive, ada: AgentName, watch: Begin, home: Path) -> None:
    watched = watch("ada")
    told = watched.screen.shown
    # A sign of a change in which nothing has changed.
    os.utime(hive.paths.changed)
    watched.press("?", "a        approve it")
    watched.press("q", "q leave")
    # Once for the start, then only for the two keys.
    assert watched.screen.shown.count("\x1b[2J") == told.count("\x1b[2J")
