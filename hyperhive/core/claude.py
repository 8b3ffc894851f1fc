"""The agent CLI's words: how it is started, what it is told, what its lines mean.

Measured with claude 2.1.330; its stream protocol is not documented.
"""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from hyperhive.core import long_result, tool_request
from hyperhive.core.agent_config import OWN_SERVER, AgentConfig
from hyperhive.core.model import EventKind, Outcome
from hyperhive.core.runtimes import Inside

# The longest line that is read from the CLI, in bytes; what is longer and no result is left out, and said so.
LINE_MOST: Final = 1024 * 1024
# A `recv` waits up to 180 s; a tool's answer may take this long, in milliseconds.
TOOL_TIMEOUT: Final = 600_000
# The CLI's own ways to speak to other sessions and to wake itself: hyperhive's take their place.
NOT_OFFERED: Final = (
    "ListAgents",
    "SendMessage",
    "ScheduleWakeup",
    "Workflow",
    "ReportFindings",
    "CronCreate",
    "CronDelete",
    "CronList",
    # For somebody at a screen: they come with the permission prompts, and nobody here could answer them.
    "AskUserQuestion",
    "EnterPlanMode",
    "ExitPlanMode",
)
_TOOLS_GONE: Final = (f'MCP server "{OWN_SERVER}" is not connected', f"No such tool available: mcp__{OWN_SERVER}__")


class Tokens(msgspec.Struct, frozen=True):
    """What a result says was used since the result before."""

    cost_usd: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(*(getattr(self, field) + getattr(other, field) for field in self.__struct_fields__))


class Verdict(msgspec.Struct, frozen=True):
    """How the CLI says that a turn ended; `until` is when a usage limit ends."""

    outcome: Outcome
    error: str | None = None
    until: datetime | None = None


def arguments(
    inside: Inside, config: AgentConfig, *, conversation: str, resume: bool, model: str | None, extra: Sequence[str] = ()
) -> list[str]:
    """The words that start the CLI as one long-lived stream process."""
    allowed = [*config.tools.allow, f"mcp__{OWN_SERVER}__*"]
    for name, server in config.mcp_servers.items():
        allowed += [f"mcp__{name}__{tool}" for tool in server.allowed_tools]
    return [
        *extra,
        "-p",
        "--input-format", "stream-json",
        "--output-format", "stream-json",
        "--verbose",
        # A project's own settings could allow what the operator did not.
        "--setting-sources", "",
        "--strict-mcp-config",
        "--mcp-config", f"{inside.run}/mcp.json",
        "--append-system-prompt-file", f"{inside.run}/prompt.md",
        # Without this a resumed conversation goes on with the prompt that it began with.
        "--system-prompt-snapshot", "off",
        # What is neither allowed nor denied is asked for, on the same stream.
        "--permission-prompt-tool", "stdio",
        # A word each: what one rule lacks, such as a parenthesis, takes nothing away from the next.
        "--allowedTools", *allowed,
        "--disallowedTools", *NOT_OFFERED, *config.tools.deny,
        *(["--resume", conversation] if resume else ["--session-id", conversation]),
        *(["--model", model] if model else []),
    ]  # fmt: skip


def servers(inside: Inside, config: AgentConfig) -> bytes:
    """The text of the file that names the agent's MCP servers."""
    found: dict[str, Any] = {
        name: {"command": server.command, "args": list(server.args), "env": server.env}
        for name, server in config.mcp_servers.items()
    }
    found[OWN_SERVER] = {
        "command": inside.relay[0],
        "args": list(inside.relay[1:]),
        # Else the tools' names would be there, and the tools only after a search.
        "alwaysLoad": True,
        "timeout": TOOL_TIMEOUT,
    }
    return msgspec.json.encode({"mcpServers": found})


def environment(inside: Inside, config: AgentConfig, *, settings: dict[str, str], login: dict[str, str]) -> dict[str, str]:
    """The whole environment of the CLI but for PATH: nothing of the host's comes along."""
    return {
        # The CLI alone would try for three minutes; the harness gives the messages back and rests instead.
        "CLAUDE_CODE_MAX_RETRIES": "3",
        **config.env,
        **settings,
        **login,
        **inside.environment(),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "MCP_TOOL_TIMEOUT": str(TOOL_TIMEOUT),
    }


