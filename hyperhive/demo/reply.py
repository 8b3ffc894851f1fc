"""What the scripted model answers: a message, an error, or silence."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self, TypeAlias


@dataclass(frozen=True, slots=True)
class Text:
    """A block of plain words."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A block that asks the agent CLI to run one tool."""

    tool: str
    input: Mapping[str, object]


Block: TypeAlias = Text | ToolUse


@dataclass(frozen=True, slots=True)
class Message:
    """A good answer; two of them joined by `+` are one answer with the blocks of both."""

    blocks: tuple[Block, ...]
    seconds: float = 0.0
    """How long the answer takes to be written, its text in small pieces; 0 sends it at once."""

    def __add__(self, other: Self) -> Self:
        return replace(self, blocks=self.blocks + other.blocks, seconds=self.seconds + other.seconds)

    @property
    def stop_reason(self) -> str:
        """The API's own word for why the model stopped."""
        return "tool_use" if any(isinstance(block, ToolUse) for block in self.blocks) else "end_turn"


@dataclass(frozen=True, slots=True)
class Failure:
    """An HTTP error in the shape of the Messages API."""

    status: int
    kind: str
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stall:
    """An answer that begins, says `text`, and then nothing more until one side hangs up."""

    text: str = ""


Reply: TypeAlias = Message | Failure | Stall


def say(text: str) -> Message:
    """Answer with words."""
    return Message((Text(text),))


def use(tool: str, /, **input: object) -> Message:
    """Call one tool; `say("first") + use("Bash", command="ls") + use("Read", file_path="x")` calls two after a word."""
    return Message((ToolUse(tool, input),))


def trickle(text: str, seconds: float) -> Message:
    """Answer with words that take so many seconds to arrive."""
    return Message((Text(text),), seconds)


def stall(text: str = "") -> Stall:
    """Begin to answer and never end: only a hang-up by the client, or the end of the server, ends it."""
    return Stall(text)


def fail(status: int, kind: str, message: str, *, headers: Mapping[str, str] | None = None) -> Failure:
    """Answer with an HTTP error, `kind` being the API's word such as `overloaded_error`."""
    return Failure(status, kind, message, dict(headers or {}))


def unauthorised(message: str = "OAuth token has expired") -> Failure:
    """Refuse the credentials (401)."""
    return fail(401, "authentication_error", message)


def too_many_requests(retry_after: int = 1) -> Failure:
    """Ask to slow down for so many seconds (429)."""
    return fail(429, "rate_limit_error", "slow down", headers={"retry-after": str(retry_after)})


def usage_limit(resets_at: int) -> Failure:
    """Refuse because a subscription's five-hour window is used up until `resets_at`, in Unix seconds (429)."""
    # The names are those that api.anthropic.com sends to subscriptions; the agent CLI reads them only with an OAuth token.
    headers = {
        "anthropic-ratelimit-unified-status": "rejected",
        "anthropic-ratelimit-unified-reset": str(resets_at),
        "anthropic-ratelimit-unified-representative-claim": "five_hour",
        "anthropic-ratelimit-unified-overage-status": "rejected",
        "anthropic-ratelimit-unified-overage-disabled-reason": "org_level_disabled",
        "anthropic-ratelimit-unified-5h-status": "rejected",
        "anthropic-ratelimit-unified-5h-reset": str(resets_at),
        "anthropic-ratelimit-unified-5h-utilization": "1.0",
        "anthropic-ratelimit-unified-7d-status": "allowed",
        "anthropic-ratelimit-unified-7d-reset": str(resets_at + 6 * 24 * 3600),
        "anthropic-ratelimit-unified-7d-utilization": "0.5",
    }
    return fail(429, "rate_limit_error", "This request would exceed your account's rate limit.", headers=headers)


def overloaded() -> Failure:
    """Say that the API has too much to do (529)."""
    return fail(529, "overloaded_error", "Overloaded")


def broken() -> Failure:
    """Say that the API itself failed (500)."""
    return fail(500, "api_error", "Internal server error")
