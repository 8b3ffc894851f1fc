"""What the agent CLI asked the scripted model."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

Json: TypeAlias = Mapping[str, object]

# How claude 2.1 hands on what people wrote while a turn was running: in a message of the role "system".
_STEERED = re.compile(r"The user sent a new message while you were working:\n(.*?)\n\nThis is how Claude Code", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What came back from a tool that the model had called."""

    tool_use_id: str
    text: str
    is_error: bool


@dataclass(frozen=True, slots=True)
class Request:
    """One question to the model, with what a script wants to look at."""

    number: int
    """Counts from 1 in the order of arrival."""
    arrived: float
    """Seconds of `time.monotonic()`, a clock that all processes of one machine share."""
    headers: Mapping[str, str]
    """Names in lower case."""
    body: Json
    """The whole question as it was sent."""
    model: str
    system: str
    """The text of the system prompt."""
    messages: tuple[Json, ...]
    prompt: str
    """What people said since the model's last answer."""
    context: str
    """What the agent CLI itself said since then: where it runs, reminders, news of background tasks."""
    tool_results: tuple[ToolResult, ...]
    """What came back from tools since then."""
    tools: tuple[str, ...]
    """The names of the tools that the model may call."""

    @property
    def all_results(self) -> tuple[ToolResult, ...]:
        """What came back from tools in the whole conversation."""
        return _results(self.messages)

    @property
    def session(self) -> str:
        """The conversation of the agent CLI that asks."""
        return self.headers.get("x-claude-code-session-id", "")

    def find(self, pattern: str) -> str | None:
        """Give what the pattern's first group, or all of it, matches in the system prompt: a way to tell which agent asks."""
        match = re.search(pattern, self.system)
        return match[1 if match.re.groups else 0] if match else None


def request_from(body: Json, headers: Mapping[str, str], *, number: int, arrived: float) -> Request:
    """Read the body of a `POST /v1/messages`."""
    messages = tuple(_objects(body.get("messages")))
    newest = _after_last_answer(messages)
    prompt, context = _heard(newest)
    return Request(
        number=number,
        arrived=arrived,
        headers=headers,
        body=body,
        model=str(body.get("model", "")),
        system=_text(body.get("system")),
        messages=messages,
        prompt=prompt,
        context=context,
        tool_results=_results(newest),
        tools=tuple(str(tool.get("name", "")) for tool in _objects(body.get("tools"))),
    )


def _results(messages: tuple[Json, ...]) -> tuple[ToolResult, ...]:
    return tuple(
        ToolResult(str(block.get("tool_use_id", "")), _text(block.get("content")), block.get("is_error") is True)
        for message in messages
        for block in _blocks(message.get("content"))
        if block.get("type") == "tool_result"
    )


def _after_last_answer(messages: tuple[Json, ...]) -> tuple[Json, ...]:
    answers = [place for place, message in enumerate(messages) if message.get("role") == "assistant"]
    return messages[answers[-1] + 1 :] if answers else messages


def _heard(messages: tuple[Json, ...]) -> tuple[str, str]:
    """Tell what people said from what the agent CLI added."""
    said: list[str] = []
    added: list[str] = []
    for message in messages:
        for block in _blocks(message.get("content")):
            text = str(block.get("text", ""))
            if message.get("role") == "user" and not text.startswith("<system-reminder>"):
                said.append(text)
            else:
                said.extend(_STEERED.findall(text))
                added.append(text)
    return "\n".join(filter(None, said)), "\n".join(filter(None, added))


def _text(content: object) -> str:
    return "\n".join(str(block["text"]) for block in _blocks(content) if "text" in block)


def _blocks(content: object) -> Iterator[Json]:
    # The API takes a bare string where it takes a list of blocks.
    return iter([{"type": "text", "text": content}]) if isinstance(content, str) else _objects(content)


def _objects(value: object) -> Iterator[Json]:
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())
