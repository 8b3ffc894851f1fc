"""A folder outside the hive."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.sandbox import memory


@pytest.fixture
def outside() -> Iterator[Path]:
    """A folder that has nothing to do with the hive, and that every user can walk into."""
    folder = Path(tempfile.mkdtemp(prefix="hh-out-", dir=memory()))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
