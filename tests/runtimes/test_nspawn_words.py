"""What is said to boot a container, to run something in it and to end it, word by word."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from hyperhive.core.agent_config import AgentConfig, Mount
from hyperhive.core.errors import Invalid, Unavailable
from hyperhive.core.model import AgentName, Network
from hyperhive.core.runtimes import Place, enter
from hyperhive.core.runtimes.nspawn import Nspawn
from tests.runtimes import test_words
from tests.runtimes.test_words import root

__all__ = ["root"]
ADA = AgentName("ada")
BASE = 0x7001_0000
HOME = Path("/h/state/agents/ada")


@pytest.fixture(autouse=True)
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def place(**changed: object) -> Place:
    own = {"base": BASE, "uid": BASE + 1000, "gid": BASE + 1000, "root": HOME / "container/root", "var": HOME / "container/var"}
    return test_words.place(**{**own, **changed})


def test_the_container_is_a_unit_of_the_machine(root: Path) -> None:
    mounts = (Mount("/srv/a:b", "/workspace/a", "rw"), Mount("/srv/back\\slash", "/mnt/b"))
    words = Nspawn(root=root).boot(place(mounts=mounts, build=Path("/h/build"), network=Network.NONE))
    assert words == [
        "systemd-run", "--quiet", "--collect", "--unit=hyperhive-container@ada.service", "--slice=machine.slice",
        "--description=the container of the agent ada",
        "--property=Type=notify", "--property=KillMode=mixed", "--property=Delegate=yes", "--property=OOMPolicy=continue",
        "--property=TimeoutStartSec=60", "--property=TimeoutStopSec=10", "--property=StartLimitIntervalSec=0",
        "--property=MemoryMax=4294967296", "--property=MemorySwapMax=0", "--property=TasksMax=576",
        "--", sys.executable, "-S", "-E", "-I", enter.__file__, "-",
        "systemd-nspawn", "--quiet", "--boot", "--keep-unit", "--notify-ready=yes", "--console=read-only",
        "--machine=hyperhive-ada", "--hostname=ada", f"--directory={HOME}/container/root", "--read-only",
        f"--private-users={BASE}:65536", "--no-new-privileges=yes",
        "--link-journal=no", "--resolv-conf=off", "--timezone=off", "--private-network",
        "--bind-ro=/usr:/usr", "--bind-ro=/etc/hosts:/etc/hosts", f"--bind={HOME}/container/var:/var",
        f"--bind={HOME}/state:/state", f"--bind={HOME}/workspace:/workspace", f"--bind={HOME}/claude:/claude",
        "--bind-ro=/h/state/run/agents/ada:/run/hyperhive", "--bind-ro=/x/claude:/opt/hyperhive/claude",
        "--bind-ro=/h/build:/opt/agent", "--bind=/srv/a\\:b:/workspace/a", "--bind-ro=/srv/back\\\\slash:/mnt/b",
    ]  # fmt: skip
    assert "--private-network" not in Nspawn(root=root).boot(place())


def test_a_program_in_it_is_a_unit_of_its_own(root: Path) -> None:
    words = Nspawn(root=root).wrap(place(), ["claude", "$HOME", "100%"], env={"TOKEN": "x"}, unit="hyperhive-cli.service")
    assert words == [
        "systemd-run", "--machine=hyperhive-ada", "--pipe", "--wait", "--collect", "--quiet",
        "--unit=hyperhive-cli.service", "--description=hyperhive-cli.service", "--uid=1000", "--gid=1000",
        "--property=KillSignal=SIGKILL", "--property=OOMPolicy=continue",
        "--property=NoNewPrivileges=yes", "--property=CapabilityBoundingSet=", "--property=AmbientCapabilities=",
        "--property=RestrictNamespaces=yes", "--property=LimitNPROC=512",
        "--working-directory=/workspace", "--setenv=TOKEN", "--",
        "sh", "-c", 'trap : HUP INT QUIT TERM; exec 3>&2 2>/dev/null; (exec "$$@" 2>&3 3>&-); exit $$?', "sh",
        "claude", "$$HOME", "100%",
    ]  # fmt: skip
    nameless = Nspawn(root=root).wrap(place(), ["ls"], cwd="/state")
    assert not any(word.startswith(("--unit", "--setenv")) for word in nameless)
    assert "--working-directory=/state" in nameless


def test_what_is_built_is_built_without_a_machine(root: Path) -> None:
    words = Nspawn(root=root).wrap(place(build=Path("/h/out"), source=Path("/h/tree")), ["make"], cwd="/opt/agent")
    assert words[words.index("--") + 1] == "bwrap"
    assert words[-1] == "make"


def test_how_it_is_ended_listed_and_read() -> None:
    nspawn = Nspawn()
    assert nspawn.halt(ADA) == ["systemctl", "stop", "hyperhive-container@ada.service"]
    assert nspawn.end(ADA, "x.service") == ["systemctl", "--machine=hyperhive-ada", "stop", "x.service"]
    assert nspawn.group(ADA) == Path("/sys/fs/cgroup/machine.slice/hyperhive-container@ada.service")
    assert nspawn.journal(place()) == [
        "setpriv", "--reuid", str(BASE), "--regid", str(BASE), "--clear-groups", "--no-new-privs", "--",
        "journalctl", f"--directory={HOME}/container/var/log/journal",
    ]  # fmt: skip
    assert nspawn.listing.words[0] == "busctl"
    said = {
        "type": "a(ssso)",
        "data": [[[f"{name}", "container", "systemd-nspawn", "/x"] for name in (".host", "hyperhive-ada", "web", "hyperhive-X")]],
    }
    assert nspawn.listing.read(msgspec.json.encode(said).decode()) == {"ada"}
    with pytest.raises(Unavailable, match="cannot be read"):
        nspawn.listing.read("Failed")


@pytest.mark.parametrize("changed", [{"uid": None}, {"uid": 0}])
def test_an_agent_without_a_user_of_its_own_gets_none(changed: dict[str, object]) -> None:
    with pytest.raises(Invalid, match="no user of its own"):
        Nspawn().wrap(place(**changed), ["ls"])


def test_a_user_of_the_machine_is_never_the_root_user_of_a_container() -> None:
    # BASE is what would become root inside: 1000 less than an existing user may be root itself.
    with pytest.raises(Invalid, match="no range of users"):
        Nspawn().boot(place(base=None, uid=1000, gid=1000))


@pytest.mark.parametrize(
    ("output", "sentence", "hint"),
    [
        ("sh: 1: systemd-nspawn: not found", "not installed", "systemd-container"),
        ("sh: 1: exec: busctl: not found", "does not run this machine", "bubblewrap"),
        ("Failed to connect to bus: No such file or directory", "does not run this machine", "bubblewrap"),
        ("The name org.freedesktop.machine1 was not provided by any .service files", "does not answer", "systemd-machined"),
        ("first\nsomething else", "something else", "machinectl"),
        ("", "it says nothing", "machinectl"),
    ],
)
def test_a_failure_becomes_a_sentence_with_a_hint(output: str, sentence: str, hint: str) -> None:
    explained = Nspawn().explain(output)
    assert sentence in explained.message
    assert hint in (explained.hint or "")


# ---- the root ----


@pytest.fixture
def machine(root: Path) -> Path:
    (root / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/bash\nmessagebus:x:100:106::/nonexistent:/bin/false\nme:x:1000:1000::/home/me:/bin/sh\n"
    )
    (root / "etc/group").write_text("root:x:0:\nmessagebus:x:106:\nsystemd-journal:x:999:me\nme:x:1000:\nnogroup:x:65534:\n")
    (root / "usr/lib/systemd/system-generators").mkdir(parents=True)
    (root / "usr/lib/systemd/system-generators/of-some-package").touch()
    return root


def test_the_root_is_the_hosts_own_and_names_no_user_of_the_machine(machine: Path) -> None:
    found = Nspawn(root=machine).root(place(mounts=(Mount("/srv/a", "/workspace/a"), Mount("/srv/b", "/mnt/b"))), AgentConfig())
    assert found.files["/etc/passwd"] == (
        "root:x:0:0:root:/root:/bin/bash\nmessagebus:x:100:106::/nonexistent:/bin/false\nagent:x:1000:1000:ada:/state:/bin/sh\n"
    )
    assert found.files["/etc/group"] == "root:x:0:\nmessagebus:x:106:\nsystemd-journal:x:999:\nnogroup:x:65534:\nagent:x:1000:\n"
    assert found.files["/etc/hosts"] == found.files["/opt/hyperhive/claude"] == ""
    assert {"/usr", "/var", "/state", "/workspace", "/claude", "/mnt/b", "/tmp", "/proc"} <= set(found.folders)
    assert "/workspace/a" not in found.folders
    assert found.links["/bin"] == "usr/bin"
    assert found.links["/etc/resolv.conf"] == "/run/hyperhive/resolv.conf"
    assert found.links["/etc/systemd/system-generators/of-some-package"] == "/dev/null"
    assert found.links["/etc/systemd/system/default.target"] == "hyperhive.target"


def test_two_agents_have_two_machine_ids(machine: Path) -> None:
    ids = {
        Nspawn(root=machine).root(place(base=base), AgentConfig()).files["/etc/machine-id"] for base in (BASE, BASE, BASE + 65536)
    }
    assert len(ids) == 2
    assert all(len(one) == 33 for one in ids)


def test_a_service_of_the_agents_own_is_its_users_whatever_it_says(machine: Path) -> None:
    config = AgentConfig(env={"A": 'b "c" 100% \\ \n$D'}, services={"bridge.service": "[Service]\nExecStart=/bin/true\n"})
    found = Nspawn(root=machine).root(place(), config)
    assert found.files["/etc/systemd/system/bridge.service"] == "[Service]\nExecStart=/bin/true\n"
    assert found.links["/etc/systemd/system/hyperhive.target.wants/bridge.service"] == "../bridge.service"
    assert found.files["/etc/systemd/system/bridge.service.d/hyperhive.conf"] == (
        "[Service]\nUser=1000\nGroup=1000\nSupplementaryGroups=\nPAMName=\nNoNewPrivileges=yes\nCapabilityBoundingSet=\n"
        "AmbientCapabilities=\nRestrictNamespaces=yes\nLimitNPROC=512\n"
        'Environment="A=b \\x22c\\x22 100%% \\x5c \\x0a$D"\n'
    )


def test_systemd_takes_what_is_written_for_it(machine: Path, tmp_path: Path) -> None:
    """With systemd's own check of units."""
    config = AgentConfig(
        env={"A": 'b "c" 100% \\ $D'},
        services={
            "bridge.service": "[Unit]\nAfter=network.target\n\n[Service]\nExecStart=/bin/true\nWorkingDirectory=/workspace\n"
        },
    )
    found = Nspawn(root=machine).root(place(), config)
    for path, text in found.files.items():
        if path.startswith("/etc/systemd/system/"):
            file = tmp_path / "checked" / path.removeprefix("/etc/systemd/system/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    for unit in ("bridge.service", "hyperhive.target"):
        ran = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", str(tmp_path / "checked" / unit)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ran.returncode, ran.stderr) == (0, "")
