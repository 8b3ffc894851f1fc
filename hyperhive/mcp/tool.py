"""How a call into the core becomes a tool: an error is a sentence to the model, never a traceback."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult, TextContent, ToolAnnotations

from hyperhive.core.errors import HyperhiveError
from hyperhive.mcp.seat import Seat

P = ParamSpec("P")
Call = Context[Seat, Any]
"""One call of a tool. Its first parameter, which the caller does not see."""


def seat_of(call: Call) -> Seat:
    """Who calls."""
    return call.request_context.lifespan_context


def tool(*, changes: bool) -> Callable[[Callable[Concatenate[Call, P], Awaitable[str]]], Tool]:
    """Make a tool of a function; without `changes` it only looks, and a model may call several at once.

    Tools are coroutines though they do not wait: the SDK would run a plain function in a thread, which the database
    does not follow.
    """

    def make(function: Callable[Concatenate[Call, P], Awaitable[str]]) -> Tool:
        @wraps(function)
        async def told(call: Call, *args: P.args, **kwargs: P.kwargs) -> CallToolResult:
            try:
                return _answer(await function(call, *args, **kwargs), is_error=False)
            except HyperhiveError as error:
                return _answer(error.whole, is_error=True)
            except Exception:
                seat_of(call).log.exception(f"{seat_of(call).name}: a bug in the tool {function.__name__}")
                return _answer("internal error: this is a bug in hyperhive, and the operator's log tells more", is_error=True)

        made = Tool.from_function(
            told,
            structured_output=False,
            annotations=ToolAnnotations(read_only_hint=not changes, destructive_hint=False, open_world_hint=False),
        )
        made.parameters = _short(made.parameters)
        return made

    return make


def _short(schema: Any) -> Any:
    """A schema without what every model would read, and pay for, in vain: titles, and null for what may be left out."""
    match schema:
        case {"anyOf": [kind, {"type": "null"}], "default": None, **rest}:
            return _short({**kind, **rest})
        case dict():
            return {key: _short(value) for key, value in schema.items() if key != "title" or not isinstance(value, str)}
        case _:
            return schema


def _answer(text: str, *, is_error: bool) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=is_error)
