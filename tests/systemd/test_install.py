"""What `hyperhive install` writes into a systemd, and what `uninstall` leaves of it."""

import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.swarm import PATIENCE
from tests.support.systemd_host import SystemdHost
from tests.systemd.hosted import HYPERHIVE, PLACE, PUT, PYTHON, host_with_hyperhive

pytestmark = [pytest.mark.systemd, pytest.mark.xdist_group("systemd")]
UNITS = "/etc/systemd/system"
# They make containers, so they get no sandbox of their own, which everything in the containers would get too.
MAKERS = ("agent@", "operation@")
EXPOSED_MOST = 4.0
USER = "tester"
# Of an ordinary user's systemd; the folder is what tells programs of it.
AS_USER = ("sh", "-c", 'XDG_RUNTIME_DIR=/run/user/$(id -u) exec "$@"', "sh")


@pytest.fixture
def machine() -> Iterator[SystemdHost]:
    """A host on which nothing is installed yet."""
    with host_with_hyperhive() as host:
        host.run(["sh", "-ec", PUT])
        yield host


def hyperhive(machine: SystemdHost, *words: str, user: str | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    return machine.run([*HYPERHIVE, *words], check=False, user=user, env=env)


def names_in(shown: str, folder: str) -> list[str]:
    """The units that a dry run has shown."""
    return re.findall(rf"^# {re.escape(folder)}/(.*)$", shown, re.MULTILINE)


def files(machine: SystemdHost) -> list[str]:
    """Everything that an installation could leave."""
    places = ["/etc", "/root", "/opt/hyperhive", "/run/systemd", "/usr/lib/systemd", "/var/lib/systemd"]
    found = machine.run(["find", *places, "-xdev", "-not", "-name", "*.pyc", "-not", "-name", "__pycache__"], check=False).stdout
    # What systemd keeps of itself, and of the command that looks.
    passing = re.compile(r"/run/systemd/(units|transient|journal|sessions|propagate|inaccessible)|random-seed|\.journal")
    return sorted(line for line in found.splitlines() if not passing.search(line))


def test_units_are_written_once_kept_up_and_taken_away_without_a_trace(machine: SystemdHost) -> None:
    before = files(machine)
    shown = hyperhive(machine, "install", "--dry-run").stdout
    assert files(machine) == before
    first = hyperhive(machine, "install")
    assert first.returncode == 0, first.stderr
    names = names_in(shown, UNITS)
    written = {name: machine.run(["cat", f"{UNITS}/{name}"]).stdout for name in names}
    assert all(text in shown for text in written.values())
    assert first.stdout.splitlines()[: len(names)] == [f"wrote {UNITS}/{name}" for name in names]

    # systemd finds nothing to say about any of them.
    verified = machine.run(["systemd-analyze", "verify", *(f"{UNITS}/{name}" for name in names)])
    assert verified.stdout + verified.stderr == ""
    for name in names:
        if name.endswith(".service"):
            said = machine.run(["systemd-analyze", "security", "--no-pager", name.replace("@", "@1")]).stdout
            exposed = float(re.findall(r"exposure level for \S+: ([\d.]+)", said)[0])
            makes_containers = any(maker in name for maker in MAKERS)
            print(f"{name}: {exposed}{' (makes containers)' if makes_containers else ''}")
            assert makes_containers or exposed <= EXPOSED_MOST, said

    # A second time nothing is done; what differs is put right, and only that.
    hub = machine.systemctl("show", "--property=MainPID", "--value", "hyperhive-hub")
    assert hyperhive(machine, "install").stdout.splitlines() == [f"unchanged {UNITS}/{name}" for name in names]
    assert machine.systemctl("show", "--property=MainPID", "--value", "hyperhive-hub") == hub
    machine.run(["sh", "-c", f"echo '# older' >>{UNITS}/hyperhive-hub.service; : >{UNITS}/hyperhive-mine.service"])
    # As one that an earlier version has written, and this one has no more.
    machine.run(["cp", f"{UNITS}/hyperhive-vacuum.timer", f"{UNITS}/hyperhive-gone.timer"])
    again = hyperhive(machine, "install").stdout.splitlines()
    assert f"wrote {UNITS}/hyperhive-hub.service" in again
    assert f"removed {UNITS}/hyperhive-gone.timer" in again
    assert again[-1] == "started hyperhive-hub.service"
    assert machine.systemctl("show", "--property=MainPID", "--value", "hyperhive-hub") != hub

    # What somebody else has put there stays, and is said.
    ended = hyperhive(machine, "uninstall")
    assert ended.stdout.splitlines() == [f"removed {UNITS}/{name}" for name in sorted(names)]
    assert "hyperhive-mine.service is not hyperhive's own, and stays" in ended.stderr
    machine.run(["rm", f"{UNITS}/hyperhive-mine.service"])
    assert "0 loaded units" in machine.systemctl("list-units", "--all", "hyperhive*")
    assert machine.run(["find", "/sys/fs/cgroup", "-name", "*hyperhive*"]).stdout == ""
    kept = {"/etc/hyperhive"}
    assert set(files(machine)) - set(before) == kept
    assert machine.run(["test", "-e", "/var/lib/hyperhive/locks"], check=False).returncode == 0
    assert "there was nothing to remove" in hyperhive(machine, "uninstall").stderr


def test_what_cannot_be_installed_is_refused_with_what_to_do(machine: SystemdHost) -> None:
    another = hyperhive(machine, "install", HYPERHIVE_HOME="/var/lib/another")
    assert (another.returncode, another.stderr.splitlines()) == (
        2,
        [
            "error: units belong to a user's default hive, and HYPERHIVE_HOME names another",
            "hint: `hyperhive up`, or `hyperhive cron`, keeps that one up",
        ],
    )
    machine.run(["useradd", "--create-home", USER])
    other = hyperhive(machine, "install", "--system", user=USER)
    assert (other.returncode, other.stderr.splitlines()[0]) == (4, "error: the units of the machine are root's")
    nobody = hyperhive(machine, "install", user=USER)
    assert (nobody.returncode, nobody.stderr.splitlines()[0]) == (7, "error: no systemd of this user answers")
    machine.run(["sh", "-c", f": >{UNITS}/hyperhive-hub.service"])
    foreign = hyperhive(machine, "install")
    assert (foreign.returncode, foreign.stderr.splitlines()[0]) == (
        5, f"error: {UNITS}/hyperhive-hub.service was not written by `hyperhive install`",
    )  # fmt: skip
    machine.run(["rm", f"{UNITS}/hyperhive-hub.service"])
    # An interpreter that others than root may change, and one that a restart takes away.
    machine.run(["chown", "-R", USER, f"{PLACE}/venv"])
    changeable = hyperhive(machine, "install")
    assert (changeable.returncode, changeable.stderr.splitlines()[0]) == (
        7, f"error: root would run {PYTHON}, and others than root may change {PYTHON}",
    )  # fmt: skip
    machine.run(["sh", "-c", f"chown -R root {PLACE}/venv && cp -r {PLACE}/venv /var/tmp/venv"])
    passing = machine.run(["/var/tmp/venv/bin/python", "-P", "-m", "hyperhive", "install"], check=False)
    assert "error: /var/tmp/venv/bin/python may be gone when the machine is started anew" in passing.stderr
    # A hive that is up already is not put under somebody else's care.
    machine.run(["systemd-run", "--unit=by-hand", *HYPERHIVE, "up"])
    machine.run(["sh", "-c", "until [ -S /var/lib/hyperhive/run/hub.sock ]; do sleep 0.05; done"])
    up = hyperhive(machine, "install")
    assert (up.returncode, up.stderr.partition(": pid")[0]) == (5, "error: this hive is up already")
    assert "hyperhive" not in machine.run(["ls", UNITS]).stdout


def test_where_no_systemd_runs_it_says_what_to_do_and_cron_keeps_the_hive_up(machine: SystemdHost) -> None:
    machine.systemctl("mask", "--now", "--runtime", "systemd-logind.service")
    # What sd_booted(3) looks at.
    without = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs /run/systemd && exec "$@"', "sh", *HYPERHIVE]
    refused = machine.run([*without, "install"], check=False)
    assert (refused.returncode, refused.stderr.splitlines()) == (
        7,
        ["error: no systemd runs on this machine", "hint: `hyperhive up` in a terminal, or `hyperhive cron` for a crontab"],
    )
    lines = [line for line in machine.run([*without, "cron"]).stdout.splitlines() if not line.startswith("#")]
    assert [re.sub(r" LANG=.* -m hyperhive ", " … ", line) for line in lines] == [
        "@reboot … hub --unless-up",
        "* * * * * … hub --unless-up",
        "* * * * * … crash-watch --every 10 --for 55",
        "@reboot … vacuum",
        "@hourly … vacuum",
    ]
    # As cron does it (crontab(5)): by sh, with next to no environment, in the home.
    job = lines[1].removeprefix("* * * * * ").replace("\\%", "%")
    as_cron = [
        "env",
        "-i",
        "-C",
        "/root",
        "HOME=/root",
        "LOGNAME=root",
        "SHELL=/bin/sh",
        "PATH=/usr/bin:/bin",
        "/bin/sh",
        "-c",
        job,
    ]
    machine.run(["systemd-run", "--unit=cron-1", *as_cron])
    machine.run(["sh", "-c", "until [ -S /var/lib/hyperhive/run/hub.sock ]; do sleep 0.05; done"])
    second = machine.run(as_cron)
    assert second.stdout + second.stderr == ""
    # Without the option the second says so.
    assert "this hive has a hub already" in hyperhive(machine, "hub").stderr


def test_a_users_own_systemd_keeps_a_hive_up_without_a_login(machine: SystemdHost) -> None:
    folder = f"/home/{USER}/.config/systemd/user"
    machine.run(["useradd", "--create-home", USER])
    # Somebody is logged in, and the systemd of that user with it.
    machine.run(["systemd-run", "--unit=login", f"--uid={USER}", "--property=PAMName=login", "sleep", "infinity"])
    machine.run(["sh", "-c", f"until systemctl --user --machine={USER}@ is-active default.target; do sleep 0.05; done"])
    done = hyperhive(machine, "install", user=USER)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("note: the hive ends when you log out, until you say: sudo loginctl enable-linger ")
    machine.run(["loginctl", "enable-linger", USER])
    machine.systemctl("stop", "login")
    assert hyperhive(machine, "install", user=USER).stderr == ""
    names = names_in(hyperhive(machine, "install", "--dry-run", user=USER).stdout, folder)
    verified = machine.run([*AS_USER, "systemd-analyze", "--user", "verify", *(f"{folder}/{name}" for name in names)], user=USER)
    assert verified.stderr == ""
    hyperhive(machine, "spawn", "ada", user=USER)
    hyperhive(machine, "send", "ada", "good morning", user=USER)
    # It has no login, and that is as far as an agent comes without a model.
    blocked = ["sh", "-c", f"until {' '.join(HYPERHIVE)} ps | grep 'blocked: login'; do sleep 0.05; done"]
    machine.run(["timeout", str(PATIENCE), *blocked], user=USER)
    assert "epoch 1 ends" in machine.journal("_SYSTEMD_USER_UNIT=hyperhive-agent@ada.service")
    assert hyperhive(machine, "uninstall", user=USER).returncode == 0
    assert machine.run(["sh", "-c", f"ls -A {folder}"]).stdout == ""
