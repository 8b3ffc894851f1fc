"""How everything that runs for an agent is ended, while nothing of it can begin again."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from hyperhive.core import cgroups, containers, process, waiting
from hyperhive.core.errors import Expired
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock, end_holder, holder, is_held
from hyperhive.core.model import AgentName

# How long what was killed may take to end, in seconds.
END_MOST: Final = 10.0


@contextmanager
def taken(hive: Hive, name: AgentName) -> Iterator[None]:
    """End an agent's harness and all that it has started; inside the block no other begins.

    Raises `Expired` when something does not end.
    """
    path = hive.paths.harness_lock(name)
    with Lock(path) as lock:

        def is_mine() -> bool:
            if lock.take():
                return True
            end_holder(path)
            return False

        if not waiting.until(is_mine, END_MOST):
            raise Expired(f"the harness of {name} does not end ({holder(path)})", hint="hyperhive doctor")
        # Its CLI ends with it, but a runtime without a container may let something of that live on.
        if not waiting.until(lambda: process.end_marked(process.BOX, str(hive.paths.agent(name))) == 0, END_MOST):
            raise Expired(f"something that {name} has started does not end", hint="hyperhive doctor")
        containers.bring_down(hive, name)
        cgroups.tidy(hive)
        yield


def has_left(hive: Hive, name: AgentName) -> bool:
    """No harness of the agent lives."""
    return not is_held(hive.paths.harness_lock(name))
