"""The journal of an agent whose harness is a unit of systemd."""

import re
import subprocess

import msgspec
import pytest

from tests.systemd.hosted import HYPERHIVE, Hosted

pytestmark = [pytest.mark.systemd, pytest.mark.box, pytest.mark.xdist_group("systemd")]
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (harness|container) +(.*)")


def lines(hosted: Hosted, *words: str) -> list[tuple[str, str]]:
    """Whose each line is, and what it says."""
    found = [LINE.fullmatch(line) for line in hosted.run("logs", *words).stdout.splitlines()]
    assert all(found)
    return [(line[1], line[2]) for line in found if line]


def test_what_journald_keeps_of_a_harness_is_shown_once_with_what_systemd_says_of_it(hosted: Hosted) -> None:
    name = hosted.spawn("leo")
    hosted.ended(hosted.send(name, "good morning").number)
    hosted.until(lambda: hosted.state_of(f"hyperhive-agent@{name}.service") == "inactive", "its work is done")
    found = lines(hosted, name, "--unit", "harness")
    own = [line for _, line in found if not line.startswith("systemd[1]: ")]
    assert [line for line in own if "epoch" in line] == ["epoch 1 begins", "epoch 1 ends"]
    assert any("Started " in line for _, line in found)
    assert {unit for unit, _ in found} == {"harness"}
    # Kept once.
    assert not (hosted.hive.paths.agent_log(name) / "harness.log").exists()
    assert lines(hosted, name, "--unit", "container") == []
    objects = [msgspec.json.decode(line) for line in hosted.run("logs", name, "-n", "2", "--json").stdout.splitlines()]
    assert [one.keys() for one in objects] == [{"at", "unit", "line"}] * 2


def test_a_harness_that_was_killed_is_told_of_by_systemd(hosted: Hosted) -> None:
    name = hosted.spawn("mia")
    hosted.use_stand_in("hangs")
    hosted.send(name, "good morning")
    unit = f"hyperhive-agent@{name}.service"
    hosted.until(lambda: hosted.pid_of(unit), "it works")
    hosted.kill(unit)
    hosted.until(lambda: any("status=9/KILL" in line for _, line in lines(hosted, name)), "systemd says so")
    hosted.run("kill", name)


def test_lines_from_before_the_machine_was_started_are_shown_when_asked_for_and_new_ones_as_they_come(hosted: Hosted) -> None:
    name = hosted.spawn("nan")
    hosted.ended(hosted.send(name, "good morning").number)
    hosted.host.reboot()
    hosted.until(lambda: hosted.state_of("hyperhive-hub.service") == "active", "its hub runs again")
    assert lines(hosted, name) == []
    before = lines(hosted, name, "--all-boots")
    assert ("harness", "epoch 1 begins") in before
    child = subprocess.Popen(
        hosted.host.words([*HYPERHIVE, "logs", name, "-f", "--all-boots", "-n", "1"]),
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert child.stdout is not None
        # It has looked when it shows what there is.
        assert child.stdout.readline()
        hosted.ended(hosted.send(name, "and again").number)
        while not (line := child.stdout.readline()).endswith("harness   epoch 2 begins\n"):
            assert line
    finally:
        child.kill()
        child.wait()
        if child.stdout is not None:
            # What it has started inside ends when it next writes.
            child.stdout.close()
    assert ("harness", "epoch 2 begins") in lines(hosted, name, "--since", "1h")
