"""The scripted model speaks the Messages API, keeps what it was asked, and ends."""

import http.client
import json
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import pytest

from hyperhive.demo.model_api import ModelApi
from hyperhive.demo.reply import Message, Reply, Stall, say, stall, too_many_requests, trickle, use
from hyperhive.demo.request import Request, ToolResult, request_from

MINUTE = 60.0


def test_an_answer_without_a_stream_is_one_object() -> None:
    with ModelApi(lambda request: say("first") + use("Bash", command="ls", tool="x")) as api:
        status, text = _post(api, {"model": "claude-x", "messages": [{"role": "user", "content": "hi"}]})
    message = json.loads(text)
    assert status == 200
    assert message["stop_reason"] == "tool_use"
    assert message["content"][0] == {"type": "text", "text": "first"}
    assert (message["content"][1]["name"], message["content"][1]["input"]) == ("Bash", {"command": "ls", "tool": "x"})
    assert message["usage"]["input_tokens"] > 0
    assert message["usage"]["output_tokens"] > 0


@pytest.mark.parametrize("reply", [say("nice words, as many as it takes"), trickle("nice words, as many as it takes", 0.01)])
def test_a_streamed_answer_is_the_same_in_pieces(reply: Message) -> None:
    with ModelApi(lambda request: reply + use("Read", file_path="a")) as api:
        _, text = _post(api, {"stream": True})
    events = _events(text)
    kinds = [event["type"] for event in events]
    assert (kinds[0], kinds[-2:]) == ("message_start", ["message_delta", "message_stop"])
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    assert "".join(delta.get("text", "") for delta in deltas) == "nice words, as many as it takes"
    assert json.loads("".join(delta.get("partial_json", "") for delta in deltas)) == {"file_path": "a"}
    assert (len(deltas) > 2) == (reply.seconds > 0)


def test_an_error_carries_its_headers() -> None:
    with ModelApi(lambda request: too_many_requests(7)) as api:
        connection = _connection(api)
        connection.request("POST", "/v1/messages?beta=true", body="{}")
        response = connection.getresponse()
        assert (response.status, response.headers["retry-after"]) == (429, "7")
        assert json.loads(response.read())["error"]["type"] == "rate_limit_error"
        connection.close()


def test_tokens_are_counted_without_asking_the_script() -> None:
    with ModelApi(_never) as api:
        status, text = _post(api, {"messages": []}, path="/v1/messages/count_tokens?beta=true")
        assert (status, api.requests) == (200, ())
    assert json.loads(text)["input_tokens"] > 0


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_there_is_nothing_else(method: str) -> None:
    with ModelApi(_never) as api:
        connection = _connection(api)
        connection.request(method, "/api/oauth/profile", body="{}" if method == "POST" else None)
        assert connection.getresponse().status == 404
        connection.close()


def test_requests_are_kept_in_the_order_of_their_arrival_and_counted() -> None:
    before = time.monotonic()
    with ModelApi(lambda request: say(str(request.number))) as api:
        threads = [threading.Thread(target=_post, args=(api, {"model": f"m{number}"})) for number in range(20)]
        for thread in threads:
            thread.start()
        requests = api.wait_for_requests(20, MINUTE)
        for thread in threads:
            thread.join()
    assert [request.number for request in requests] == list(range(1, 21))
    assert {request.model for request in requests} == {f"m{number}" for number in range(20)}
    assert all(before < request.arrived < time.monotonic() for request in requests)


def test_waiting_in_vain_says_how_many_came() -> None:
    with ModelApi(lambda request: say("hi")) as api:
        _post(api, {})
        with pytest.raises(TimeoutError, match="1 of 2 requests"):
            api.wait_for_requests(2, 0.01)


def test_a_script_that_raises_is_told_to_the_client_and_at_the_end() -> None:
    def brain(request: Request) -> Reply:
        raise KeyError("forgotten")

    def ask() -> None:
        with ModelApi(brain) as api:
            status, text = _post(api, {})
            assert status == 400
            assert "forgotten" in text

    with pytest.raises(RuntimeError, match="the script of the model failed") as caught:
        ask()
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("reply", [stall(), stall("well"), trickle("word " * 1000, 1000 * MINUTE)])
def test_the_end_of_the_server_ends_an_answer_that_still_runs(reply: Stall | Message) -> None:
    threads = set(threading.enumerate())
    with ModelApi(lambda request: reply) as api:
        connection = _connection(api)
        connection.request("POST", "/v1/messages", body='{"stream": true}')
        response = connection.getresponse()
        response.fp.readline()
        inside = set(threading.enumerate()) - threads
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        response.read()
    connection.close()
    for thread in inside:
        thread.join(MINUTE)
        assert not thread.is_alive()


def test_a_client_that_hangs_up_ends_its_stalled_answer() -> None:
    with ModelApi(lambda request: stall()) as api:
        threads = set(threading.enumerate())
        connection = _connection(api)
        connection.request("POST", "/v1/messages", body='{"stream": true}')
        response = connection.getresponse()
        (answering,) = set(threading.enumerate()) - threads
        response.close()
        connection.close()
        answering.join(MINUTE)
        assert not answering.is_alive()


def test_a_request_tells_people_from_the_program_and_from_tools() -> None:
    explained = "This is how Claude Code surfaces messages the user sends mid-turn."
    request = _request(
        {"role": "user", "content": "long ago"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "Bash", "input": {}}]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "plain"},
                {"type": "tool_result", "tool_use_id": "t2", "content": [{"type": "text", "text": "blocks"}], "is_error": True},
                {"type": "text", "text": "<system-reminder>be kind</system-reminder>"},
                {"type": "text", "text": "hello"},
            ],
        },
        {"role": "system", "content": f"The user sent a new message while you were working:\nand\nmore\n\n{explained}"},
    )
    assert request.prompt == "hello\nand\nmore"
    assert "be kind" in request.context
    assert request.tool_results == (ToolResult("t1", "plain", False), ToolResult("t2", "blocks", True))


def test_a_request_finds_a_mark_in_the_system_prompt() -> None:
    request = _request(system=[{"type": "text", "text": "billing"}, {"type": "text", "text": "You are ada."}])
    assert request.find(r"You are (\w+)") == "ada"
    assert request.find("billing|nothing") == "billing"
    assert request.find("bob") is None


def test_a_request_of_any_shape_is_read() -> None:
    request = _request(5, {"role": "user", "content": 7}, system=None, tools=[{"name": "Bash"}, "what"])
    assert (request.prompt, request.system, request.tools) == ("", "", ("Bash",))


def _request(*messages: object, **body: object) -> Request:
    return request_from({"messages": list(messages), **body}, {}, number=1, arrived=0.0)


def _never(request: Request) -> Reply:
    raise AssertionError("the script was asked")


def _connection(api: ModelApi) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(api.url).netloc, timeout=MINUTE)


def _post(api: ModelApi, body: object, path: str = "/v1/messages?beta=true") -> tuple[int, str]:
    connection = _connection(api)
    connection.request("POST", path, body=json.dumps(body))
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text


def _events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]
