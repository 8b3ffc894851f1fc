"""What a hub knows of its units, whatever it hears first; here systemctl is a script that says what a test wants."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperhive.core import process
from hyperhive.core.hub_units import Units
from hyperhive.core.log import Log
from hyperhive.core.systemd import Manager

SCRIPT = """#!/bin/sh
echo "$*" >>"$0.calls"
case $1 in
  list-units) until [ ! -e "$0.slow" ]; do sleep 0.01; done; cat "$0.listed";;
  start) exit "$(cat "$0.code")";;
esac
"""


class Systemctl:
    """The program in the place of systemctl, and what it says."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "systemctl"
        self.path.write_text(SCRIPT, encoding="utf-8")
        self.path.chmod(0o755)
        self.show()
        self.answer(0)

    def show(self, *names: str) -> None:
        """These are the agents whose units run."""
        lines = [f"hyperhive-agent@{name}.service loaded active running an agent\n" for name in names]
        Path(f"{self.path}.listed").write_text("".join(lines), encoding="utf-8")

    def answer(self, code: int) -> None:
        """How a start ends."""
        Path(f"{self.path}.code").write_text(f"{code}\n", encoding="ascii")

    def hold(self) -> None:
        """Take long to list, until `go`."""
        Path(f"{self.path}.slow").touch()

    def go(self) -> None:
        Path(f"{self.path}.slow").unlink()

    def calls(self) -> list[str]:
        return Path(f"{self.path}.calls").read_text(encoding="utf-8").splitlines()


@pytest.fixture
def systemctl(home: Path, monkeypatch: pytest.MonkeyPatch) -> Systemctl:
    found = Systemctl(home)
    monkeypatch.setattr(process, "PATH", f"{home}:{process.PATH}")
    return found


@pytest.fixture
def units(systemctl: Systemctl) -> Iterator[Units]:
    found = Units(Manager.SYSTEM, "agent", Log("hub", quiet=True))
    yield found
    found.end()


def until(units: Units, names: set[str]) -> dict[str, int]:
    """Reap until these live and systemd has answered; gives back what has ended meanwhile."""
    ended: dict[str, int] = {}
    deadline = time.monotonic() + 20
    while True:
        ended |= units.reap()
        if units.names == names and not units._asking:
            return ended
        assert time.monotonic() < deadline, units.names
        time.sleep(0.01)


def test_what_an_earlier_hub_has_started_is_known_at_once(systemctl: Systemctl) -> None:
    systemctl.show("ada", "bob-2")
    assert Units(Manager.SYSTEM, "agent", Log("hub", quiet=True)).names == {"ada", "bob-2"}


def test_one_lives_from_its_start_to_its_bell(systemctl: Systemctl, units: Units) -> None:
    units.start("ada")
    assert units.names == {"ada"}
    assert until(units, {"ada"}) == {}
    units.ended("ada", "KILL")
    assert units.names == set()
    assert units.reap() == {"ada": -9}
    assert "start --no-block hyperhive-agent@ada.service" in systemctl.calls()


def test_one_that_systemd_does_not_take_has_failed(systemctl: Systemctl, units: Units) -> None:
    systemctl.answer(5)
    units.start("ada")
    assert until(units, set()) == {"ada": 1}


def test_a_bell_that_was_never_rung_is_found_out(systemctl: Systemctl, units: Units) -> None:
    units.start("ada")
    until(units, {"ada"})
    systemctl.show("bob")
    units.look()
    until(units, {"bob"})


def test_what_happens_while_systemd_is_asked_counts(systemctl: Systemctl, units: Units) -> None:
    units.start("ada")
    until(units, {"ada"})
    # As it was when systemd looked.
    systemctl.show("ada")
    systemctl.hold()
    units.look()
    units.ended("ada", "0")
    assert units.reap() == {"ada": 0}
    units.start("bob")
    # It is asked once, however long it takes.
    units.look()
    systemctl.go()
    deadline = time.monotonic() + 20
    while units._survey is not None:
        units.reap()
        assert time.monotonic() < deadline
    assert units.names == {"bob"}
    assert sum(call.startswith("list-units") for call in systemctl.calls()) == 2


def test_a_hub_that_ends_leaves_them_alone(systemctl: Systemctl, units: Units) -> None:
    units.start("ada")
    units.end()
    assert units.names == set()
    assert not [call for call in systemctl.calls() if "stop" in call or "kill" in call]
