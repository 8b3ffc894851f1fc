"""Real containers for tests: as root with a user for each agent, and as an ordinary user would make them."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from hyperhive.core import folders, process
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.hive import Hive, open_hive
from hyperhive.core.model import parse_name
from hyperhive.core.runtimes import Place, Runtime, runtime_named

IS_ROOT = os.geteuid() == 0
# Users that no machine gives to anybody: one for each agent, and one who stands for an ordinary user.
FIRST_UID = 0x7001_0000
ORDINARY = 64_222

KINDS = [pytest.param("own-user", marks=pytest.mark.root), "ordinary"]


@dataclass(frozen=True)
class Box:
    """An agent's container, and how a command is run in it."""

    hive: Hive
    runtime: Runtime
    place: Place
    kind: str

    def words(self, command: Sequence[str], *, cwd: str | None = None) -> list[str]:
        if self.kind == "ordinary" and IS_ROOT:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(os, "geteuid", lambda: ORDINARY)
                words = self.runtime.wrap(self.place, command, cwd=cwd)
            return ["setpriv", f"--reuid={ORDINARY}", f"--regid={ORDINARY}", "--clear-groups", "--", *words]
        return self.runtime.wrap(self.place, command, cwd=cwd)

    def env(self, **more: str) -> dict[str, str]:
        return {"PATH": process.PATH, **self.runtime.inside(self.place).environment(), **more}

    def run(
        self, *command: str, cwd: str | None = None, input: str | None = None, before: Sequence[str] = (), **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end. `before` are words to put in front of all the others."""
        return subprocess.run(
            [*before, *self.words(command, cwd=cwd)], env=self.env(**env), input=input,
            stdin=subprocess.DEVNULL if input is None else None, capture_output=True, text=True, timeout=60, check=False, cwd="/",
        )  # fmt: skip

    def out(self, *command: str, **env: str) -> str:
        """What a command prints that must end well."""
        done = self.run(*command, **env)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def start(self, *command: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.words(command), env=self.env(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, cwd="/",
        )  # fmt: skip


def make(kind: str, name: str = "ada", *, number: int = 0, config: AgentConfig | None = None, program: Path | None = None) -> Box:
    """An agent's container in the test's hive. `own-user` needs root; `host` is no container at all."""
    hive = open_hive()
    agent = parse_name(name)
    uid = {"own-user": FIRST_UID + number, "ordinary": ORDINARY if IS_ROOT else None, "host": None}[kind]
    folders.prepare(hive, agent, uid=uid)
    place = folders.place(hive, agent, uid=uid if kind == "own-user" else None, program=program, config=config or AgentConfig())
    return Box(hive, runtime_named("host" if kind == "host" else "bubblewrap"), place, kind)


def own(box: Box, path: Path, text: str) -> Path:
    """Write a file as the agent would have."""
    path.write_text(text)
    if IS_ROOT and box.kind != "host":
        uid = box.place.uid if box.place.uid is not None else ORDINARY
        os.chown(path, uid, uid)
    path.chmod(0o600)
    return path
