"""Hundreds of agents in one hive: one watcher, one hub, and each agent is served."""

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

from hyperhive.core import folders
from hyperhive.core.model import AgentName
from tests.core.hives import add_agent
from tests.faults.aftermath import tracebacks
from tests.faults.wrecks import Wreck
from tests.mcp.client import Bare

MANY = 300
# Of so many one is asked, all at the same time.
EACH = 10
# What a process may open unless it asks for more: most machines say 1024, and three hundred agents at work need more than that.
FILES = 256


def test_three_hundred_agents_are_served_by_one_hub(home: Path) -> None:
    names = [AgentName(f"agent-{count}") for count in range(MANY)]
    with Wreck(home, mode="good", up=False) as hive, contextlib.ExitStack() as open_ones:
        for name in names:
            # As far as a hub cares; what else an agent is made of takes a tenth of a second each.
            add_agent(hive.hive, name)
            folders.prepare(hive.hive, name, uid=None)
        with _few_files():
            hive.start_hub()
        hive.until(lambda: all(hive.hive.paths.agent_socket(name).exists() for name in names), "each has its socket")
        for name in names[::EACH]:
            peer = open_ones.enter_context(Bare(str(hive.hive.paths.agent_socket(name)), greet=False))
            assert "result" in peer.ask("ping")
        held = [os.readlink(fd) for fd in Path(f"/proc/{hive.hub_pid}/fd").iterdir()]
        # A machine has 128 of these (fs.inotify.max_user_instances).
        assert held.count("anon_inode:inotify") == 1
        # The control: it does need more than most processes are given.
        assert len(held) > FILES
        assert not tracebacks(home)


@contextlib.contextmanager
def _few_files() -> Iterator[None]:
    """What is started in the block is given few files (getrlimit(2), RLIMIT_NOFILE)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
