"""A terminal on which a test types, and reads what is shown."""

import os
import pty
import select
import signal
import struct
import termios
import time
from fcntl import ioctl
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Screen:
    """A terminal with a program on it."""

    def __init__(self, *words: str, size: tuple[int, int] | None = None) -> None:
        """`size` are rows and columns."""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            if size is not None:
                ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
            os.chdir(ROOT)
            os.execv(words[0], words)
        self.shown = ""
        self._looked = 0

    def wait_for(self, text: str) -> None:
        """Read until the program has shown this, after what was waited for before; fail after half a minute."""
        until = time.monotonic() + 30
        while (at := self.shown.find(text, self._looked)) < 0:
            ready, _, _ = select.select([self.fd], [], [], max(0, until - time.monotonic()))
            assert ready, f"waited in vain for {text!r} in {self.shown!r}"
            try:
                data = os.read(self.fd, 4096)
            except OSError:
                data = b""
            assert data, f"ended before {text!r}: {self.shown!r}"
            self.shown += data.decode()
        self._looked = at + len(text)

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def size(self, rows: int, columns: int) -> None:
        ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def end(self) -> int:
        """Read the rest, and give the exit code."""
        while True:
            try:
                data = os.read(self.fd, 4096)
            except OSError:
                break
            if not data:
                break
            self.shown += data.decode()
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self.pid = 0
        return code

    def close(self) -> None:
        os.close(self.fd)
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
