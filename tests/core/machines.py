"""A kind of container that boots, for tests: what runs of it stands in a file."""

from pathlib import Path

import pytest

from hyperhive.core.model import AgentName
from hyperhive.core.runtimes import Listing, Runtime, runtimes
from hyperhive.core.runtimes.host import Host

NAME = "machines"


class Machines(Host):
    """Its containers run as long as the file names them, one a line; without the file nobody can tell."""

    def __init__(self, home: Path) -> None:
        self.file = home / "machines"
        self.file.touch()
        self.listing = Listing(("cat", str(self.file)), lambda text: frozenset(map(AgentName, text.split())))

    def run(self, *names: AgentName) -> None:
        """These run now, and no others."""
        self.file.write_text("\n".join(names), encoding="utf-8")


def machines(home: Path, monkeypatch: pytest.MonkeyPatch) -> Machines:
    """Let there be such a kind."""
    made = Machines(home)
    known: dict[str, Runtime] = {**runtimes(), NAME: made}
    monkeypatch.setattr("hyperhive.core.runtimes.runtimes", lambda: known)
    return made
