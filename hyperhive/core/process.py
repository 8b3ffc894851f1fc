"""How hyperhive runs other programs: a list of words, a closed environment, no shell, nothing left behind."""

import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, TypeAlias

import msgspec

from hyperhive.core.errors import CommandFailed, Expired, Invalid, Unavailable

if TYPE_CHECKING:
    import subprocess

    Process: TypeAlias = subprocess.Popen[bytes]

# The end of a program's output that an error keeps, in bytes.
TAIL: Final = 8192
# Their values in `subprocess`, which takes longer to import than a command that only reads takes to run.
PIPE: Final = -1
STDOUT: Final = -2
DEVNULL: Final = -3
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Marks every process of an agent's CLI with the agent's folder, so that one that outlived its harness is found.
BOX: Final = "HYPERHIVE_BOX"
# Marks what the operator runs in an agent's container, which ends when the agent is taken away.
VISIT: Final = "HYPERHIVE_VISIT"
# Tells a process of hyperhive's own which one started it.
PARENT: Final = "HYPERHIVE_PARENT"
_PIPE_MOST: Final = 1024**2
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_PR_SET_CHILD_SUBREAPER: Final = 36  # linux/prctl.h


class Completed(msgspec.Struct, frozen=True):
    """What a program that ended well printed."""

    stdout: bytes
    stderr: bytes

    def text(self) -> str:
        """Standard output as text, without the last line break."""
        return self.stdout.decode("utf-8", "replace").removesuffix("\n")


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    cwd: Path | None = None,
    timeout: float = 60.0,
    check: bool = True,
) -> Completed:
    """Run a program to its end and give back what it printed.

    `env` is the whole environment but for PATH; `timeout` is in seconds. Raises `Unavailable` when the program is
    missing, `Expired` when it took too long, `CommandFailed` when it failed and `check` is set.
    """
    import shlex
    import subprocess

    child = start(argv, env=env, cwd=cwd, stdin=DEVNULL if stdin is None else PIPE)
    try:
        out, err = child.communicate(stdin, timeout)
    except subprocess.TimeoutExpired:
        end_group(child)
        raise Expired(f"{argv[0]} took longer than {timeout:g} seconds", hint=f"to see why: {shlex.join(argv)}") from None
    except BaseException:
        end_group(child)
        raise
    if check and child.returncode != 0:
        raise CommandFailed(argv, code=child.returncode, output=(out + err)[-TAIL:].decode("utf-8", "replace"))
    return Completed(out, err)


def start(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: int | IO[bytes] = DEVNULL,
    stdout: int | IO[bytes] = PIPE,
    stderr: int | IO[bytes] = PIPE,
    pass_fds: Sequence[int] = (),
) -> "Process":
    """Start a program in a session of its own, with a closed environment.

    Raises `Unavailable` when the program cannot be started, `Invalid` for a NUL in a word or a variable.
    """
    from subprocess import Popen

    try:
        return Popen(
            list(argv),
            env={"PATH": PATH, **(env or {})},
            cwd=cwd,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=pass_fds,
            start_new_session=True,
        )
    except ValueError as error:
        raise Invalid(f"{argv[0]!a} cannot be run: {error}", hint="leave the NUL out") from None
    except FileNotFoundError as error:
        raise Unavailable(f"the program {argv[0]} is not here ({error.filename})", hint="hyperhive doctor") from None
    except OSError as error:
        raise Unavailable(f"the program {argv[0]} cannot be started: {error.strerror}", hint="hyperhive doctor") from None


def lines(
    argv: Sequence[str], *, env: Mapping[str, str] | None = None, timeout: float, tick: float = 10.0, line_most: int = 64 * 1024
) -> Iterator[bytes | None]:
    """Run a program and give each line that it prints, on either stream, as it comes; None after each `tick` of silence.

    A line longer than `line_most` bytes is cut. The end of the program is the end, whatever it has left running. Whoever
    stops reading ends it. Raises `Expired` after `timeout` seconds, `CommandFailed` when it failed.
    """
    import select
    import shlex

    child = start(argv, env=env, stderr=STDOUT)
    assert child.stdout is not None
    fd = child.stdout.fileno()
    ended = os.pidfd_open(child.pid)
    waiting = [ended, fd]
    # All that it has printed itself fits into the pipe (pipe(7)); what it has left running may print for ever.
    to_read = _PIPE_MOST
    deadline = time.monotonic() + timeout
    rest = b""
    tail = b""
    try:
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Expired(f"{argv[0]} took longer than {timeout:g} seconds", hint=f"to see why: {shlex.join(argv)}")
            ready = select.select(waiting, [], [], min(tick, left))[0]
            if not ready:
                yield None
            if fd in ready and to_read > 0:
                data = os.read(fd, 64 * 1024)
                if ended in ready:
                    to_read -= len(data)
                tail = (tail + data)[-TAIL:]
                *whole, rest = (rest + data).split(b"\n")
                for line in whole:
                    yield line[:line_most]
                if not data:
                    # It has closed what it prints on, and may go on all the same.
                    waiting.remove(fd)
                if len(rest) > line_most:
                    # What follows of it is a line of its own: nothing that was printed is kept back for ever.
                    yield rest[:line_most]
                    rest = b""
            elif ended in ready:
                break
        if rest:
            yield rest
    finally:
        os.close(ended)
        end_group(child)
    if child.returncode != 0:
        raise CommandFailed(argv, code=child.returncode, output=tail.decode("utf-8", "replace"))


