"""What an agent of the demo has been told and has tried, as the question to its model shows it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from hyperhive.demo.request import Json, Request, ToolResult

# How hyperhive puts mail before a model: a line about it, then the sender's words, each line quoted.
_HEADER: Final = re.compile(r"(message|notice) (\d+) from ([a-z0-9-]+), [0-9: -]+ UTC.*:")
_QUOTE: Final = "|"
# How the agent CLI's Read shows a file: its lines, each behind its number.
_LINE: Final = re.compile(r"\s*\d+(?:→|\t)(.*)")
# How claude 2.1 names the tools of further MCP servers: their descriptions come with its tool ToolSearch.
_HIDDEN: Final = "deferred tools are now available via ToolSearch"
_TOOL: Final = re.compile(r"^mcp__[A-Za-z0-9_-]+$", re.MULTILINE)
_WHO: Final = r"You are the agent `([a-z0-9-]+)`"


@dataclass(frozen=True, slots=True)
class Letter:
    """One message of the agent's mail, or a notice of hyperhive's own."""

    kind: str
    number: int
    sender: str
    text: str

    @property
    def is_notice(self) -> bool:
        """Nobody wrote it: hyperhive tells what has happened."""
        return self.kind == "notice"


@dataclass(frozen=True, slots=True)
class Call:
    """A tool that the model called; without a result it still runs."""

    tool: str
    input: Json
    result: ToolResult | None


@dataclass(frozen=True, slots=True)
class Conversation:
    """All mail so far, all calls so far, those since the newest mail, and the tools that must be searched for first."""

    me: str | None
    letters: tuple[Letter, ...]
    past: tuple[Call, ...]
    calls: tuple[Call, ...]
    hidden: frozenset[str]

    @property
    def failed(self) -> Call | None:
        """The first call that went wrong."""
        return next((call for call in self.calls if call.result is not None and call.result.is_error), None)

    def newest(self, sender: str | None = None) -> Letter | None:
        """The newest letter, of that sender if one is named."""
        return next((letter for letter in reversed(self.letters) if sender in (None, letter.sender)), None)

    def result(self, tool: str, **input: object) -> str | None:
        """What the newest call of that tool gave back, of one with these arguments if some are named."""
        for call in reversed(self.calls):
            if call.tool == tool and call.result is not None and input.items() <= call.input.items():
                return call.result.text
        return None

    def ever(self, tool: str) -> Call | None:
        """The newest call of that tool, however long ago."""
        return next((call for call in reversed(self.past) if call.tool == tool), None)


def read(request: Request) -> Conversation:
    """Read the conversation out of a question."""
    letters: list[Letter] = []
    past: list[Call] = []
    calls: list[Call] = []
    hidden: set[str] = set()
    results = {result.tool_use_id: result for result in request.all_results}
    for message in request.messages:
        for block in _blocks(message):
            match message.get("role"), block.get("type"):
                case "system", "text" if _HIDDEN in str(block.get("text", "")):
                    hidden.update(_TOOL.findall(str(block.get("text", ""))))
                case "user", "text":
                    found = list(letters_in(str(block.get("text", ""))))
                    if found:
                        letters += found
                        calls.clear()
                case "assistant", "tool_use":
                    name = str(block.get("id"))
                    input = block.get("input")
                    call = Call(str(block.get("name")), input if isinstance(input, dict) else {}, results.get(name))
                    past.append(call)
                    calls.append(call)
                case _:
                    pass
    return Conversation(request.find(_WHO), tuple(letters), tuple(past), tuple(calls), frozenset(hidden))


def letters_in(text: str) -> Iterator[Letter]:
    """The letters of a prompt, in order."""
    header: re.Match[str] | None = None
    body: list[str] = []
    for line in [*text.splitlines(), ""]:
        if header is not None and line.startswith(_QUOTE):
            body.append(line[len(_QUOTE) :].removeprefix(" "))
            continue
        if header is not None:
            yield Letter(header[1], int(header[2]), header[3], "\n".join(body))
        header, body = _HEADER.fullmatch(line), []


def lines_in(shown: str) -> list[str]:
    """The lines of a file, as a tool has shown it."""
    return [line[1] for line in map(_LINE.fullmatch, shown.splitlines()) if line is not None]


def _blocks(message: Json) -> list[Json]:
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
