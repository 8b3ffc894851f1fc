"""What is being done to an agent is seen wherever agents are, whoever does it, and is gone with whoever did it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hyperhive.core import holding, operations, roster, spawning, tombstones, waiting
from hyperhive.core.agent_view import Agent
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock
from hyperhive.core.model import OPERATOR, AgentName, OperationState, Verb
from tests.core.hives import ADA, BOB, Program, program, set_row

# What is done in another process, and ends only with it.
ACTS = {
    "starting": """
from hyperhive.core import building
building.build = lambda *_, **__: time.sleep(600)
spawning.spawn(hive, AgentName("new"), runtime="host", by=OPERATOR)
""",
    "stopping": "agents.stop(hive, AgentName('new'), by=OPERATOR, timeout=600)",
    "restarting": "agents.restart(hive, AgentName('new'), by=OPERATOR)",
    "rebuilding": """
from hyperhive.core import building, deploying
building.build = lambda *_, **__: time.sleep(600)
deploying.update(hive, AgentName("new"), by=OPERATOR)
""",
    "destroying": """
from hyperhive.core import process
process.end_marked = lambda *_: time.sleep(600)
agents.destroy(hive, AgentName("new"), by=OPERATOR)
""",
    "killing": """
from hyperhive.core import process
process.end_marked = lambda *_: time.sleep(600)
agents.kill(hive, AgentName("new"), by=OPERATOR)
""",
}
NEW = AgentName("new")


def seen(hive: Hive) -> Agent | None:
    """The new agent, as it is listed."""
    return next((agent for agent in roster.listed(hive) if agent.name == "new"), None)


def what(hive: Hive) -> str | None:
    agent = seen(hive)
    return None if agent is None or agent.under_way is None else agent.under_way.what


@contextmanager
def done_to(hive: Hive, home: Path, word: str) -> Iterator[Program]:
    """Somebody does it to the agent `new`, which is at work."""
    if word != "starting":
        spawning.spawn(hive, NEW, runtime="host", by=OPERATOR)
    if word == "rebuilding":
        set_row(hive, NEW, base="an older one")
    with Lock(hive.paths.harness_lock(NEW)) as harness:
        if word in ("stopping", "restarting"):
            assert harness.take()
        with program(home, ACTS[word]) as other:
            yield other


@pytest.mark.parametrize("word", ACTS)
def test_it_is_seen_with_since_when_and_gone_when_its_process_died(hive: Hive, home: Path, word: str) -> None:
    before = hive.now()
    with done_to(hive, home, word):
        assert waiting.until(lambda: what(hive) == word, 30)
        agent = seen(hive)
        assert agent is not None
        assert agent.under_way is not None
        assert before <= agent.under_way.since <= hive.now()
        assert roster.get(hive, "new").under_way == agent.under_way
        assert [one.under_way for one in roster.listed(hive) if one.name in (ADA, BOB)] == [None, None]
        # One that is being made is no tombstone, though its row says so.
        assert tombstones.listed(hive) == []
    assert what(hive) is None
    if word == "starting":
        assert seen(hive) is None
        assert [one.name for one in tombstones.listed(hive)] == ["new"]
    # Whoever comes by says what became of it.
    (dead,) = [one for one in holding.dead(hive) if one.agent == "new"]
    with hive.db.write():
        holding.bury(hive, [dead])
    assert operations.get(hive, dead.number).state is OperationState.FAILED


def test_what_holds_the_agent_is_said_not_what_its_harness_was_told_meanwhile(hive: Hive) -> None:
    with Lock(hive.paths.harness_lock(ADA)) as harness, holding.under_way(hive, ADA, Verb.STOP, by=OPERATOR):
        harness.take()
        with hive.db.write():
            operations.ask(hive, ADA, Verb.LEAVE, by=OPERATOR, argument="now")
        assert operations.take(hive, ADA, Verb.LEAVE)
        assert holding.running(hive)[ADA].what == "stopping"
