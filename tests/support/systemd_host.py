"""A throw-away systemd for tests: booted in a second over this machine's own files, gone without a trace.

What is written in it goes to memory; `/tmp`, the network and the processes are its own. The source tree and the Python
that runs the tests are there to read, what is shared by `share` or `binds` also to write.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.host_keeper import child_of

ROOT = Path(__file__).parents[2]
KEEPER = Path(__file__).with_name("host_keeper.py")
# Seconds.
BOOT_MOST = 60.0
RUN_MOST = 60.0
CLONE_NEWNET = 0x40000000  # linux/sched.h


class SystemdHost:
    """A booted systemd, from `with` to its end."""

    def __init__(self, *, share: Sequence[Path] = (), binds: Mapping[Path, str] | None = None) -> None:
        """`share` are folders at the same place inside, `binds` folders by where they are to be inside."""
        seen = {
            str(path): path for path in (ROOT, Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).resolve().parents[1])
        }
        self._words = [f"--bind-ro={path}" for path in seen.values()]
        self._words += [f"--bind={path}" for path in share]
        self._words += [f"--bind={path}:{inside}" for path, inside in (binds or {}).items()]
        self._keeper: subprocess.Popen[bytes] | None = None
        self.leader = 0

    def __enter__(self) -> Self:
        # In a session of its own: an interrupt from the terminal reaches the tests alone, which then end it.
        self._keeper = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "--", sys.executable, "-IS", KEEPER, *self._words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"PATH": os.environ["PATH"]}, start_new_session=True,
        )  # fmt: skip
        try:
            self._wait_until_up()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._keeper is not None
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        self._keeper.stdin.close()
        self._keeper.wait(BOOT_MOST)
        self._keeper.stdout.close()

    @property
    def enter(self) -> list[str]:
        """The words before a program that is to run inside at once, as no unit's: `[*host.enter, "systemctl", …]`."""
        return ["nsenter", "--target", str(self.leader), "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--"]

    def words(self, argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None, user: str | None = None) -> list[str]:
        """The words that run a program inside as a transient service, with what it prints and its exit code passed on."""
        variables = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **(env or {})}
        return [
            *self.enter, "systemd-run", "--pipe", "--wait", "--collect", "--quiet", "--service-type=exec",
            *([f"--uid={user}"] if user else []), *(f"--setenv={name}={value}" for name, value in variables.items()),
            # systemd would put variables in place of these.
            "--", *(str(word).replace("$", "$$") for word in argv),
        ]  # fmt: skip

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        stdin: str = "",
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program inside to its end; with `check`, fail the test when it fails."""
        ran = subprocess.run(
            self.words(argv, env=env, user=user), input=stdin, capture_output=True, text=True, timeout=RUN_MOST, check=False
        )
        assert not check or ran.returncode == 0, f"{argv} failed: {ran.returncode}\n{ran.stdout}{ran.stderr}"
        return ran

    def systemctl(self, *words: str, check: bool = True) -> str:
        """What `systemctl` says, asked inside without a unit of its own."""
        ran = subprocess.run([*self.enter, "systemctl", *words], capture_output=True, text=True, timeout=RUN_MOST, check=False)
        assert not check or ran.returncode == 0, f"systemctl {words} failed: {ran.returncode}\n{ran.stdout}{ran.stderr}"
        return ran.stdout.strip()

    def journal(self, *words: str) -> str:
        """What its journal says, for a test that failed."""
        return subprocess.run(
            [*self.enter, "journalctl", "--no-pager", *words], capture_output=True, text=True, check=False
        ).stdout

    def reboot(self) -> None:
        """Shut it down in order and boot it again; what was written outside of `/run` and `/tmp` is still there."""
        self.systemctl("reboot")
        self._wait_until_up()

    def cut_power(self) -> None:
        """End it at once and boot it again."""
        assert self._keeper is not None
        os.kill(child_of(self._keeper.pid), signal.SIGKILL)
        self._wait_until_up()

    @contextlib.contextmanager
    def network(self) -> Iterator[None]:
        """Sockets that this thread makes in the block belong to its network, and do so afterwards (setns(2))."""
        with open("/proc/thread-self/ns/net") as own, open(f"/proc/{self.leader}/ns/net") as inside:
            _setns(inside.fileno())
            try:
                yield
            finally:
                _setns(own.fileno())

    def _wait_until_up(self) -> None:
        assert self._keeper is not None
        assert self._keeper.stdout is not None
        assert select.select([self._keeper.stdout], [], [], BOOT_MOST)[0], f"no systemd within {BOOT_MOST:g} s"
        said = self._keeper.stdout.readline().split()
        assert said, "the systemd host did not boot"
        self.leader = int(said[1])


def _setns(fd: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
