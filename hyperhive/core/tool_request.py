"""What the agent CLI asks before it runs a tool, told from its line, with the words that answer it.

Measured with claude 2.1.330, started with `--permission-prompt-tool stdio`:

- It asks for what its rules neither allow nor deny, with the line `{"type":"control_request","request_id":UUID,"request":
  {"subtype":"can_use_tool","tool_name":…,"input":{…},"tool_use_id":…,…}}`. Beside these stand `display_name`, `description`,
  `permission_suggestions`, at times `blocked_path`, `decision_reason`, and `agent_id` where a sub-agent asks.
- It does not ask for what it takes to be only looking (`echo hi`, a file of its working folder), nor for what is denied: a
  tool that is denied as a whole is not offered, a denied pattern (`Bash(rm:*)`) fails at once with a `permission_denied`.
- Tools that only read ask at the same time, and so do sub-agents; the others of one answer wait for those before them.
- A sub-agent in the background asks also after the turn's `result`, and waits for ever for its answer.
- `{"behavior":"allow","updatedInput":{…}}` runs the tool with that input, whatever it asked for; without `updatedInput` it
  runs what it asked for. `{"behavior":"deny","message":…}` is what the model reads, word for word, as the failed result of its
  call, and the turn goes on. An answer of another shape, and `"subtype":"error"`, fail the call too.
- A second answer to a request, and one to an unknown request, are passed over in silence.
- An interrupt is followed by a `{"type":"control_cancel_request","request_id":…}` before its `control_response`; the calls
  fail, and `result` says `aborted_tools`. An answer after that does nothing.
- The option also offers AskUserQuestion, EnterPlanMode and ExitPlanMode, which are for somebody at a screen.
"""

import re
from typing import Any, Final

import msgspec

# The longest input that the operator is shown, in bytes of JSON, and the longest name of a tool.
INPUT_MOST: Final = 64 * 1024
NAME_MOST: Final = 200
_ID_MOST: Final = 100
# The CLI writes its keys in this order, without spaces.
_START: Final = re.compile(rb'\{"type":"control_request","request_id":"([A-Za-z0-9_-]{1,100})"')


class ToolRequest(msgspec.Struct, frozen=True):
    """`request` is what the CLI calls it, `given` the tool's input as JSON text; `fault` is why nobody can be asked."""

    request: str
    tool: str = ""
    given: str = ""
    fault: str | None = None


def parse(line: dict[str, Any]) -> ToolRequest | None:
    """What a `control_request` asks; None when it is nothing that can be answered.

    The input is encoded anew, so that what is shown and what is allowed are one text: keys that came twice are there once.
    """
    number, asked = line.get("request_id"), line.get("request")
    if not isinstance(number, str) or not 0 < len(number) <= _ID_MOST or not isinstance(asked, dict):
        return None
    tool, given = asked.get("tool_name"), asked.get("input")
    if asked.get("subtype") != "can_use_tool":
        return ToolRequest(number, fault="hyperhive does not know this request")
    if not isinstance(tool, str) or not 0 < len(tool) <= NAME_MOST or not isinstance(given, dict):
        return ToolRequest(number, fault="what was asked cannot be shown to the operator")
    try:
        text = msgspec.json.encode(given)
    except (UnicodeEncodeError, RecursionError):
        return ToolRequest(number, fault="its input is no text that can be shown to the operator")
    if len(text) > INPUT_MOST:
        return ToolRequest(
            number, fault=f"its input is too long to be shown to the operator, who reads at most {INPUT_MOST // 1024} KiB"
        )
    return ToolRequest(number, tool, text.decode())


def unreadable(start: bytes) -> dict[str, Any] | None:
    """The `control_request` that a line would have been which is too long, or no JSON: else the CLI would wait for ever."""
    found = _START.match(start)
    if found is None:
        return None
    return {"type": "control_request", "request_id": found[1].decode(), "request": {"subtype": "can_use_tool"}}


def allow(request: str, given: str) -> bytes:
    """Let the tool run with this input, as JSON text."""
    return _answer(request, {"behavior": "allow", "updatedInput": msgspec.Raw(given.encode())})


def deny(request: str, message: str) -> bytes:
    """Refuse; the model reads the message."""
    return _answer(request, {"behavior": "deny", "message": message})


def _answer(request: str, response: dict[str, Any]) -> bytes:
    return (
        msgspec.json.encode(
            {"type": "control_response", "response": {"subtype": "success", "request_id": request, "response": response}}
        )
        + b"\n"
    )