def prompt_line(uuid: str, text: str) -> bytes:
    """Tell the model something; `uuid` is what results call it by."""
    return msgspec.json.encode({"type": "user", "uuid": uuid, "message": {"role": "user", "content": text}}) + b"\n"


def request_line(number: str, subtype: str, **fields: Any) -> bytes:
    """Ask the CLI itself: `mcp_status`, `set_model`, `interrupt`."""
    return (
        msgspec.json.encode({"type": "control_request", "request_id": number, "request": {"subtype": subtype, **fields}}) + b"\n"
    )


def digest(*parts: object) -> str:
    """A short name for what a CLI was started with."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


class Lines:
    """Cuts the CLI's output into objects; what is too long or no JSON object is counted and left out.

    Of a request that is left out, what is needed to refuse it stays.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False
        self.rubbish = 0

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """The objects that these bytes complete."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            if self._skipping:
                self._skipping = False
                continue
            if line.strip() and (found := self._parse(line)) is not None:
                yield found
        if len(self._rest) > long_result.RESULT_MOST:
            start, self._rest = self._rest, b""
            if not self._skipping:
                self.rubbish += 1
                if (asked := tool_request.unreadable(start)) is not None:
                    yield asked
            self._skipping = True

    def _parse(self, line: bytes) -> dict[str, Any] | None:
        try:
            found = msgspec.json.decode(line) if len(line) <= LINE_MOST else long_result.read(line)
        except (msgspec.DecodeError, RecursionError):
            found = None
        if not isinstance(found, dict):
            self.rubbish += 1
            return tool_request.unreadable(line)
        return found


def events_of(line: dict[str, Any]) -> list[tuple[EventKind, dict[str, Any]]]:
    """What of a line belongs into the agent's history."""
    match line.get("type"):
        case "assistant":
            return [event for block in _blocks(line) if (event := _said(block)) is not None]
        case "user" if not line.get("isReplay") and not line.get("isSynthetic"):
            return [
                (
                    EventKind.RESULT,
                    {"id": block.get("tool_use_id"), "is_error": block.get("is_error") is True, "text": text_of(block)},
                )
                for block in _blocks(line)
                if block.get("type") == "tool_result"
            ]
        case "system":
            return _told(line)
        case _:
            return []


def results_of(line: dict[str, Any]) -> list[tuple[str, bool, str]]:
    """The tool results that a line brings to the model: tool use, whether good, text."""
    if line.get("type") != "user":
        return []
    return [
        (str(block.get("tool_use_id")), block.get("is_error") is not True, text_of(block))
        for block in _blocks(line)
        if block.get("type") == "tool_result"
    ]


def lost_tools(result: tuple[str, bool, str]) -> bool:
    """A tool result says that hyperhive's own tools could not be reached."""
    _, good, text = result
    return not good and (any(words in text for words in _TOOLS_GONE) or text.rstrip().endswith("Connection closed"))


def uses_of(line: dict[str, Any]) -> list[tuple[str, str]]:
    """The tools that a line calls: tool use and name."""
    if line.get("type") != "assistant":
        return []
    return [(str(block.get("id")), str(block.get("name"))) for block in _blocks(line) if block.get("type") == "tool_use"]


def tasks_of(line: dict[str, Any]) -> set[str]:
    """The background tasks that still run, from a `background_tasks_changed`."""
    tasks = line.get("tasks")
    return {str(task.get("task_id")) for task in tasks if isinstance(task, dict)} if isinstance(tasks, list) else set()


def broken_servers_of(line: dict[str, Any]) -> list[str]:
    """The MCP servers that do not run, from an `init`."""
    servers = line.get("mcp_servers")
    return [
        str(server.get("name"))
        for server in (servers if isinstance(servers, list) else [])
        if isinstance(server, dict) and server.get("status") not in ("connected", "pending")
    ]


