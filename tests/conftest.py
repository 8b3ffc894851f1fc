"""Guards the real home, gives each test a hive folder, tells what this machine cannot run."""

import os
import shutil
from collections.abc import Generator, Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support import machine, sandbox
from tests.support.systemd_host import SystemdHost
from tests.support.terminal import Screen

# Before anything else is imported: a module may read the environment when it is loaded.
GUARD, BASE = sandbox.enter()
NO_SKIP = os.environ.get("HYPERHIVE_NO_SKIP") == "1"
MARKS = ("root", "box", "browser", "cgroup", "claude", "systemd")
_numbers = count(1)
# A few dozen cases of each kind; `pytest --hypothesis-profile thorough` takes its time. A busy machine is no failure.
_SLOW = (HealthCheck.too_slow, HealthCheck.large_base_example)
settings.register_profile("quick", max_examples=30, deadline=None, database=None, suppress_health_check=_SLOW)
settings.register_profile("thorough", max_examples=2000, deadline=None, database=None, suppress_health_check=_SLOW)
settings.load_profile("quick")


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A HYPERHIVE_HOME of this test's own: short, and open to other users to walk through."""
    path = BASE / str(next(_numbers))
    path.mkdir()
    monkeypatch.setenv("HYPERHIVE_HOME", str(path))
    yield path
    _remove_groups(path)
    shutil.rmtree(path, ignore_errors=True)


def _remove_groups(path: Path) -> None:
    """Remove the control groups that killed processes of a test left behind."""
    from hyperhive.core.control_group import remove_unused

    for link in path.glob("state/groups/*"):
        remove_unused(link.readlink())


@pytest.fixture(autouse=True)
def real_home() -> Iterator[sandbox.Guard]:
    """Fails a test that reached for the real home, also where the code under test swallowed the refusal."""
    yield GUARD
    touched = GUARD.forget()
    assert not touched, f"touched the real home: {touched}"


@pytest.fixture
def screens() -> Iterator[list[Screen]]:
    """The terminals of a test, which end with it."""
    opened: list[Screen] = []
    yield opened
    for screen in opened:
        screen.close()


@pytest.fixture(scope="session")
def host() -> Iterator[SystemdHost]:
    """A systemd that many tests share: each leaves it as it was. Their homes are at the same place inside."""
    with SystemdHost(share=[BASE]) as found:
        yield found


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in MARKS:
        if item.get_closest_marker(mark):
            reason = machine.lacks(mark)
            if reason:
                pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if GUARD.changed():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.getreports("skipped")
    if skipped:
        terminalreporter.section("what this machine cannot run")
        for report in skipped:
            terminalreporter.line(f"{report.nodeid}: {_reason(report)}")
    for path in GUARD.changed():
        terminalreporter.section("the real home")
        terminalreporter.line(f"FAILED: {path} changed while the tests ran", red=True)


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Where nothing may be skipped, make a skip a failure that names the test."""
    if NO_SKIP and report.skipped and not hasattr(report, "wasxfail"):
        reason = _reason(report)
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} was skipped, and nothing may be skipped here: {reason}"


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    match report.longrepr:
        case (_, _, str(reason)):
            return reason.removeprefix("Skipped: ")
        case other:
            return str(other)
