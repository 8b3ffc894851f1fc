"""A host for the facts of a module about a hive that systemd keeps up."""

import shutil
import tempfile
import threading
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from hyperhive.demo.model_api import Brain
from hyperhive.demo.reply import Reply, say
from hyperhive.demo.request import Request
from tests.systemd.hosted import Hosted
from tests.systemd.hosted import hosted as hosted_in

_FAILED = pytest.StashKey[bool]()


class Model:
    """A model that answers at once, or when it is told to, as its brain says."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.brain: Brain = done

    def __call__(self, request: Request) -> Reply:
        self.may_answer.wait(60)
        return self.brain(request)


def done(request: Request) -> Reply:
    """Say nothing of interest."""
    return say("done")


@pytest.fixture(scope="session")
def model() -> Model:
    """The model of every agent."""
    return Model()


@pytest.fixture(scope="module")
def whole(model: Model) -> Iterator[Hosted]:
    """The machine's own hive in a host of its own, installed once for the facts of a module.

    After a restart of the host its agents reach the model no more: that listens in the network from before.
    """
    home = Path(tempfile.mkdtemp(prefix="h", dir=Path(tempfile.gettempdir()).parent))
    with hosted_in(home, model) as found:
        yield found
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def hosted(whole: Hosted, model: Model, request: pytest.FixtureRequest) -> Iterator[Hosted]:
    """The same for each test: its hub runs, its agents have a stand-in for their CLI and do not linger."""
    whole.configure(linger_seconds=0, max_active=0)
    whole.use_stand_in()
    yield whole
    model.may_answer.set()
    model.brain = done
    if request.node.stash.get(_FAILED, False):
        print(whole.host.journal("--lines=150"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call" and report.failed:
        item.stash[_FAILED] = True
    return report
