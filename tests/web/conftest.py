"""The dashboard over a hive with two agents, without a server and without a browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from hyperhive.core.hive import Hive
from hyperhive.core.log import Log
from hyperhive.web.app import make
from tests.core.hives import ADA, BOB, add_agent, hive_in
from tests.web.visitor import HOST, Visitor


@pytest.fixture
def hive(home: Path) -> Iterator[Hive]:
    """A hive with the workers ada and bob."""
    found = hive_in(home)
    add_agent(found, ADA)
    add_agent(found, BOB)
    yield found
    found.close()


@pytest.fixture
def app(hive: Hive) -> Flask:
    """The app over it."""
    return make(hive, hosts=frozenset({HOST}), log=Log("web", hive.paths.log / "web.log", quiet=True))


@pytest.fixture
def stranger(app: Flask, hive: Hive) -> Visitor:
    """Somebody who has not logged in."""
    return Visitor(app, hive)


@pytest.fixture
def operator(app: Flask, hive: Hive) -> Visitor:
    """The operator, logged in, with the page open."""
    visitor = Visitor(app, hive)
    visitor.log_in()
    return visitor
