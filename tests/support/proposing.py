"""A manager that commits configurations and asks for them, without a model."""

import os
import subprocess
from collections.abc import Mapping

from hyperhive.core import agent_toml, approvals, folders, operate, operations, proposals, roster, spawning
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.approvals import Approval
from hyperhive.core.hive import Hive
from hyperhive.core.identity import identity
from hyperhive.core.model import OPERATOR, AgentName, Flavor, parse_name

MONA = parse_name("mona")
ENVIRONMENT = {
    "PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull,
}  # fmt: skip


class Manager:
    """The manager mona: what it writes, and what comes of it."""

    def __init__(self, hive: Hive) -> None:
        self.hive = hive
        spawning.spawn(hive, MONA, flavor=Flavor.MANAGER, by=OPERATOR)
        agent = roster.get(hive, MONA)
        self.uid, self.gid = identity(agent.uid, agent.user)
        folders.give_proposed(hive, MONA, uid=self.uid, gid=self.gid)

    def run(self, name: AgentName, *words: str, stdin: bytes | None = None, env: Mapping[str, str] = {}) -> str:
        """Run a program in the manager's repository for an agent, as the manager's user."""
        user = ["setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups", "--"] if self.uid is not None else []
        folder = self.hive.paths.proposed(MONA) / name
        done = subprocess.run(
            [*user, *words], cwd=folder if folder.is_dir() else folder.parent, input=stdin, capture_output=True,
            env={**ENVIRONMENT, **env}, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().removesuffix("\n")

    def commit(
        self,
        name: AgentName,
        files: Mapping[str, bytes],
        *,
        message: str = "Change it",
        author: str = "mona",
        onto: str | None = None,
    ) -> str:
        """Commit files in place of an agent's own, on top of what is applied (or of `onto`)."""
        repository = self.hive.paths.proposed(MONA) / name
        applied = self.hive.paths.applied(name)
        if not repository.is_dir():
            self.run(name, "git", "init", "-q", "-b", "main", str(repository))
        if applied.is_dir():
            pack = ["git", "-c", "safe.directory=*", "fetch", "-q", str(applied), "+refs/heads/*:refs/applied/*"]
            # As whoever may read both: the tests' own user.
            subprocess.run(
                [*pack[:1], f"--git-dir={repository}/.git", *pack[1:]],
                env=ENVIRONMENT,
                check=True,
                capture_output=True,
                timeout=60,
            )
            if self.uid is not None:
                subprocess.run(["chown", "-R", f"{self.uid}:{self.gid}", str(repository)], check=True, timeout=60)
            if onto or (repository / ".git/refs/applied/main").exists():
                self.run(name, "git", "reset", "-q", "--hard", onto or "refs/applied/main")
        for path, data in files.items():
            self.run(name, "sh", "-c", 'mkdir -p "$(dirname "$0")" && cat > "$0"', path, stdin=data)
        self.run(name, "git", "add", "-A")
        who = {
            f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in (("NAME", author), ("EMAIL", "m@x"))
        }
        self.run(name, "git", "commit", "-q", "-m", message, "--allow-empty", env=who)
        return self.run(name, "git", "rev-parse", "HEAD")

    def propose(self, name: AgentName, config: AgentConfig, *, reason: str = "", **more: str) -> Approval:
        """Ask for a configuration of an agent."""
        commit = self.commit(name, {"agent.toml": agent_toml.write(config)}, **more)
        return self.ask(proposals.request(self.hive, name, by=MONA, commit=commit, reason=reason))

    def ask(self, operation: int) -> Approval:
        """Have an operation that proposes carried out, and give back what waits."""
        operate.run(self.hive, operation)
        return approvals.get(self.hive, int(operations.get(self.hive, operation).result or 0))
