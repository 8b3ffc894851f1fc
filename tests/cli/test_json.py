"""What scripts may rely on: keys, types, times."""

import re
from typing import Any

import msgspec
import pytest

from hyperhive.core import holding, leases, questions, roster, spawning
from hyperhive.core.agent_config import AgentConfig, McpServer
from hyperhive.core.hive import Hive
from hyperhive.core.model import Activity, AgentName, EventKind, Outcome, QuestionOutcome, Verb, parse_name
from tests.cli import history, shell

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")

AGENT = {
    "name",
    "flavor",
    "runtime",
    "wanted",
    "running",
    "blocked",
    "blocked_since",
    "blocked_until",
    "blocked_reason",
    "under_way",
    "turn",
    "model",
    "mail",
    "logged_in",
    "up_to_date",
    "keeps_events",
    "last_turn",
}
MESSAGE = {"number", "sender", "recipient", "kind", "body", "state", "attempt", "sent_at"}
QUESTION = {
    "number",
    "asker",
    "text",
    "choices",
    "choices_only",
    "default",
    "outcome",
    "answer",
    "resolved_by",
    "asked_at",
    "deadline",
    "resolved_at",
}
TURN = {"number", "agent", "outcome", "model", "cost_usd", "input_tokens", "output_tokens", "started_at", "ended_at"}
COST = {
    "agent",
    "day",
    "turns",
    "cost_usd",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "seconds",
}


@pytest.fixture
def worked(hive: Hive, ada: AgentName) -> Hive:
    """A hive in which an agent has answered, and has another message."""
    history.ask(hive, ada)
    history.turn(hive, ada, says="done")
    history.ask(hive, ada)
    history.events(hive, ada, (EventKind.TEXT, {"text": "a"}), (EventKind.TOOL, {"name": "Bash", "input": {"command": "ls"}}))
    return hive


def read(*words: str) -> Any:
    return msgspec.json.decode(shell.answer(*words, "--json"))


def test_ps(worked: Hive) -> None:
    (agent,) = read("ps")
    assert agent.keys() >= AGENT
    assert agent["turn"].keys() >= {"state", "since"}
    assert agent["turn"]["state"] in [one.value for one in Activity]
    assert INSTANT.fullmatch(agent["turn"]["since"])
    assert agent["mail"] == {"pending": 1, "delivered": 0, "dead": 0}
    assert agent["last_turn"].keys() >= {"outcome", "seconds", "cost_usd", "ended_at"}
    assert agent["running"] is True
    assert agent["logged_in"] is False
    assert agent["under_way"] is None


def test_what_is_under_way(worked: Hive) -> None:
    with holding.under_way(worked, AgentName("ada"), Verb.RESTART, by="eve"):
        for agent in (read("ps")[0], read("show", "ada")):
            assert agent["under_way"].keys() == {"verb", "what", "since"}
            assert (agent["under_way"]["verb"], agent["under_way"]["what"]) == ("restart", "restarting")
            assert INSTANT.fullmatch(agent["under_way"]["since"])
        assert "restarting… 0s" in shell.answer("ps")
        assert "restarting… 0s" in shell.answer("show", "ada")
    assert read("ps")[0]["under_way"] is None


def test_the_turn_states_are_the_promised_ones() -> None:
    assert [one.value for one in Activity] == ["idle", "thinking", "compacting", "waiting", "queued"]


def test_show(worked: Hive) -> None:
    agent = read("show", "ada")
    assert agent.keys() >= AGENT
    assert agent["config"].keys() >= {"role", "model", "send_to", "network", "tools", "env", "limits", "mounts", "mcp_servers"}
    assert INSTANT.fullmatch(agent["created_at"])


def test_show_names_variables_and_tells_their_values_only_when_asked(hive: Hive) -> None:
    server = McpServer(command="x", env={"KEY": "the secret of a server"})
    config = AgentConfig(env={"TOKEN": "the secret of an agent"}, mcp_servers={"matrix": server})
    spawning.spawn(hive, parse_name("ada"), config=config, by="operator")
    found = read("show", "ada")["config"]
    assert found["env"] == {"TOKEN": None}
    assert found["mcp_servers"]["matrix"]["env"] == {"KEY": None}
    assert found["mcp_servers"]["matrix"]["command"] == "x"
    assert "secret" not in shell.answer("show", "ada") + shell.answer("show", "ada", "--json")
    found = read("show", "ada", "--values")["config"]
    assert found["env"] == config.env
    assert found["mcp_servers"]["matrix"]["env"] == server.env
    assert "TOKEN=the secret of an agent" in shell.answer("show", "ada", "--values")


