"""Whatever the agent CLI asks, it is shown whole and answered exactly, or it is refused."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive.core import tool_request
from hyperhive.core.claude import LINE_MOST, Lines
from hyperhive.core.long_result import RESULT_MOST
from hyperhive.core.tool_request import INPUT_MOST, parse

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def asked(given: object = None, **fields: object) -> dict[str, Any]:
    """A line of the CLI's that asks for Bash."""
    request = {"subtype": "can_use_tool", "tool_name": "Bash", "input": {} if given is None else given, **fields}
    return {"type": "control_request", "request_id": "r-1", "request": request}


def read(line: bytes) -> list[dict[str, Any]]:
    return list(Lines().feed(line + b"\n"))


@given(st.dictionaries(st.text(), ANY))
def test_what_is_allowed_is_what_was_shown(given: dict[str, Any]) -> None:
    found = parse(asked(given))
    assert found is not None
    if found.fault is None:
        answer = tool_request.allow(found.request, found.given)
        assert answer.count(b"\n") == 1
        assert f'"updatedInput":{found.given}}}'.encode() in answer
        assert msgspec.json.decode(answer)["response"]["response"]["updatedInput"] == msgspec.json.decode(found.given)


def test_a_key_that_comes_twice_is_shown_and_allowed_as_one() -> None:
    (line,) = read(
        b'{"type":"control_request","request_id":"r","request":'
        b'{"subtype":"can_use_tool","tool_name":"Bash","input":{"command":"ls","command":"rm"}}}'
    )
    found = parse(line)
    assert found is not None
    assert found.given == '{"command":"rm"}'


@given(ANY, ANY, ANY, ANY)
def test_no_request_is_too_odd(number: object, name: object, tool: object, input: object) -> None:
    request = {"subtype": name, "tool_name": tool, "input": input}
    found = parse({"type": "control_request", "request_id": number, "request": request})
    assert found is None or found.fault is not None


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (asked({"command": "x" * INPUT_MOST}), "too long to be shown to the operator, who reads at most 64 KiB"),
        (asked({"command": "\x01" * (INPUT_MOST // 6)}), "too long to be shown"),
        (asked({"command": "\ud83d"}), "no text"),
        (asked([]), "cannot be shown"),
        (asked(tool_name=""), "cannot be shown"),
        (asked(tool_name="x" * 201), "cannot be shown"),
        (asked(tool_name=1), "cannot be shown"),
        (asked(subtype="hook_callback"), "does not know"),
    ],
)
def test_what_cannot_be_shown_has_a_reason(line: dict[str, Any], fault: str) -> None:
    found = parse(line)
    assert found is not None
    assert fault in (found.fault or "")


def test_an_input_of_64_kib_is_shown() -> None:
    found = parse(asked({"command": "x" * (INPUT_MOST - len('{"command":""}'))}))
    assert found is not None
    assert (found.fault, len(found.given)) == (None, INPUT_MOST)


@pytest.mark.parametrize(
    "line",
    [
        {"type": "control_request"},
        {"type": "control_request", "request_id": 1, "request": {}},
        {"type": "control_request", "request_id": "x" * 101, "request": {"subtype": "can_use_tool"}},
        {"type": "control_request", "request_id": "x", "request": "can_use_tool"},
    ],
)
def test_a_request_without_a_name_cannot_be_answered(line: dict[str, Any]) -> None:
    assert parse(line) is None


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param(b'"' + b"x" * LINE_MOST + b'"', id="too long"),
        pytest.param(b'"' + b"x" * RESULT_MOST + b'"', id="much too long"),
        pytest.param(b'"\\ud83d"', id="half a character"),
        pytest.param(b"1e400", id="a number without end"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, id="too deep"),
    ],
)
def test_a_request_in_a_line_that_cannot_be_read_is_refused_and_not_forgotten(rest: bytes) -> None:
    lines = Lines()
    line = b'{"type":"control_request","request_id":"a-1","request":{"subtype":"can_use_tool","input":{"x":' + rest + b"}}}\n"
    found = [one for at in range(0, len(line), 100_000) for one in lines.feed(line[at : at + 100_000])]
    found += lines.feed(b'{"type":"next"}\n')
    assert lines.rubbish == 1
    first, second = found
    assert second == {"type": "next"}
    request = parse(first)
    assert request is not None
    assert (request.request, request.fault) == ("a-1", "what was asked cannot be shown to the operator")


def test_other_lines_that_cannot_be_read_ask_for_nothing() -> None:
    assert read(b'{"type":"assistant","x":"\\ud83d"}') == []
    assert read(b'{"type":"control_request","request_id":"\\ud83d"}') == []
