"""A manager on this machine: with a user of its own as root, or as an ordinary user would run it."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from hyperhive.core import folders, transfer
from hyperhive.core.hive import Hive
from tests.repositories.hand import ADA, MONA

IS_ROOT = os.geteuid() == 0
# A user that no machine gives to anybody.
UID = 0x7003_03E8 if IS_ROOT else None

marks = pytest.mark.box


@dataclass(frozen=True)
class Manager:
    """A manager's folder, and git run in it as the manager would."""

    hive: Hive
    uid: int | None = UID

    @property
    def folder(self) -> Path:
        return self.hive.paths.proposed(MONA)

    @property
    def repository(self) -> Path:
        return self.folder / ADA

    def run(self, *words: str, stdin: bytes | None = None, cwd: Path | None = None) -> "subprocess.CompletedProcess[bytes]":
        user: Sequence[str] = ()
        if self.uid is not None:
            user = ("setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups", "--")
        return subprocess.run(
            [*user, *words], cwd=cwd or self.folder, input=stdin, capture_output=True, timeout=60, check=False, env=ENV
        )

    def git(self, *words: str, stdin: bytes | None = None) -> str:
        done = self.run("git", *words, stdin=stdin, cwd=self.repository)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().removesuffix("\n")

    def begin(self) -> None:
        """An empty repository for ada."""
        folders.give_proposed(self.hive, MONA, uid=self.uid)
        assert self.run("git", "init", "-q", "-b", "main", str(self.repository)).returncode == 0

    def commit(self, files: Mapping[str, bytes], message: str = "Change it") -> str:
        for path, data in files.items():
            script = 'mkdir -p "$(dirname "$0")" && cat > "$0"'
            assert self.run("sh", "-c", script, path, stdin=data, cwd=self.repository).returncode == 0
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")

    def fetch(self, commit: str, *, operation: int = 7, **more: float) -> str:
        return transfer.fetch(
            self.hive, ADA, proposer=MONA, uid=self.uid, gid=self.uid, commit=commit, operation=operation, **more
        )


ENV = {
    "PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "mona", "GIT_AUTHOR_EMAIL": "mona@localhost", "GIT_COMMITTER_NAME": "mona",
    "GIT_COMMITTER_EMAIL": "mona@localhost",
}  # fmt: skip
