"""The demo's own hive: a temporary folder with a real `hyperhive up` in it, from its making to its end."""

import json
import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from hyperhive.core import folders, process
from hyperhive.core.errors import CommandFailed, HyperhiveError, Unavailable
from hyperhive.core.hive import Hive, open_hive
from hyperhive.core.model import AgentName

# How long `hyperhive up` may take to end in order, in seconds: more than it gives its own children.
END_MOST: Final = 30.0
_TAIL: Final = 12
# Not /tmp at first: where it is memory, or closed to programs, a copy of the agent CLI has no place in it.
_PLACES: Final = ("/var/tmp", "/tmp")


class Stage:
    """Use it with `with`: at the end nothing runs any more, and the folder is gone unless it is to be kept."""

    def __init__(self, claude: Mapping[str, str], *, keep: bool = False) -> None:
        """`claude` is what the agent CLI is given as its environment."""
        self._claude = claude
        self._keep = keep
        self._up: process.Process | None = None
        self._ended = False
        self.home = Path()
        self.hive: Hive

    def __enter__(self) -> Self:
        self.home = Path(tempfile.mkdtemp(prefix="hyperhive-demo-", dir=_place()))
        try:
            # As root each agent has a user of its own, who must walk through here to its own folders.
            self.home.chmod(0o711 if os.geteuid() == 0 else 0o700)
            variables = "".join(f"{key} = {json.dumps(value)}\n" for key, value in self._claude.items())
            (self.home / "hive.toml").write_text(f"[claude.env]\n{variables}", encoding="utf-8")
            self.hive = open_hive({"HYPERHIVE_HOME": str(self.home)})
        except BaseException:
            shutil.rmtree(self.home, ignore_errors=True)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # Whoever presses Ctrl-C again while this goes on must not leave half of it behind.
        before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            self.end()
            self.hive.close()
            if not self._keep:
                self._clear()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @property
    def environment(self) -> dict[str, str]:
        """What every `hyperhive` of the demo is given, and nothing else."""
        kept = {key: os.environ[key] for key in ("PATH", "LANG", "LC_ALL", "TERM") if key in os.environ}
        return {**kept, "HYPERHIVE_HOME": str(self.home)}

    def up(self) -> None:
        """Start the hive, as `hyperhive up` in another terminal."""
        with (self.home / "up.log").open("ab") as log:
            self._up = process.start(
                [sys.executable, "-m", "hyperhive", "up"],
                env=process.parented(self.environment), cwd=self.home, stdout=log, stderr=log,
            )  # fmt: skip

    @property
    def is_up(self) -> bool:
        """`hyperhive up` has been started, and has not ended."""
        return self._up is not None and self._up.poll() is None

    def run(self, words: Sequence[str], *, stdin: str | None = None, timeout: float = 60.0) -> str:
        """Run a command of hyperhive and give back what it printed. Raises `CommandFailed` and `Expired`."""
        argv = [sys.executable, "-m", "hyperhive", *words]
        given = None if stdin is None else stdin.encode()
        try:
            done = process.run(argv, env=self.environment, stdin=given, cwd=self.home, timeout=timeout)
        except CommandFailed as error:
            # As a person would type it.
            raise CommandFailed(["hyperhive", *words], code=error.code, output=error.output) from None
        return done.stdout.decode("utf-8", "replace")

    def attach(self, words: Sequence[str]) -> int:
        """Run a command of hyperhive on this terminal; gives back its exit code."""
        return process.attach([sys.executable, "-m", "hyperhive", *words], env=self.environment, cwd=self.home)

    def logs(self) -> list[tuple[str, list[str]]]:
        """The end of every log of the hive: its name, its last lines."""
        files = [self.home / "up.log", *sorted(self.hive.paths.log.glob("*.log")), *self.hive.paths.agents.glob("*/log/*.log")]
        found = []
        for file in files:
            try:
                lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
            except OSError:
                continue
            if lines:
                found.append((str(file.relative_to(self.home)), lines[-_TAIL:]))
        return found

    def end(self) -> int:
        """End the hive in order. Gives back how many processes did not end by themselves and had to be killed."""
        if self._ended:
            return 0
        self._ended = True
        if self._up is not None:
            deadline = time.monotonic() + END_MOST
            if self._up.poll() is None:
                self._up.send_signal(signal.SIGTERM)
            while self._up.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            process.end_group(self._up)
        # What was killed a moment ago may still be on its way out.
        deadline = time.monotonic() + 2.0
        while self._running() and time.monotonic() < deadline:
            time.sleep(0.02)
        return sum(process.end_marked(variable, value) for variable, value in self._marks())

    def _clear(self) -> None:
        """Remove the folder: first what belongs to the agents, as `purge` does, then the host's own."""
        try:
            for folder in self.hive.paths.agents.iterdir():
                folders.purge(self.hive, AgentName(folder.name))
            shutil.rmtree(self.home)
        except (OSError, HyperhiveError) as error:
            raise Unavailable(f"{self.home} cannot be removed: {error}", hint=f"rm -rf {shlex.quote(str(self.home))}") from None

    def _marks(self) -> list[tuple[str, str]]:
        """What the environment of every process of this hive says, one or the other."""
        own = [("HYPERHIVE_HOME", str(self.home))]
        return own + [(process.BOX, str(folder)) for folder in self.hive.paths.agents.iterdir()]

    def _running(self) -> bool:
        marks = {f"{variable}={value}".encode() for variable, value in self._marks()}
        for entry in os.listdir("/proc"):
            if entry.isdigit() and int(entry) != os.getpid():
                try:
                    if marks & set(Path(f"/proc/{entry}/environ").read_bytes().split(b"\0")):
                        return True
                except OSError:
                    continue
        return False


def _place() -> str:
    """A folder for temporary things that is near the root, open to walk through, and lets programs run."""
    for place in _PLACES:
        if os.access(place, os.W_OK | os.X_OK) and not os.statvfs(place).f_flag & os.ST_NOEXEC:
            return place
    return tempfile.gettempdir()
