"""The machine's own hive on a systemd host of the tests: real units, the real hub, a scripted model."""

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
from typing_extensions import override

from hyperhive.core import agent_config
from hyperhive.core.agent_config import AgentConfig, AgentLimits
from hyperhive.core.hive import Hive, make_folders
from hyperhive.core.locks import is_held
from hyperhive.core.model import AgentName, parse_name
from hyperhive.core.paths import SYSTEM_CONFIG, SYSTEM_STATE, Paths
from hyperhive.demo.model_api import Brain, ModelApi
from tests.support.swarm import Swarm
from tests.support.systemd_host import SystemdHost

HUB = "hyperhive-hub-of-the-test.service"


class MachinesHive(Swarm):
    """Its files lie in the test's home, which is laid over the places of a machine's own hive, so that the test sees them too."""

    def __init__(self, host: SystemdHost, home: Path, brain: Brain, **settings: object) -> None:
        self.host = host
        self.home = home
        self.runtime = "nspawn"
        self._settings = {"linger_seconds": 30, "runtime": self.runtime, **settings}
        self._stack = ExitStack()
        with host.network():
            self.api = ModelApi(brain)
        paths = Paths(config=home, state=home / "state")
        make_folders(paths)
        self.hive = Hive(paths)

    @override
    def __enter__(self) -> Self:
        for own, place in ((self.hive.paths.state, SYSTEM_STATE), (self.hive.paths.config, SYSTEM_CONFIG)):
            self.host.run(["sh", "-c", 'mkdir -p "$2" && mount --bind "$1" "$2"', "sh", own, place])
            self._stack.callback(self.host.run, ["sh", "-c", 'umount "$1" && rmdir "$1"', "sh", place])
        self._stack.enter_context(self.api)
        self.configure()
        self.start_hub()
        return self

    @override
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            self.show_logs()
            sys.stderr.write(self.host.journal("--lines=200"))
        self.stop_hub()
        self.host.systemctl("stop", "hyperhive-container@*.service")
        self.hive.close()
        self._stack.close()

    @override
    def start_hub(self) -> None:
        words = ["systemd-run", "--quiet", "--collect", f"--unit={HUB}", "--property=KillMode=mixed"]
        self.host.run([*words, f"--setenv=PATH={os.environ['PATH']}", "--", *PROGRAM, "hub"])
        self.until(lambda: is_held(self.hive.paths.lock("hub")), "the hub holds its lock")

    @override
    def stop_hub(self, number: int = 15) -> None:
        self.host.systemctl("stop", HUB)

    @override
    def spawn(self, name: str = "ada", *, manager: bool = False, turn_seconds: float = 60.0, **config: object) -> AgentName:
        shape = {"limits": AgentLimits(turn_minutes=turn_seconds / 60), **config}
        given = agent_config.encode(msgspec.convert(shape, AgentConfig, strict=False)).decode()
        self.host.run([sys.executable, "-c", SPAWN, name, "manager" if manager else "worker", given])
        return parse_name(name)

    def say(self, *words: str, stdin: str = "", check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command of hyperhive on the host to its end."""
        # The host's systemd would put variables in place of these.
        return self.host.run([*PROGRAM, *(word.replace("$", "$$") for word in words)], stdin=stdin, check=check, env=env)

    def told(self, *words: str) -> Any:
        """What a command says with `--json`."""
        return msgspec.json.decode(self.say(*words, "--json").stdout)


SPAWN = """
import sys
from hyperhive.core import agent_config, hive, model, spawning
name, flavor = model.parse_name(sys.argv[1]), model.Flavor(sys.argv[2])
spawning.spawn(hive.open_hive(), name, flavor=flavor, config=agent_config.parse(sys.argv[3].encode()), by=model.OPERATOR)
"""
PROGRAM = (sys.executable, "-m", "hyperhive")