def test_spawn(hive: Hive) -> None:
    assert read("spawn", "bob", "--no-start")["wanted"] == "stopped"


@pytest.mark.parametrize(
    "words", [["inbox"], ["inbox", "ada"], ["inbox", "ada", "--all"], ["messages"], ["read", "--all"]], ids=" ".join
)
def test_messages(words: list[str], worked: Hive) -> None:
    found = read(*words)
    assert found
    for one in found:
        assert one.keys() >= MESSAGE
        assert INSTANT.fullmatch(one["sent_at"])


def test_questions(worked: Hive) -> None:
    questions.ask(worked, asker=AgentName("ada"), text="a")
    one = questions.ask(worked, asker=AgentName("ada"), text="b", choices=["x"], choices_only=True, ttl_seconds=90, default="x")
    questions.answer(worked, one.number, by="operator", text="x")
    (asked,) = read("questions")
    assert (asked["outcome"], asked["answer"], asked["resolved_by"], asked["deadline"]) == (None, None, None, None)
    _, answered = read("questions", "--all")
    assert answered.keys() == asked.keys() == QUESTION
    assert (answered["choices"], answered["choices_only"], answered["default"]) == (["x"], True, "x")
    assert (answered["outcome"], answered["answer"], answered["resolved_by"]) == ("answered", "x", "operator")
    assert all(INSTANT.fullmatch(answered[key]) for key in ("asked_at", "deadline", "resolved_at"))


def test_the_outcomes_of_questions_are_the_promised_ones() -> None:
    assert [one.value for one in QuestionOutcome] == ["answered", "expired", "cancelled", "defaulted"]


def test_send(worked: Hive) -> None:
    assert read("send", "ada", "x", "--key", "k") == {"number": 4}
    assert read("send", "ada", "x", "--key", "k") == {"number": 4}


def test_turns(worked: Hive) -> None:
    (turn,) = read("turns", "ada")
    assert turn.keys() >= TURN
    assert (turn["outcome"], turn["cost_usd"], turn["input_tokens"], turn["output_tokens"]) == ("ok", 0.0123, 1000, 200)
    assert INSTANT.fullmatch(turn["started_at"])
    assert INSTANT.fullmatch(turn["ended_at"])


def test_cost(worked: Hive) -> None:
    (cost,) = read("cost")
    assert cost.keys() == COST
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", cost["day"])


def test_events_are_an_object_a_line(worked: Hive) -> None:
    lines = [msgspec.json.decode(line) for line in shell.answer("events", "ada", "--json").splitlines()]
    assert [line["kind"] for line in lines] == ["text", "tool"]
    for line in lines:
        assert line.keys() == {"number", "agent", "at", "kind", "data"}
        assert INSTANT.fullmatch(line["at"])


def test_doctor(hive: Hive) -> None:
    found = msgspec.json.decode(shell.run("doctor", "--json").stdout)
    assert {one["check"] for one in found} >= {"machine", "python", "sqlite", "folders", "settings", "container", "claude", "hub"}
    for one in found:
        assert one.keys() == {"check", "level", "message", "hint"}
        assert one["level"] in ("ok", "warning", "error")


def test_vacuum(hive: Hive) -> None:
    assert read("vacuum") == {"messages": 0, "operations": 0, "events": 0, "builds": 0, "logs": 0, "troubles": []}


def test_model(worked: Hive) -> None:
    assert read("model", "ada", "opus") == {"name": "ada", "model": "opus"}


@pytest.mark.parametrize(
    "words",
    [["ps"], ["inbox"], ["messages"], ["questions"], ["pending"], ["operations"], ["log"], ["turns"], ["cost"]],
    ids=" ".join,
)
def test_nothing_is_an_empty_list(words: list[str], hive: Hive) -> None:
    assert read(*words) == []


def test_a_failed_turn_says_why(hive: Hive, ada: AgentName) -> None:
    history.ask(hive, ada)
    for _ in range(leases.ATTEMPTS):
        history.turn(hive, ada, Outcome.FAILED, error="it broke")
    dead = read("messages")[0]
    assert (dead["state"], dead["attempt"], dead["reason"]) == ("dead", 3, "it broke")
    assert roster.get(hive, ada).mail.dead == 1
