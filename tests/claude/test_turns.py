"""The real agent CLI takes turns with the scripted model, and says what hyperhive's harness relies on."""

import os
from pathlib import Path

import pytest

from hyperhive.demo.model_api import ModelApi
from hyperhive.demo.reply import Reply, fail, say, stall, use
from hyperhive.demo.request import Request
from tests.claude.bare import TOKEN, Claude

pytestmark = pytest.mark.claude


def test_a_turn_says_the_words_of_the_script_and_has_a_price(home: Path) -> None:
    with ModelApi(lambda request: say(f"you said {request.prompt}")) as api, Claude(home, api.url) as claude:
        prompt = claude.prompt("good morning")
        result = claude.result()
        assert result["result"] == "you said good morning"
        assert (result["is_error"], result["terminal_reason"]) == (False, "completed")
        assert result["user_message_uuids"] == [prompt]
        (spent,) = result["model_usage_since_last_result"].values()
        assert spent["inputTokens"] == result["usage"]["input_tokens"] > 1000
        assert spent["outputTokens"] == result["usage"]["output_tokens"] > 1
        assert spent["costUSD"] == result["total_cost_usd"] > 0
        assert claude.end() == 0
        assert len(api.requests) == 1


def test_a_tool_call_runs_and_its_result_reaches_the_script(home: Path) -> None:
    def brain(request: Request) -> Reply:
        if not request.tool_results:
            return say("I look.") + use("Bash", command="echo found-it") + use("Bash", command="cat /nowhere")
        # They may run at the same time, and come in the order in which they end.
        good, bad = sorted(request.tool_results, key=lambda result: result.is_error)
        return say(f"{good.text} {good.is_error}, then {bad.is_error}")

    with ModelApi(brain) as api, Claude(home, api.url, "--allowedTools", "Bash") as claude:
        claude.prompt("look")
        assert claude.result()["result"] == "found-it False, then True"
        answers = [event["message"]["content"] for event in claude.events if event["type"] == "assistant"]
        # One line for each block.
        assert [block["type"] for (block,) in answers] == ["text", "tool_use", "tool_use", "text"]
        assert "Bash" in api.requests[0].tools


def test_two_prompts_are_two_turns_of_one_conversation(home: Path) -> None:
    with ModelApi(lambda request: say(request.prompt)) as api, Claude(home, api.url) as claude:
        for words in ("one", "two"):
            prompt = claude.prompt(words)
            assert claude.result()["result"] == words
            claude.reaches(prompt, "completed")
            assert _states(claude, prompt) == ["queued", "started", "result", "completed"]
        first, second = api.requests
        assert first.session == second.session == claude.events[-1]["session_id"]
        assert [message["role"] for message in second.messages] == [
            *(message["role"] for message in first.messages),
            "assistant",
            "user",
        ]


def test_a_prompt_that_comes_while_a_tool_runs_joins_the_turn(home: Path) -> None:
    gate = _gate(home)

    def brain(request: Request) -> Reply:
        return say(request.prompt) if request.tool_results else use("Bash", command=f"cat {gate}")

    with ModelApi(brain) as api, Claude(home, api.url, "--allowedTools", "Bash") as claude:
        first = claude.prompt("wait")
        claude.until(lambda event: event["type"] == "assistant")
        second = claude.prompt("be quick")
        claude.reaches(second, "queued")
        _open(gate)
        result = claude.result()
        assert result["user_message_uuids"] == [first, second]
        # The CLI may put words of its own around it, when it comes with a tool's result.
        assert "be quick" in result["result"]
        assert _states(claude, second) == ["queued", "started", "completed", "result"]


def test_a_background_task_that_ends_starts_a_turn_that_belongs_to_no_prompt(home: Path) -> None:
    gate = _gate(home)

    def brain(request: Request) -> Reply:
        if "<task-notification>" in request.context:
            return say("the task ended")
        return say("it runs") if request.tool_results else use("Bash", command=f"cat {gate}", run_in_background=True)

    with ModelApi(brain) as api, Claude(home, api.url, "--allowedTools", "Bash") as claude:
        prompt = claude.prompt("start it")
        result = claude.result()
        assert (result["result"], result["user_message_uuids"]) == ("it runs", [prompt])
        _open(gate)
        result = claude.result()
        assert (result["result"], result["origin"]["kind"]) == ("the task ended", "task-notification")
        assert "user_message_uuids" not in result


