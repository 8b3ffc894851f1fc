"""The dashboard over a hive with two agents, without a server and without a browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Browser, sync_playwright

from hyperhive.core.hive import Hive
from hyperhive.core.log import Log
from hyperhive.web.app import make
from tests.core.hives import ADA, BOB, add_agent, hive_in
from tests.support import machine
from tests.web.looking import Look
from tests.web.site import Site
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


@pytest.fixture
def site(hive: Hive) -> Iterator[Site]:
    """The hive, served."""
    with Site(hive) as served:
        yield served


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser for all tests."""
    found = machine.chromium()
    with sync_playwright() as playwright:
        # Its own sandbox needs what root in a container has not; nothing but our own pages is looked at.
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def look(site: Site, chromium: Browser) -> Iterator[Look]:
    """Opens pages as the operator; each test begins with a browser that knows nothing."""
    looking = Look(site, chromium)
    yield looking
    looking.close()
