"""A hive whose dashboard is served by `hyperhive web`, for a real browser or a bare WebSocket."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from types import TracebackType
from typing import Final, Self

from hyperhive.core import access
from hyperhive.core.hive import Hive
from tests.web.reader import PATIENCE

_LISTENS: Final = re.compile(r"the dashboard listens on (\S+);")


class Site:
    """The process that serves, from `with` to its end."""

    def __init__(self, hive: Hive) -> None:
        self.hive = hive
        self.url = ""
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # As Ctrl-C does: kept connections are not waited for.
        self.stop(signal.SIGINT)
        log = self.hive.paths.log / "web.log"
        if error is not None and log.exists():
            sys.stderr.write(log.read_text(encoding="utf-8"))

    def start(self) -> None:
        """Serve; a second time at the same address. Returns when it listens."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hyperhive", "web", "--bind", self.url.removeprefix("http://") or "127.0.0.1:0"],
            env={**os.environ, "HYPERHIVE_HOME": str(self.hive.paths.config)},
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if found := _LISTENS.match(line):
                self.url = found[1]
                return
        raise AssertionError(f"it ended with code {self._process.wait(PATIENCE)}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int | None:
        """End it, and wait until it has ended. Gives back its exit code, or None where it had ended before."""
        if self._process is None:
            return None
        self._process.send_signal(how)
        code = self._process.wait(PATIENCE)
        assert self._process.stderr is not None
        self._process.stderr.close()
        self._process = None
        return code

    @property
    def pid(self) -> int:
        """The process that was started."""
        assert self._process is not None
        return self._process.pid

    @property
    def cookie(self) -> str:
        """What a browser has that has used a link."""
        with urllib.request.urlopen(self.link, timeout=PATIENCE) as answer:
            return str(answer.headers["Set-Cookie"]).partition(";")[0]

    @property
    def link(self) -> str:
        """A link that lets in once."""
        return f"{self.url}/login/{access.invite(self.hive)}"
