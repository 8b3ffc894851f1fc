"""A command in a container has a terminal where the operator has one, and pipes where there is none."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runtimes import boxes
from tests.support.terminal import Screen

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.box
kinds = pytest.mark.parametrize("kind", [*([pytest.param("own-user")] if boxes.IS_ROOT else ["ordinary"]), "host"])

# What a command of the shell does, in a process of its own.
RUN = """
import sys
from tests.runtimes import boxes
from hyperhive.core.terminal import run_in_box
box = boxes.make(sys.argv[1])
sys.exit(run_in_box(box.runtime, box.place, sys.argv[2:], box.env(GREETING="hello")))
"""

# The same for a command that asks.
ASK = """
import sys
from tests.runtimes import boxes
from hyperhive.core.errors import Invalid
from hyperhive.core.terminal import ask_in_box
box = boxes.make(sys.argv[1])
try:
    sys.exit(ask_in_box(box.runtime, box.place, sys.argv[2:], box.env(), hint="answer it", most=0.0))
except Invalid as error:
    sys.exit(f"{error}: {error.hint}")
"""

WAIT_FOR_KEYS = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
print("ready", flush=True)
signal.sigwait([signal.SIGINT])
print("caught", flush=True)
print("got", input())
"""

JOB = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCONT])
print("working", flush=True)
signal.sigwait([signal.SIGCONT])
signal.signal(signal.SIGINT, signal.SIG_DFL)
print("going on", flush=True)
signal.pause()
"""

SHOW_SIZES = """
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGWINCH])
print("ready", flush=True)
while signal.sigwait([signal.SIGWINCH]):
    size = os.get_terminal_size(0)
    print(size.lines, size.columns, flush=True)
"""


def show(screens: list[Screen], kind: str, *command: str, after: str = "") -> Screen:
    """Run a command in a container on a new terminal; `after` is a shell command to run there when it has ended."""
    words = [sys.executable, "-c", RUN, kind, *command]
    if after:
        words = ["/bin/sh", "-c", f'"$@"; code=$?; {after}; exit $code', "sh", *words]
    screen = Screen(*words)
    screens.append(screen)
    return screen


@kinds
def test_on_a_terminal_it_has_a_terminal(kind: str, screens: list[Screen]) -> None:
    screen = show(screens, kind, "bash", "-c", "test -t 0 && test -t 1 && echo $GREETING >/dev/tty; exit 7")
    assert screen.end() == 7
    assert screen.shown == "hello\r\n"


@kinds
def test_keys_and_signals_reach_it_and_the_terminal_is_as_before(kind: str, screens: list[Screen]) -> None:
    screen = show(screens, kind, "python3", "-c", WAIT_FOR_KEYS, after="stty -a")
    screen.wait_for("ready")
    screen.type("\x03")
    screen.wait_for("caught")
    screen.type("abc\n")
    screen.wait_for("got abc")
    assert screen.end() == 0
    modes = screen.shown.rpartition("got abc")[2].split()
    assert {"icanon", "echo", "isig", "opost"} <= set(modes)


@kinds
def test_job_control_works(kind: str, screens: list[Screen]) -> None:
    screen = show(screens, kind, "env", "PS1=what now? ", f"JOB={JOB}", "bash", "--norc", "--noediting", "-i")
    screen.wait_for("what now? ")
    screen.type('python3 -c "$JOB"\n')
    screen.wait_for("working")
    screen.type("\x1a")
    screen.wait_for("Stopped")
    screen.wait_for("what now? ")
    screen.type("fg\n")
    screen.wait_for("going on")
    screen.type("\x03")
    screen.wait_for("what now? ")
    screen.type("exit 4\n")
    assert screen.end() == 4


@kinds
def test_its_size_follows_the_terminals(kind: str, screens: list[Screen]) -> None:
    screen = show(screens, kind, "python3", "-c", SHOW_SIZES)
    screen.wait_for("ready")
    screen.size(41, 97)
    screen.wait_for("41 97")
    screen.size(33, 55)
    screen.wait_for("33 55")


@kinds
def test_a_signal_ends_it_and_the_terminal_is_as_before(kind: str, screens: list[Screen]) -> None:
    screen = show(screens, kind, "bash", "-c", "echo ready; sleep 1000", after="stty -a")
    screen.wait_for("ready")
    children = Path(f"/proc/{screen.pid}/task/{screen.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGTERM)
    assert screen.end() == 128 + signal.SIGTERM
    assert {"icanon", "echo", "isig", "opost"} <= set(screen.shown.split())


@kinds
@pytest.mark.parametrize(("script", "code"), [("kill -9 $$", 137), ("exit 3", 3)])
def test_the_exit_code_passes_on_a_terminal(kind: str, screens: list[Screen], script: str, code: int) -> None:
    assert show(screens, kind, "sh", "-c", script).end() == code


@kinds
def test_without_a_terminal_pipes_pass_through(kind: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN, kind, "sh", "-c", "test -t 0 || cat; echo to-err >&2; exit 5"],
        cwd=ROOT, input="a\x03b\n", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr, done.returncode) == ("a\x03b\n", "to-err\n", 5)


def ask(kind: str, *command: str, stdin: int = subprocess.PIPE) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", ASK, kind, *command],
        cwd=ROOT,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@kinds
def test_a_command_that_asks_gets_its_answer_when_it_comes(kind: str) -> None:
    with ask(kind, "sh", "-c", "echo what?; read x; echo $x; read x; echo $x; exit 6") as asking:
        assert asking.stdin
        assert asking.stdout
        for answer in ("this", "that"):
            assert answer == "that" or asking.stdout.readline() == "what?\n"
            asking.stdin.write(f"{answer}\n")
            asking.stdin.flush()
            assert asking.stdout.readline() == f"{answer}\n"
        assert asking.wait(60) == 6


@kinds
def test_a_command_that_asks_on_is_ended_when_nobody_is_left_to_answer(kind: str) -> None:
    with ask(kind, "sh", "-c", "read x; echo $x; exec sleep 1000") as asking:
        assert asking.stdin
        assert asking.stdout
        asking.stdin.write("wrong\n")
        asking.stdin.flush()
        assert asking.stdout.readline() == "wrong\n"
        out, err = asking.communicate(timeout=60)
    assert (out, err) == ("", "standard input has ended, and nobody is left to answer: answer it\n")


@kinds
def test_a_command_that_asks_does_not_begin_where_nobody_is_there(kind: str) -> None:
    with ask(kind, "echo", "what?", stdin=subprocess.DEVNULL) as asking:
        out, err = asking.communicate(timeout=60)
    assert (out, err) == ("", "standard input has ended, and nobody is left to answer: answer it\n")
