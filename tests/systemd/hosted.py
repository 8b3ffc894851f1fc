"""A hive that is kept up by a real systemd: installed in a throw-away host, looked at from outside."""

import os
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
from typing_extensions import override

from hyperhive.core import agent_config, doorbell
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.hive import BOOT_TOLD
from hyperhive.core.model import AgentName, parse_name
from hyperhive.demo.model_api import Brain
from tests.faults import stand_in
from tests.support.swarm import Swarm
from tests.support.systemd_host import ROOT, SystemdHost

# As an operator would install it: where only root may write, and not in a folder that a restart empties.
PLACE = "/opt/hyperhive"
PYTHON = f"{PLACE}/venv/bin/python"
HYPERHIVE = (PYTHON, "-P", "-m", "hyperhive")
PACKAGES = "/opt/packages"
PUT = f"""
# Every user is to come to the interpreter, which may be root's own.
folder={shlex.quote(sys.base_prefix)}
while [ "$folder" != / ]; do folder=$(dirname "$folder"); chmod o+x "$folder"; done
mkdir -p {PLACE}/source
cp -r {shlex.quote(str(ROOT / "hyperhive"))} {PLACE}/source/
{shlex.quote(sys.base_prefix)}/bin/python3 -m venv --without-pip {PLACE}/venv
printf '%s\\n' {PLACE}/source {PACKAGES} >$({PYTHON} -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/tests.pth
"""
SPAWN = """
import sys
from hyperhive.core import agent_config, hive, model, spawning
name, config = model.parse_name(sys.argv[1]), agent_config.parse(sys.argv[3].encode())
spawning.spawn(hive.open_hive(), name, config=config, runtime=sys.argv[2], by=model.OPERATOR)
"""


def host_with_hyperhive(**binds: Path) -> SystemdHost:
    """A host with hyperhive at its place, to be entered; `binds` are folders by their names below /."""
    inside = {path: f"/{name.replace('_', '/')}" for name, path in binds.items()}
    inside |= {Path(sysconfig.get_path("purelib")): PACKAGES}
    return SystemdHost(share=list(binds.values()), binds=inside)


class Hosted(Swarm):
    """The machine's own hive in a host. Its folders are those of a `home` outside, and so are the tests' looks at it."""

    def __init__(self, home: Path, brain: Brain, host: SystemdHost, **settings: object) -> None:
        self.host = host
        # The model listens where the agents are.
        with host.network():
            super().__init__(home, brain, up=False, **settings)  # type: ignore[arg-type]  # whatever hive.toml takes

    def run(
        self, *words: str, check: bool = True, env: Mapping[str, str] | None = None, user: str | None = None, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of hyperhive inside."""
        return self.host.run([*HYPERHIVE, *words], check=check, env=env, user=user, stdin=stdin)

    @override
    def spawn(self, name: str = "ada", *, manager: bool = False, turn_seconds: float = 60.0, **config: object) -> AgentName:
        """Make an agent, as a process inside would: it knows the host's start, and not that of the machine around it."""
        os.environ[BOOT_TOLD] = self.host.run(["cat", "/proc/sys/kernel/random/boot_id"]).stdout.strip().replace("-", "")
        try:
            return super().spawn(name, manager=manager, turn_seconds=turn_seconds, **config)
        finally:
            del os.environ[BOOT_TOLD]

    def spawn_inside(self, name: str, *, runtime: str, **config: object) -> AgentName:
        """Make an agent by a process of the host's, as only the machine's own hive may."""
        given = agent_config.encode(msgspec.convert(config, AgentConfig, strict=False)).decode()
        self.host.run([PYTHON, "-c", SPAWN, name, runtime, given])
        return parse_name(name)

    def use_stand_in(self, mode: str = "good") -> None:
        """Give the agents a stand-in for their CLI, which answers at once."""
        self.configure(command=[stand_in.put(self.home), mode])

    def use_claude(self) -> None:
        """Give the agents the real one."""
        self.configure()

    def kill(self, unit: str) -> None:
        """End a unit's process at once."""
        self.host.systemctl("kill", "--kill-whom=main", "--signal=KILL", unit)

    def hub_has_looked(self) -> None:
        """Wait until the hub has acted on all that was rung for so far."""
        # It takes a bell away, then acts: when it takes the second away it has acted on the first.
        for _ in range(2):
            doorbell.ring_hive(self.hive.paths)
            self.until(lambda: not (self.hive.paths.wake / doorbell.HIVE).exists(), "the hub hears its bell")

    def pid_of(self, unit: str) -> int:
        """The unit's process as its host sees it, 0 for none."""
        return int(self.host.systemctl("show", "--property=MainPID", "--value", unit))

    def state_of(self, unit: str) -> str:
        """`active`, `inactive`, `failed`, …"""
        return self.host.systemctl("is-active", unit, check=False)


@contextmanager
def hosted(home: Path, brain: Brain) -> Iterator[Hosted]:
    """The machine's own hive in a host of its own, its folders those of `home`; `hyperhive install` keeps it up."""
    home.chmod(0o755)
    (home / "state").mkdir()
    with host_with_hyperhive(etc_hyperhive=home, var_lib_hyperhive=home / "state") as host:
        host.run(["sh", "-ec", PUT])
        with Hosted(home, brain, host, linger_seconds=0) as found:
            found.run("install")
            yield found
