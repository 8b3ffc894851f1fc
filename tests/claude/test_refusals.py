"""What the real agent CLI says when the model's API refuses: a harness tells the cases apart by it."""

import socket
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from hyperhive.demo.model_api import ModelApi
from hyperhive.demo.reply import Failure, broken, overloaded, say, too_many_requests, unauthorised, usage_limit
from tests.claude.bare import KEY, NO_LOGIN, TOKEN, Claude, Event

pytestmark = pytest.mark.claude


@pytest.mark.parametrize(
    ("failure", "login", "status", "kind", "error"),
    [
        pytest.param(unauthorised(), TOKEN, 401, "authentication_error", "authentication_failed", id="401-token"),
        pytest.param(unauthorised(), KEY, 401, "authentication_error", "authentication_failed", id="401-key"),
        pytest.param(too_many_requests(), TOKEN, 429, "rate_limit_error", "rate_limit", id="429"),
        pytest.param(overloaded(), KEY, 529, "overloaded_error", "server_error", id="529"),
        pytest.param(broken(), KEY, 500, "api_error", "server_error", id="500"),
    ],
)
def test_an_error_of_the_api_ends_the_turn_not_the_process(
    home: Path, failure: Failure, login: Mapping[str, str], status: int, kind: str, error: str
) -> None:
    with (
        ModelApi(lambda request: say("back") if "again" in request.prompt else failure) as api,
        Claude(home, api.url, login=login) as claude,
    ):
        prompt = claude.prompt("hello")
        result = claude.result()
        assert (result["is_error"], result["subtype"], result["terminal_reason"]) == (True, "success", "api_error")
        assert (result["api_error_status"], result["api_error_type"]) == (status, kind)
        assert "api_error" not in result
        assert _said(claude)["error"] == error
        claude.reaches(prompt, "cancelled")
        claude.prompt("again")
        assert claude.result()["result"] == "back"


def test_a_used_up_subscription_says_until_when(home: Path) -> None:
    resets_at = int(time.time()) + 3600
    with ModelApi(lambda request: usage_limit(resets_at)) as api, Claude(home, api.url, login=TOKEN) as claude:
        claude.prompt("hello")
        result = claude.result()
        assert (result["api_error_status"], result["api_error"]) == (429, "usage_limit_reached")
        (limit,) = [event["rate_limit_info"] for event in claude.events if event["type"] == "rate_limit_event"]
        assert (limit["status"], limit["resetsAt"]) == ("rejected", resets_at)
        assert len(api.requests) == 1


def test_without_a_login_the_model_is_not_asked(home: Path) -> None:
    with ModelApi(lambda request: say("hi")) as api, Claude(home, api.url, login=NO_LOGIN) as claude:
        claude.prompt("hello")
        result = claude.result()
        assert (result["is_error"], result["api_error_status"]) == (True, None)
        assert _said(claude)["error"] == "authentication_failed"
        assert api.requests == ()


def test_an_api_that_nobody_serves_is_a_connection_that_failed(home: Path) -> None:
    # Bound and not listening: nobody else can take the port, and connecting is refused.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with Claude(home, f"http://127.0.0.1:{taken.getsockname()[1]}") as claude:
            claude.prompt("hello")
            result = claude.result()
            assert (result["is_error"], result["api_error_status"], result["api_error"]) == (True, None, "connection_failed")


def _said(claude: Claude) -> Event:
    """The one line in the model's name, which the agent CLI wrote itself."""
    (line,) = [event for event in claude.events if event["type"] == "assistant"]
    assert line["message"]["model"] == "<synthetic>"
    return line
