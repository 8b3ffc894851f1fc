"""A hive for tests that break it: with a stand-in for the agent CLI, a changed hub, or a hub that dies."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from typing_extensions import override

from hyperhive.core.locks import is_held
from hyperhive.core.model import AgentName
from hyperhive.demo.model_api import Brain
from hyperhive.demo.reply import Reply, say
from hyperhive.demo.request import Request
from tests.faults import stand_in, variants
from tests.support.swarm import PATIENCE, Swarm

ADA: Final = AgentName("ada")


class Wreck(Swarm):
    """A hive whose hub may be a changed one; `mode` chooses what its agent CLI does, None takes the real one."""

    def __init__(
        self, home: Path, brain: Brain | None = None, *, variant: str | None = None, mode: str | None = None, **settings: object
    ) -> None:
        super().__init__(home, brain or _nobody, **settings)  # type: ignore[arg-type]  # settings are whatever hive.toml takes
        self._variant = variant
        self._mode = mode

    @override
    def start_hub(self) -> None:
        """Start the hub, and wait until it holds its lock."""
        if self._mode is not None:
            self.use(self._mode)
        command = [sys.executable, "-m", "hyperhive", "hub"] if self._variant is None else variants.words(self._variant, "hub")
        self._hub = subprocess.Popen(
            command,
            env=self.environment,
            cwd=variants.ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.until(lambda: is_held(self.hive.paths.lock("hub")), "the hub holds its lock")

    def use(self, mode: str) -> None:
        """Give the agents a stand-in for their CLI."""
        self.configure(command=[stand_in.put(self.home), mode])

    def kill_hub(self) -> None:
        """SIGKILL the hub, and nothing more: what it started has to see to itself."""
        assert self._hub is not None
        self._hub.kill()
        self._hub.wait(PATIENCE)
        self._hub = None


@contextmanager
def wreck(home: Path, brain: Brain | None = None, **settings: object) -> Iterator[Wreck]:
    """A hive that is up, with one agent `ada`."""
    with Wreck(home, brain, **settings) as found:  # type: ignore[arg-type]  # settings are whatever hive.toml takes
        found.spawn("ada")
        yield found


def _nobody(request: Request) -> Reply:
    return say("nobody is to ask this model")
