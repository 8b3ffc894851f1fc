"""How tests type commands: in this process, in one of its own, or on a terminal."""

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO

from click.testing import CliRunner, Result

from hyperhive.cli.main import hyperhive

PYTHON = sys.executable
HYPERHIVE = [PYTHON, "-m", "hyperhive"]
# What colours a terminal; everything else that begins with an escape is somebody's mischief.
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def run(*words: str, given: str | bytes | None = None) -> Result:
    """Type a command in this process; its output is a pipe."""
    return CliRunner().invoke(hyperhive, list(words), input=given, prog_name="hyperhive")


def answer(*words: str, given: str | bytes | None = None) -> str:
    """What a command that must succeed answers."""
    ended = run(*words, given=given)
    assert ended.exit_code == 0, ended.output
    return ended.stdout


def complaint(*words: str, code: int, given: str | bytes | None = None) -> tuple[str, str]:
    """The two lines of a command that must fail with this exit code."""
    ended = run(*words, given=given)
    assert ended.exit_code == code, ended.output
    error, hint = ended.stderr.removesuffix("\n").split("\n")
    assert error.startswith("error: ")
    assert hint.startswith("hint: ")
    return error.removeprefix("error: "), hint.removeprefix("hint: ")


def process(*words: str, given: bytes = b"", env: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    """Type a command in a process of its own; its output is a pipe."""
    ended = subprocess.run(
        [*HYPERHIVE, *words], input=given, env={**os.environ, **(env or {})}, capture_output=True, timeout=60, check=False
    )
    return subprocess.CompletedProcess(ended.args, ended.returncode, ended.stdout.decode(), ended.stderr.decode())


@contextmanager
def running(*words: str) -> "Iterator[subprocess.Popen[str]]":
    """A command that goes on; it is ended at the end."""
    child = subprocess.Popen([*HYPERHIVE, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def stdout_of(child: "subprocess.Popen[str]") -> IO[str]:
    assert child.stdout is not None
    return child.stdout


def terminal(
    *words: str, columns: int = 60, typed: str = "", env: dict[str, str] | None = None, argv: Sequence[str] = HYPERHIVE
) -> tuple[int, str]:
    """Type a command on a terminal of so many columns; gives back its exit code and all that is seen there."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    surroundings = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    child = subprocess.Popen(
        [*argv, *words],
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        env={**surroundings, "TERM": "xterm-256color", **(env or {})},
    )  # fmt: skip
    os.close(slave)
    os.write(master, typed.encode())
    seen = b""
    try:
        while data := os.read(master, 65536):
            seen += data
    except OSError:
        # So a terminal ends whose last user has gone.
        pass
    finally:
        os.close(master)
    return child.wait(60), seen.decode().replace("\r\n", "\n")
