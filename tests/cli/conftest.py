"""What tests of the shell face begin with: a hive, an agent in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperhive.core import spawning
from hyperhive.core.hive import Hive, open_hive
from hyperhive.core.model import AgentName, parse_name


@pytest.fixture
def hive(home: Path) -> Iterator[Hive]:
    """The hive of this test."""
    opened = open_hive({"HYPERHIVE_HOME": str(home)})
    yield opened
    opened.close()


@pytest.fixture
def ada(hive: Hive) -> AgentName:
    """An agent that was made and has done nothing yet."""
    name = parse_name("ada")
    spawning.spawn(hive, name, by="operator")
    return name
