"""A hive with two agents for each test of the core."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperhive.core.hive import Hive
from tests.core.hives import ADA, BOB, add_agent, hive_in


@pytest.fixture
def hive(home: Path) -> Iterator[Hive]:
    """A hive with the workers ada and bob."""
    found = hive_in(home)
    add_agent(found, ADA)
    add_agent(found, BOB)
    yield found
    found.close()


@pytest.fixture
def empty(home: Path) -> Iterator[Hive]:
    """A hive that nobody has used yet."""
    found = hive_in(home)
    yield found
    found.close()
