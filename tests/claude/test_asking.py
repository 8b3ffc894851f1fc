"""The real agent CLI asks before it runs a tool, in the way that hyperhive's harness relies on."""

from pathlib import Path

import pytest

from hyperhive.core import tool_request
from hyperhive.demo.model_api import Brain, ModelApi
from hyperhive.demo.reply import Message, Reply, say, use
from hyperhive.demo.request import Request
from tests.claude.bare import Claude, Event

pytestmark = pytest.mark.claude

MAKE = use("Bash", command="touch made && echo yes", description="make it")


def once(call: Message) -> Brain:
    def brain(request: Request) -> Reply:
        return say(" | ".join(result.text for result in request.tool_results)) if request.tool_results else call

    return brain


def asks(event: Event) -> bool:
    return bool(event["type"] == "control_request")


def test_a_request_is_read_and_the_answer_is_what_runs(home: Path) -> None:
    with ModelApi(once(MAKE)) as api, Claude(home, api.url) as claude:
        claude.prompt("go")
        event = claude.until(asks)
        assert set(event["request"]) >= {"subtype", "tool_name", "input", "tool_use_id", "permission_suggestions"}
        asked = tool_request.parse(event)
        assert asked is not None
        assert (asked.tool, asked.given) == ("Bash", '{"command":"touch made && echo yes","description":"make it"}')
        claude.say(tool_request.allow(asked.request, '{"command":"echo another"}'))
        # A second answer does nothing.
        claude.say(tool_request.deny(asked.request, "no"))
        result = claude.result()
        assert (result["result"], result["permission_denials"]) == ("another", [])
        assert not (home / "work" / "made").exists()


def test_a_denial_is_what_the_model_reads_and_the_result_repeats_the_input(home: Path) -> None:
    with ModelApi(once(MAKE)) as api, Claude(home, api.url) as claude:
        claude.prompt("go")
        claude.say(tool_request.deny(claude.until(asks)["request_id"], 'not\n"now"'))
        result = claude.result()
        assert (result["result"], result["is_error"]) == ('not\n"now"', False)
        assert [denied["tool_input"]["command"] for denied in result["permission_denials"]] == ["touch made && echo yes"]


def test_what_only_looks_or_is_denied_is_not_asked_for(home: Path) -> None:
    calls = use("Bash", command="echo looked") + use("Bash", command="rm made") + use("Write", file_path="made", content="x")
    with ModelApi(once(calls)) as api, Claude(home, api.url, "--disallowedTools", "Bash(rm:*),Write") as claude:
        claude.prompt("go")
        said = claude.result()["result"]
        for words in ("looked", "has been denied", "No such tool available: Write"):
            assert words in said
        assert not any(map(asks, claude.events))


def test_tools_that_only_read_ask_at_the_same_time(home: Path) -> None:
    calls = use("Read", file_path="/etc/passwd") + use("Read", file_path="/etc/group")
    with ModelApi(once(calls)) as api, Claude(home, api.url) as claude:
        claude.prompt("go")
        first, second = claude.until(asks), claude.until(asks)
        for event in (second, first):
            claude.say(tool_request.deny(event["request_id"], "no"))
        assert claude.result()["result"] == "no | no"


def test_an_interrupt_takes_a_request_back(home: Path) -> None:
    with ModelApi(once(MAKE)) as api, Claude(home, api.url) as claude:
        claude.prompt("go")
        asked = claude.until(asks)["request_id"]
        claude.control("interrupt")
        (taken_back,) = [event for event in claude.events if event["type"] == "control_cancel_request"]
        assert taken_back["request_id"] == asked
        assert claude.result()["terminal_reason"] == "aborted_tools"
        claude.say(tool_request.allow(asked, '{"command":"touch made"}'))
        claude.prompt("again")
        assert claude.result()["terminal_reason"] == "completed"
        assert not (home / "work" / "made").exists()
