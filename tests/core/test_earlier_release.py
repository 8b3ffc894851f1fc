"""A hive of the release before configurations were kept in git goes on as it was, with nothing lost."""

import json
import shutil
from pathlib import Path

import apsw
import pytest

from hyperhive.core import (
    agents,
    applied,
    building,
    builds,
    deploying,
    deployments,
    messages,
    meta,
    operations,
    publishing,
    roster,
    spawning,
)
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.errors import Conflict
from hyperhive.core.hive import Hive, make_folders
from hyperhive.core.hub_operations import HubOperations
from hyperhive.core.hub_workers import Processes
from hyperhive.core.log import Log
from hyperhive.core.migrations import STEPS
from hyperhive.core.model import (
    OPERATOR,
    AgentName,
    DeploymentOutcome,
    MessageState,
    Occasion,
    OperationState,
    Outcome,
    Verb,
    Wanted,
)
from hyperhive.core.paths import Paths
from hyperhive.core.tables import AgentRow, MessageRow, TurnRow
from tests.core.hives import ADA, BOB, EVE, hive_in, one_turn, row_of

CYD, DAN, FOX = AgentName("cyd"), AgentName("dan"), AgentName("fox")
NOW = 1_780_000_000_000
# How many steps its schema had.
STEPS_THEN = 2
AGENT = """INSERT INTO agent (name, flavor, host, uid, runtime, wanted, blocked, blocked_times, conversation, epoch, ended_epoch,
    empty_starts, deployed, news, activity, keeps_events, warnings, created_at, destroyed_at)
    VALUES (?, ?, 'here', NULL, 'host', ?, 'none', 0, ?, 3, 3, 0, ?, '', 'idle', 1, '', ?, ?)"""
DEPLOYMENT = "INSERT INTO deployment (number, agent, outcome, started_at, ended_at) VALUES (?, ?, ?, ?, ?)"
TURN = """INSERT INTO turn (agent, epoch, cost_usd, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,
    started_at)
    VALUES (?, 3, 0, 0, 0, 0, 0, ?)"""
MESSAGE = """INSERT INTO message (sender, recipient, kind, body, "key", state, epoch, turn, confirmed, attempt, sent_at,
    handed_out_at) VALUES (?, ?, 'text', ?, ?, ?, ?, ?, 0, ?, ?, ?)"""
OPERATION = """INSERT INTO operation (number, agent, verb, asked_by, state, asked_at, started_at)
    VALUES (?, ?, ?, 'operator', ?, ?, ?)"""
# What that release wrote, with all that it knew.
CONFIG = {
    "role": "You look after roses.", "model": "sonnet", "send_to": ["operator", "bob"], "network": "open",
    "tools": {"allow": ["Bash", "Read"], "deny": ["WebFetch"]}, "env": {"TZ": "UTC"},
    "limits": {"tasks": 99, "turn_minutes": 7.0}, "mounts": [],
    "mcp_servers": {"matrix": {"command": "matrix-mcp", "args": ["-v"], "env": {}, "allowed_tools": ["*"]}},
}  # fmt: skip


def database(paths: Paths) -> apsw.Connection:
    """An empty one with that schema."""
    connection = apsw.Connection(str(paths.database))
    connection.execute("PRAGMA journal_mode = WAL")
    for name, statements in STEPS[:STEPS_THEN]:
        for statement in statements:
            connection.execute(statement)
        connection.execute("INSERT INTO migration (name, at) VALUES (?, ?)", (name, NOW))
    connection.execute(f"PRAGMA user_version = {STEPS_THEN}")
    return connection


def build(paths: Paths, name: AgentName, number: int, data: bytes) -> None:
    """The only file that there was of a deployment."""
    paths.build(name, number).mkdir(parents=True)
    (paths.build(name, number) / "agent.json").write_bytes(data)


@pytest.fixture
def old(home: Path) -> Hive:
    """Its living, stopped, destroyed and damaged agents, in the middle of their work."""
    hive = hive_in(home)
    paths = hive.paths
    make_folders(paths)
    for folder in (paths.applied_folder, paths.proposed_folder):
        shutil.rmtree(folder)
    (paths.state / "builds").chmod(0o700)
    there = database(paths)
    for name, flavor, wanted, number in (
        (ADA, "worker", "started", 2), (BOB, "worker", "stopped", 4), (CYD, "worker", "destroyed", 6),
        (EVE, "manager", "started", 8),
        # One whose agent.json is damaged, and one that was made anew once.
        (DAN, "worker", "started", 10), (FOX, "worker", "started", 14),
    ):  # fmt: skip
        there.execute(AGENT, (name, flavor, wanted, f"talk of {name}", number, NOW, NOW if wanted == "destroyed" else None))
        there.execute(DEPLOYMENT, (number, name, "deployed", NOW, NOW))
        build(paths, name, number, b"{" if name == DAN else json.dumps({**CONFIG, "role": f"You are {name}."}).encode())
        there.execute(OPERATION, (number - 1, name, "start", "done", NOW, NOW))
    there.execute(DEPLOYMENT, (12, FOX, "deployed", NOW - 5, NOW - 5))
    build(paths, FOX, 12, json.dumps({**CONFIG, "role": "You were fox."}).encode())
    # Its process died with the machine.
    there.execute(OPERATION, (15, BOB, "stop", "running", NOW, NOW))
    there.execute("UPDATE counter SET value = 15 WHERE name = 'number'")
    there.execute(TURN, (ADA, NOW))
    there.execute(MESSAGE, (OPERATOR, ADA, "in the middle of it", None, "delivered", 3, 1, 0, NOW, NOW))
    there.execute(MESSAGE, (OPERATOR, ADA, "not begun", "k1", "pending", None, None, 0, NOW, None))
    there.execute(MESSAGE, (ADA, BOB, "for one who is stopped", None, "pending", None, None, 0, NOW, None))
    there.execute(MESSAGE, (ADA, OPERATOR, "for the operator", None, "pending", None, None, 0, NOW, None))
    there.execute("UPDATE agent SET ended_epoch = 2 WHERE name = 'ada'")
    there.close()
    return hive_in(home)


