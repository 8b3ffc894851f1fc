"""What is read of a `result` that is longer than any other line may be, for it repeats the inputs that were refused.

Measured with claude 2.1.330: `permission_denials` holds the whole input of each call that was not allowed in the turn. Left
out, such a line would leave the turn without an end. Only what decides and what counts is read: a line of this size that was
read whole could take a hundred times its own size in memory.
"""

from typing import Any, Final

import msgspec

# The longest one, in bytes.
RESULT_MOST: Final = 4 * 1024 * 1024


class _Use(msgspec.Struct, omit_defaults=True):
    costUSD: float = 0.0  # the CLI's own name
    inputTokens: float = 0.0  # the CLI's own name
    outputTokens: float = 0.0  # the CLI's own name
    cacheReadInputTokens: float = 0.0  # the CLI's own name
    cacheCreationInputTokens: float = 0.0  # the CLI's own name


class _Origin(msgspec.Struct):
    kind: str = ""


class _Result(msgspec.Struct, tag_field="type", tag="result", omit_defaults=True):
    is_error: bool = False
    subtype: str | None = None
    result: str | None = None
    terminal_reason: str | None = None
    api_error: str | None = None
    api_error_status: int | None = None
    origin: _Origin | None = None
    user_message_uuids: list[str] | None = None
    model_usage_since_last_result: dict[str, _Use] = {}


def read(line: bytes) -> dict[str, Any] | None:
    """The result in a line, or None when it is none or too long even for one."""
    if len(line) > RESULT_MOST:
        return None
    try:
        found: dict[str, Any] = msgspec.to_builtins(msgspec.json.decode(line, type=_Result))
    except (msgspec.DecodeError, RecursionError):
        return None
    return found