def test_an_interrupt_ends_a_stalled_answer_and_the_next_prompt_is_answered(home: Path) -> None:
    def brain(request: Request) -> Reply:
        return stall("I was about to") if request.number == 1 else say("here I am")

    with ModelApi(brain) as api, Claude(home, api.url) as claude:
        prompt = claude.prompt("hello?")
        api.wait_for_requests(1, 30)
        assert claude.control("interrupt")["response"] == {"still_queued": []}
        result = claude.result()
        assert (result["is_error"], result["terminal_reason"]) == (True, "aborted_streaming")
        claude.reaches(prompt, "cancelled")
        claude.prompt("again")
        assert claude.result()["result"] == "here I am"


def test_compact_is_a_prompt_that_asks_the_model_once(home: Path) -> None:
    with ModelApi(lambda request: say("<summary>We greeted each other.</summary>")) as api, Claude(home, api.url) as claude:
        claude.prompt("hello")
        claude.result()
        prompt = claude.prompt("/compact")
        result = claude.result()
        assert (result["is_error"], result["local_command"], result["user_message_uuids"]) == (False, "compact", [prompt])
        assert any(spent["costUSD"] > 0 for spent in result["model_usage_since_last_result"].values())
        claude.reaches(prompt, "completed")
        assert "compact_boundary" in [event.get("subtype") for event in claude.events]
        claude.prompt("and now?")
        claude.result()
        assert len(api.requests) == 3
        assert "We greeted each other." in api.requests[2].prompt


def test_the_model_is_set_before_a_message_and_a_name_that_the_api_does_not_know_is_refused(home: Path) -> None:
    def brain(request: Request) -> Reply:
        return fail(404, "not_found_error", "no such model") if request.model == "claude-nowhere-1" else say(request.model)

    with ModelApi(brain) as api, Claude(home, api.url) as claude:
        assert claude.control("set_model", model="haiku")["subtype"] == "success"
        claude.prompt("who are you?")
        assert claude.result()["result"].startswith("claude-haiku-")
        refused = claude.control("set_model", model="claude-nowhere-1")
        assert (refused["subtype"], refused["error_code"]) == ("error", "not_found")
        claude.prompt("and now?")
        assert claude.result()["result"].startswith("claude-haiku-")


def test_mcp_status_is_answered_before_any_message_without_the_model(home: Path) -> None:
    servers = '{"mcpServers": {"gone": {"command": "/bin/false"}}}'
    with ModelApi(lambda request: say("hi")) as api, Claude(home, api.url, "--mcp-config", servers) as claude:
        statuses = {"pending"}
        while "pending" in statuses:  # it answers also while it still connects
            statuses = {server["status"] for server in claude.control("mcp_status")["response"]["mcpServers"]}
        assert statuses == {"failed"}
        assert claude.end() == 0
        assert {event["type"] for event in claude.events} == {"control_response"}
        assert api.requests == ()


def test_a_script_can_tell_who_asks(home: Path) -> None:
    flags = ("--append-system-prompt", "You are the agent called ada.")
    with ModelApi(lambda request: say(request.find(r"agent called (\w+)") or "?")) as api:
        with Claude(home, api.url, *flags, login=TOKEN) as claude:
            claude.prompt("who are you?")
            assert claude.result()["result"] == "ada"
        assert api.requests[0].headers["authorization"] == f"Bearer {TOKEN['CLAUDE_CODE_OAUTH_TOKEN']}"


def _states(claude: Claude, prompt: str) -> list[str]:
    """What became of a prompt, in order, with the result that decided it among it."""
    return [
        event.get("state") or "result"
        for event in claude.events
        if event.get("command_uuid") == prompt or (event["type"] == "result" and prompt in event["user_message_uuids"])
    ]


def _gate(home: Path) -> Path:
    """A file whose reader waits until it is opened here."""
    gate = home / "gate"
    os.mkfifo(gate)
    return gate


def _open(gate: Path) -> None:
    gate.write_text("go")