def let_hub_work(hive: Hive, home: Path) -> None:
    """Do what a hub does until nothing is left to be done at once."""
    log = Log("hub", home / "hub.log", quiet=True)
    workers = Processes("operate", log)
    hub = HubOperations(hive, workers, log)
    try:
        while True:
            hub.look()
            if not hub.numbers and not operations.waiting(hive):
                return
            while hub.numbers and not hub.reap():
                pass
    finally:
        workers.kill()


def test_nothing_of_it_is_lost_and_its_agents_get_their_first_commit(old: Hive, home: Path) -> None:
    let_hub_work(old, home)
    assert {one.name: one.wanted for one in roster.listed(old, everything=True)} == {
        ADA: Wanted.STARTED, BOB: Wanted.STOPPED, CYD: Wanted.DESTROYED, DAN: Wanted.STARTED, EVE: Wanted.STARTED,
        FOX: Wanted.STARTED,
    }  # fmt: skip
    for name in (ADA, BOB, EVE, FOX):
        last = deployments.history(old, name)[-1]
        assert last.number == row_of(old, name).deployed
        assert (last.occasion, last.outcome) == (Occasion.SPAWN, DeploymentOutcome.DEPLOYED)
        assert last.commit is not None
        assert applied.references(old, name)["refs/heads/main"] == last.commit
        written, warnings = building.config_in(old, name, last.commit)
        assert (written, warnings) == (builds.config_of(old, name, last.number)[0], [])
        assert (written.role, written.limits.tasks, written.send_to) == (f"You are {name}.", 99, ("operator", "bob"))
        assert row_of(old, name).conversation == f"talk of {name}"
        assert roster.get(old, name).up_to_date
        assert [one.agent for one in meta.log(old, name=name)] == [name]
    # Only what cannot be read is left as it is.
    assert publishing.unsettled(old) == [DAN]
    assert operations.get(old, 15).state is OperationState.FAILED
    # No number is given twice.
    with old.db.write():
        assert operations.ask(old, ADA, Verb.STOP, by=OPERATOR) > 15


def test_its_messages_reach_whom_they_were_for(old: Hive, home: Path) -> None:
    assert [one.body for one in messages.inbox(old, OPERATOR)] == ["for the operator"]
    again = messages.send(old, sender=OPERATOR, to=ADA, body="not begun", key="k1")
    given = one_turn(old, Outcome.OK)
    assert [(one.body, one.number == again.number) for one in given] == [("in the middle of it", False), ("not begun", True)]
    with old.db.read():
        assert {row.state for row in MessageRow.select().where(MessageRow.recipient == ADA)} == {MessageState.ACKNOWLEDGED}
        assert not TurnRow.select().where(TurnRow.outcome.is_null()).exists()
    agents.start(old, BOB, by=OPERATOR)
    assert [one.body for one in one_turn(old, Outcome.OK, name=BOB)] == ["for one who is stopped"]


def test_one_that_was_destroyed_comes_back_as_it_was(old: Hive) -> None:
    made = spawning.spawn(old, CYD, by=OPERATOR)
    assert made.reused
    assert builds.config_of(old, CYD, made.agent.deployed)[0].role == "You are cyd."
    assert [one.commit is not None for one in deployments.history(old, CYD)] == [True, True]


def test_what_was_there_before_git_cannot_be_gone_back_to(old: Hive) -> None:
    with pytest.raises(Conflict, match="fox has no earlier deployment"):
        deploying.roll_back(old, FOX, by=OPERATOR)


def test_one_whose_configuration_is_damaged_says_so_and_can_be_given_a_new_one(old: Hive) -> None:
    with pytest.raises(Conflict, match="that is kept of dan cannot be read") as refused:
        deploying.roll_back(old, DAN, by=OPERATOR)
    assert refused.value.hint == 'make it anew: hyperhive destroy dan, then hyperhive spawn dan --role "…"'
    agents.destroy(old, DAN, by=OPERATOR)
    made = spawning.spawn(old, DAN, config=AgentConfig(role="You are new."), by=OPERATOR)
    assert builds.config_of(old, DAN, made.agent.deployed)[0].role == "You are new."
    with old.db.read():
        assert AgentRow.get(AgentRow.name == DAN).conversation == "talk of dan"
