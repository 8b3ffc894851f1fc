"""A child that is forked works with what its parent has imported, and with nothing else of it."""

import os
import select
import signal
from collections.abc import Callable
from pathlib import Path

from hyperhive.core.forked import FAILED, Forked
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock, is_held
from tests.core.hives import program

PARENT = """
import signal
from hyperhive.core.forked import Forked
lock = Lock(hive.paths.lock("up"))
lock.take()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
def child():
    print("child", os.getpid(), os.getsid(0) == os.getpid(), signal.pthread_sigmask(signal.SIG_BLOCK, ()), flush=True)
    time.sleep(600)
    return 0
child = Forked(child)
sys.stdin.readline()
"""


def code_of(run: Callable[[], int]) -> int:
    child = Forked(run)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    code = child.poll()
    assert code is not None
    assert child.poll() == code
    return code


def test_what_it_gives_back_is_its_exit_code() -> None:
    assert code_of(lambda: 0) == 0
    assert code_of(lambda: 7) == 7


def test_one_that_an_exception_ends_never_comes_back_into_its_parent() -> None:
    before = os.getpid()
    assert code_of(fails) == FAILED
    assert os.getpid() == before


def fails() -> int:
    raise RuntimeError


def test_it_is_ended_at_once() -> None:
    child = Forked(waits)
    assert child.poll() is None
    child.end()
    assert child.poll() == -signal.SIGKILL
    child.end()


def waits() -> int:
    signal.pause()
    return 0


def test_it_ends_with_its_parent_and_keeps_none_of_its_locks(hive: Hive, home: Path) -> None:
    with program(home, PARENT) as parent:
        words = parent.heard().split()
        # A session of its own, and no signal blocked.
        assert words[2:] == ["True", "set()"]
        child = os.pidfd_open(int(words[1]))
        assert is_held(hive.paths.lock("up"))
        os.kill(parent.pid, signal.SIGSTOP)
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        # Gone, also where nobody reaps it but the machine.
        assert select.select([child], [], [], 30)[0]
        os.close(child)
        with Lock(hive.paths.lock("up")) as lock:
            assert lock.take()
