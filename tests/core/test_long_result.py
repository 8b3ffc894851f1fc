"""A result that repeats long inputs still ends its turn."""

from typing import Any

import msgspec
import pytest

from hyperhive.core import claude
from hyperhive.core.claude import LINE_MOST, Lines
from hyperhive.core.long_result import RESULT_MOST

RESULT: dict[str, Any] = {
    "type": "result",
    "subtype": "success",
    "is_error": False,
    "result": "done",
    "terminal_reason": "completed",
    "api_error_status": None,
    "user_message_uuids": ["a", "b"],
    "origin": {"kind": "task-notification", "more": [1]},
    "model_usage_since_last_result": {
        "opus": {"costUSD": 0.25, "inputTokens": 3, "outputTokens": 4, "contextWindow": 200_000, "more": "x"}
    },
}


def read(line: dict[str, Any]) -> tuple[list[dict[str, Any]], int]:
    """What is read of a line, and how many were left out."""
    lines = Lines()
    return list(lines.feed(msgspec.json.encode(line) + b"\n")), lines.rubbish


def padded(line: dict[str, Any], size: int) -> dict[str, Any]:
    return {"permission_denials": [{"tool_input": "x" * size}], **line}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"is_error": True, "terminal_reason": "api_error", "api_error": "usage_limit_reached", "api_error_status": 429},
        {"is_error": True, "terminal_reason": "max_turns", "result": None},
    ],
)
def test_a_long_result_says_what_a_short_one_does(change: dict[str, Any]) -> None:
    ((long,), rubbish) = read(padded(RESULT | change, LINE_MOST))
    ((short,), _) = read(RESULT | change)
    assert rubbish == 0
    assert claude.verdict_of(long, api_line=None, limit=None) == claude.verdict_of(short, api_line=None, limit=None)
    assert claude.usage_of(long) == claude.usage_of(short)
    assert long["user_message_uuids"] == short["user_message_uuids"]
    assert ("origin" in long) == ("origin" in short)


def test_a_long_result_without_an_origin_has_none() -> None:
    ((found,), _) = read(padded({"type": "result"}, LINE_MOST))
    assert "origin" not in found
    assert claude.verdict_of(found, api_line=None, limit=None) == claude.verdict_of({}, api_line=None, limit=None)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(padded({"type": "assistant"}, LINE_MOST), id="no result"),
        pytest.param(padded(RESULT, RESULT_MOST), id="too long even for a result"),
        pytest.param(padded(RESULT | {"is_error": 3}, LINE_MOST), id="no result's shape"),
    ],
)
def test_other_long_lines_are_left_out(line: dict[str, Any]) -> None:
    assert read(line) == ([], 1)
