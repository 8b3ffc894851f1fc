"""How an event looks: words behind the gutter, a line for each tool call, edits as differences."""

from collections.abc import Mapping
from typing import Any, Final

from hyperhive.cli import screen, words
from hyperhive.core import changes
from hyperhive.core.changes import Change
from hyperhive.core.model import Event, EventKind
from hyperhive.core.tool_words import about, plain, short

# How many lines are shown where not all are asked for.
_PROMPT_LINES: Final = 12
_RESULT_LINES: Final = 1
_CHANGE_LINES: Final = 40
_OUTCOMES: Final = {"ok": "green", "cancelled": "yellow", "interrupted": "yellow"}


def show(event: Event, *, full: bool) -> None:
    """Write one event; `full` shortens nothing."""
    data = {key: value for key, value in event.data.items() if value is not None}
    match event.kind:
        case EventKind.PROMPT:
            _prompt(event, data, full)
        case EventKind.TEXT:
            screen.quote(_text(data, "text"))
        case EventKind.TOOL:
            _tool(data, full)
        case EventKind.RESULT:
            _result(data, full)
        case EventKind.TURN:
            _turn(event, data)
        case EventKind.BUILD:
            screen.quote(_text(data, "line"), style="dim")
        case EventKind.ASK:
            screen.line(("? ", "yellow"), (screen.cut(_text(data, "text"), used=2), "yellow"))
        case EventKind.STATE:
            why = _text(data, "why")
            screen.line((screen.cut(f"· {_text(data, 'state')}" + (f": {why}" if why else "")), "dim"))
        case EventKind.NOTE:
            screen.line(("note", "yellow"))
            screen.quote(_text(data, "text"), most=None if full else _PROMPT_LINES)


def _prompt(event: Event, data: Mapping[str, Any], full: bool) -> None:
    numbers = data.get("messages")
    listed = ", ".join(map(str, numbers)) if isinstance(numbers, list) else ""
    told = f", message{'s' if ',' in listed else ''} {listed}" if listed else ""
    screen.line("")
    screen.line((screen.cut(f"── turn {_text(data, 'turn')} · {words.clock(event.at)}{told} ──"), "bold cyan"))
    screen.quote(_text(data, "text"), style="dim", most=None if full else _PROMPT_LINES)


def _turn(event: Event, data: Mapping[str, Any]) -> None:
    outcome = _text(data, "outcome")
    parts = [f"turn {_text(data, 'turn')} {outcome}", words.clock(event.at)]
    if isinstance(seconds := data.get("seconds"), int | float):
        parts.append(words.duration(seconds))
    if isinstance(dollars := data.get("cost_usd"), int | float):
        parts.append(words.money(dollars))
    screen.line((screen.cut(f"── {' · '.join(parts)} ──"), f"bold {_OUTCOMES.get(outcome, 'red')}"))
    if error := _text(data, "error"):
        screen.quote(error, style="red")


def _tool(data: Mapping[str, Any], full: bool) -> None:
    name = _text(data, "name") or "a tool"
    given = data.get("input")
    known: Mapping[str, Any] = given if isinstance(given, dict) else {}
    change = changes.of(name, known)
    if change is not None:
        _changed(name, change, full)
        return
    screen.line(("▸ ", "cyan"), (screen.cut(f"{short(name)} {about(name, known)}", used=2), "cyan"))
    if full:
        for key, value in known.items():
            screen.quote(f"{key}: {plain(value)}", style="dim")


def _changed(name: str, change: Change, full: bool) -> None:
    counts = f" · -{change.removed} +{change.added}"
    room = (screen.width() or screen.PIPE_WIDTH) - screen.cells(f"▸ {name} {counts}")
    path = screen.fit(screen.one_line(change.path), max(room, 8))
    screen.line(("▸ ", "cyan"), (f"{name} ", "bold cyan"), path, (counts, "dim"))
    lines = change.lines if full else change.lines[:_CHANGE_LINES]
    for line in lines:
        screen.quote(line, style=_style(line))
    if len(lines) < len(change.lines):
        screen.line((f"{screen.GUTTER}… {len(change.lines) - len(lines)} more lines", "dim"))


def _style(line: str) -> str:
    styles: dict[str, str] = {"+": "green", "-": "red", "@": "cyan"}
    return styles.get(line[:1], "dim")


def _result(data: Mapping[str, Any], full: bool) -> None:
    text = _text(data, "text").rstrip()
    failed = bool(data.get("is_error"))
    mark, style = ("✗", "red") if failed else ("✓", "dim")
    lines = text.splitlines()
    if full and len(lines) > 1:
        screen.line((f"  {mark}", style))
        screen.quote(text, style=style)
        return
    more = f" (+{len(lines) - _RESULT_LINES} lines)" if len(lines) > _RESULT_LINES else ""
    first = next((line for line in lines if line.strip()), "")
    if full:
        screen.line((f"  {mark}", style))
        screen.quote(first, style=style)
    else:
        screen.line((f"  {mark} " + screen.cut(first, used=4 + len(more)) + more, style))


def _text(data: Mapping[str, Any], key: str) -> str:
    return plain(data.get(key, ""))