def attach(argv: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> int:
    """Run a program on this terminal and give back its exit code, 128 + N when signal N ended it."""
    from subprocess import Popen

    try:
        child = Popen(list(argv), env={"PATH": PATH, **(env or {})}, cwd=cwd)
    except OSError as error:
        raise Unavailable(f"the program {argv[0]} cannot be started: {error.strerror}", hint="hyperhive doctor") from None
    while True:
        try:
            code = child.wait()
        except KeyboardInterrupt:
            # The terminal has sent it to the program as well: it decides what to do with it.
            continue
        return code if code >= 0 else 128 - code


def code_of(child: "Process", timeout: float) -> int | None:
    """The exit code of a program that ends within `timeout` seconds (negative: the signal that ended it), else None."""
    from subprocess import TimeoutExpired

    try:
        return child.wait(timeout)
    except TimeoutExpired:
        return None


def end_group(child: "Process") -> None:
    """End a program and its process group at once, and reap it."""
    # Not reaped: its number is still its own, also when it has ended and only others of its group live on.
    if child.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    for stream in (child.stdin, child.stdout, child.stderr):
        if stream is not None:
            stream.close()


def find(name: str) -> str | None:
    """Where a program lies on the fixed PATH, or None."""
    from shutil import which

    return which(name, path=PATH)


def with_parent() -> tuple[str, ...]:
    """The words before a program that is to end when the thread that starts it does, where there is such a program."""
    return ("setpriv", "--pdeathsig", "KILL", "--") if find("setpriv") else ()


def die_with(parent: int, sig: signal.Signals) -> None:
    """Ask the kernel for `sig` when the process `parent` ends; exit at once if it has ended already.

    The kernel watches the thread that started this process, so parents start children from their main thread
    (prctl(2), PR_SET_PDEATHSIG).
    """
    _prctl(_PR_SET_PDEATHSIG, sig)
    if os.getppid() != parent:
        os._exit(0)


def parented(environment: Mapping[str, str]) -> dict[str, str]:
    """What a process of hyperhive's own is given by the one that starts it and is to end it."""
    kept = ("HOME", "PATH", "LANG", "HYPERHIVE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME")
    return {**{key: environment[key] for key in kept if key in environment}, PARENT: str(os.getpid())}


def has_parent() -> bool:
    """This process was started by another of hyperhive's own."""
    return PARENT in os.environ


def follow_parent() -> None:
    """End in order when the process that started this one ends, if it was one of hyperhive's own."""
    # Whoever waits for signals has them blocked, and what it starts begins so.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if has_parent():
        die_with(int(os.environ[PARENT]), signal.SIGTERM)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends (prctl(2), PR_SET_CHILD_SUBREAPER)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_descendants(timeout: float = 5.0) -> None:
    """End every process below this one, and reap those that were adopted.

    An agent CLI starts its commands in sessions of their own, so that ending its group does not reach them. Needs
    `adopt_orphans` to have been called.
    """
    deadline = time.monotonic() + timeout
    while below := descendants(os.getpid()):
        for pid in below:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        if time.monotonic() > deadline:
            return
        time.sleep(0.002)


def born(pid: int) -> int | None:
    """When a process began, in ticks since boot, which tells it from a later one of its number (proc_pid_stat(5)); else None."""
    try:
        words = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return int(words[19])


def descendants(pid: int) -> list[int]:
    """The processes below one, nearest first (proc_pid_task(5), children)."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        parent = waiting.pop(0)
        for task in _listing(f"/proc/{parent}/task"):
            try:
                words = Path(f"/proc/{parent}/task/{task}/children").read_text(encoding="ascii").split()
            except OSError:
                continue
            children = [int(word) for word in words]
            found += children
            waiting += children
    return found


def end_marked(variable: str, value: str) -> int:
    """End every process whose environment says `variable=value`; gives back how many there were."""
    mark = f"{variable}={value}".encode()
    ended = 0
    for entry in _listing("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            if mark not in Path(f"/proc/{entry}/environ").read_bytes().split(b"\0"):
                continue
            os.kill(int(entry), signal.SIGKILL)
        except OSError:
            continue
        ended += 1
    return ended


def _listing(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _prctl(option: int, value: int) -> None:
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