def usage_of(result: dict[str, Any]) -> Tokens:
    """What this turn used. `total_cost_usd` would be the whole conversation's, across restarts of the CLI."""
    models = result.get("model_usage_since_last_result")
    found = [use for use in models.values() if isinstance(use, dict)] if isinstance(models, dict) else []
    return Tokens(
        cost_usd=sum(_number(use, "costUSD") for use in found),
        input_tokens=int(sum(_number(use, "inputTokens") for use in found)),
        output_tokens=int(sum(_number(use, "outputTokens") for use in found)),
        cache_read_tokens=int(sum(_number(use, "cacheReadInputTokens") for use in found)),
        cache_write_tokens=int(sum(_number(use, "cacheCreationInputTokens") for use in found)),
    )


def verdict_of(result: dict[str, Any], *, api_line: dict[str, Any] | None, limit: dict[str, Any] | None) -> Verdict:
    """How a turn ended: by `is_error` and the API's words, for `subtype` says success for an API error too.

    `api_line` is the synthetic assistant line before the result, `limit` the last `rate_limit_event`'s info.
    """
    if result.get("is_error") is not True:
        return Verdict(Outcome.OK)
    errors = result.get("errors")
    said = "; ".join(map(str, errors)) if isinstance(errors, list) else ""
    words = str(result.get("result") or said or result.get("subtype") or "no reason given")
    kind = str((api_line or {}).get("error") or "")
    status = result.get("api_error_status")
    if result.get("terminal_reason") != "api_error":
        return Verdict(Outcome.FAILED, words)
    if result.get("api_error") == "usage_limit_reached":
        resets = (limit or {}).get("resetsAt")
        known = isinstance(resets, int | float) and 0 < resets < 10**11
        return Verdict(Outcome.LIMITED, words, datetime.fromtimestamp(float(resets or 0), UTC) if known else None)
    if kind == "billing_error":
        return Verdict(Outcome.LIMITED, words)
    if kind == "authentication_failed" or status in (401, 403):
        return Verdict(Outcome.LOGIN, words)
    if status is None or status in (408, 404, 429) or (isinstance(status, int) and status >= 500):
        return Verdict(Outcome.OVERLOADED, words)
    return Verdict(Outcome.FAILED, words)


def text_of(block: dict[str, Any]) -> str:
    """A tool result's text, whichever of its two shapes it has."""
    content = block.get("content")
    if isinstance(content, list):
        return "\n".join(str(part.get("text", f"[{part.get('type')}]")) for part in content if isinstance(part, dict))
    return "" if content is None else str(content)


def _blocks(line: dict[str, Any]) -> list[dict[str, Any]]:
    message = line.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def _said(block: dict[str, Any]) -> tuple[EventKind, dict[str, Any]] | None:
    match block.get("type"):
        case "text":
            return EventKind.TEXT, {"text": str(block.get("text", ""))}
        case "tool_use":
            return EventKind.TOOL, {"id": block.get("id"), "name": str(block.get("name")), "input": block.get("input")}
        case _:
            return None


def _told(line: dict[str, Any]) -> list[tuple[EventKind, dict[str, Any]]]:
    match line.get("subtype"):
        case "api_retry":
            status = line.get("error_status") or "nothing"
            text = f"the model's API answered {status}: try {line.get('attempt')} of {line.get('max_retries')}"
        case "permission_denied":
            text = f"the tool {line.get('tool_name')} is not allowed: {line.get('message')}"
        case "compact_boundary":
            sizes = line.get("compact_metadata")
            sizes = sizes if isinstance(sizes, dict) else {}
            text = f"the conversation was made shorter: {sizes.get('pre_tokens')} to {sizes.get('post_tokens')} tokens"
        case "model_fallback":
            text = "the model was busy, another one answered"
        case _:
            return []
    return [(EventKind.NOTE, {"text": text})]


def _number(use: dict[str, Any], key: str) -> float:
    value = use.get(key)
    return float(value) if isinstance(value, int | float) and 0 <= value < 10**12 else 0.0
