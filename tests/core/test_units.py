"""The texts of units hold what they are given, and nothing that systemd would read as something else."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from hyperhive.core import crontab, doorbell, systemd
from hyperhive.core.errors import Invalid
from hyperhive.core.paths import Paths
from hyperhive.core.systemd import Manager
from hyperhive.core.units import MARK, Ground, units

ALL = ("hub", "harness", "operate", "crash-watch", "vacuum", "web")
GROUND = Ground(
    manager=Manager.SYSTEM,
    version="1.2.3",
    python=Path("/opt/hyperhive/bin/python"),
    paths=Paths(config=Path("/etc/hyperhive"), state=Path("/var/lib/hyperhive")),
    variables={"LANG": "C.UTF-8"},
    touch=Path("/usr/bin/touch"),
    cli="the-cli.service",
)
# What systemd expands in one place or another (systemd.syntax(7), systemd.unit(5), systemd.service(5)).
ODD = 'a b%i"c\\d$HOME;e'


def texts(ground: Ground, commands: tuple[str, ...] = ALL) -> dict[str, str]:
    return {unit.name: unit.text for unit in units(ground, commands)}


def values(text: str, key: str) -> list[str]:
    return [line.removeprefix(f"{key}=") for line in text.splitlines() if line.startswith(f"{key}=")]


def test_each_command_that_is_there_has_its_units() -> None:
    assert list(texts(GROUND, ("hub", "harness"))) == ["hyperhive-hub.service", "hyperhive-agent@.service"]
    found = units(GROUND, ALL)
    assert [unit.name.removeprefix("hyperhive-") for unit in found] == [
        "hub.service", "agent@.service", "operation@.service", "crash-watch.service", "crash-watch.timer", "vacuum.service",
        "vacuum.timer", "web.service",
    ]  # fmt: skip
    assert [unit.name for unit in found if unit.is_kept_up] == [
        "hyperhive-hub.service", "hyperhive-crash-watch.timer", "hyperhive-vacuum.timer", "hyperhive-web.service",
    ]  # fmt: skip
    assert all(unit.text.startswith(f"{MARK} of hyperhive 1.2.3;") for unit in found)
    watch = texts(GROUND)["hyperhive-crash-watch.timer"]
    assert (values(watch, "OnUnitActiveSec"), values(watch, "AccuracySec")) == (["10s"], ["1s"])


def test_a_users_units_ask_for_nothing_that_needs_a_namespace() -> None:
    hub = texts(msgspec.structs.replace(GROUND, manager=Manager.USER))["hyperhive-hub.service"]
    assert not [line for line in hub.splitlines() if line.startswith(("Private", "Protect", "Capability", "ReadWrite"))]
    agent = texts(msgspec.structs.replace(GROUND, manager=Manager.USER))["hyperhive-agent@.service"]
    assert values(agent, "ExecStopPost") == ["/usr/bin/touch /var/lib/hyperhive/wake/agent@%i=${EXIT_STATUS}"]
    assert values(hub, "WantedBy") == ["default.target"]
    assert values(hub, "Environment") == ["LANG=C.UTF-8", "HYPERHIVE_BOOT=%b", "HYPERHIVE_UNITS=user"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_odd_paths_and_variables_reach_the_program_as_they_are(tmp_path: Path) -> None:
    state, python = tmp_path / ODD, tmp_path / "a b%i$HOME;e" / "python"
    (state / "wake").mkdir(parents=True)
    python.parent.mkdir()
    python.symlink_to("/bin/true")
    ground = msgspec.structs.replace(
        GROUND, python=python, paths=Paths(config=state, state=state), variables={"PATH": f"/bin:{ODD}"}
    )
    found = texts(ground)
    for name, text in found.items():
        (tmp_path / name).write_text(text)
    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in found)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (said.returncode, said.stderr) == (0, "")
    plain = 'a b%%i\\"c\\\\d$HOME;e'
    hub, agent = found["hyperhive-hub.service"], found["hyperhive-agent@.service"]
    assert values(hub, "ExecStart") == [f'"{tmp_path}/a b%%i$HOME;e/python" -P -m hyperhive hub']
    assert values(hub, "ReadWritePaths") == [f'"{tmp_path}/{plain}"']
    assert values(hub, "Environment")[0] == f'"PATH=/bin:{plain}"'
    # Only here begins a dollar a variable, and that of the status is meant.
    bell = f"{tmp_path}/{plain}/wake/agent@%i=".replace("$", "$$").replace("%%i=", "%i=") + "${EXIT_STATUS}"
    assert values(agent, "ExecStopPost")[1:] == [f'/usr/bin/touch "{bell}"']


@pytest.mark.parametrize("path", ["/opt/a\nUser=nobody", "/opt/\x7f", '/opt/"', "/opt/\\"])
def test_a_path_that_no_unit_can_hold_is_refused(path: str) -> None:
    with pytest.raises(Invalid, match="cannot stand in a unit file"):
        texts(msgspec.structs.replace(GROUND, python=Path(path)))


def test_a_crontab_has_a_line_for_each_command_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/opt/a b%/python")
    variables: Mapping[str, str] = {"PATH": "/bin", "HYPERHIVE_HOME": "/srv/100% hive"}
    program = r"HYPERHIVE_HOME='/srv/100\% hive' PATH=/bin '/opt/a b\%/python' -P -m hyperhive"
    assert crontab.lines(ALL, variables)[1:3] == [
        f"* * * * * {program} hub --unless-up",
        f"* * * * * {program} crash-watch --every 10 --for 55",
    ]
    assert [line.split()[0] for line in crontab.lines(("hub",), variables)] == ["@reboot", "*"]


@pytest.mark.parametrize(
    ("bell", "ended"),
    [
        ("agent@ada-2=0", ("agent", "ada-2", "0")),
        ("operation@17=KILL", ("operation", "17", "KILL")),
        ("agent@ada=", ("agent", "ada", "")),
        ("agent@../ada=0", None),
        ("other@ada=0", None),
        ("ada", None),
    ],
)
def test_only_a_unit_that_ended_is_heard_as_one(bell: str, ended: tuple[str, str, str] | None) -> None:
    assert doorbell.ended(bell) == ended


@pytest.mark.parametrize(("status", "code"), [("0", 0), ("5", 5), ("KILL", -9), ("TERM", -15), ("", 1), ("NONSENSE", 1)])
def test_how_a_unit_ended_is_read_from_its_status(status: str, code: int) -> None:
    assert systemd.exit_code(status) == code


@pytest.mark.parametrize("abstract", [False, True])
def test_a_service_manager_is_told_and_a_missing_one_is_no_failure(home: Path, abstract: bool) -> None:
    path = str(home / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(f"\0{path}" if abstract else path)
        systemd.notify("READY=1", {"NOTIFY_SOCKET": f"@{path}" if abstract else path})
        assert heard.recv(64) == b"READY=1"
    systemd.notify("READY=1", {"NOTIFY_SOCKET": path})
    systemd.notify("READY=1", {})
