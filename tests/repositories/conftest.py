"""A hive, and the folder that a repository is made in by hand."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperhive.core import applied
from hyperhive.core.hive import Hive, open_hive
from tests.repositories.hand import ADA


@pytest.fixture
def hive(home: Path) -> Iterator[Hive]:
    """A hive in which ada has a repository without a commit."""
    found = open_hive()
    applied.create(found, ADA)
    yield found
    found.close()


@pytest.fixture
def outside() -> Iterator[Path]:
    """A folder that has nothing to do with the hive, and that every user can walk into."""
    folder = Path(tempfile.mkdtemp(prefix="hh-out-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
