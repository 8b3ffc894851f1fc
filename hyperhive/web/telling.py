"""How an event of an agent is told on its page: one line of it, and what is opened below."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from jinja2 import Environment

from hyperhive.core import changes
from hyperhive.core.model import Event, EventKind
from hyperhive.core.tool_words import about, plain, short
from hyperhive.core.words import duration, money

# What is longer is loaded when it is opened, in characters.
_AT_HAND: Final = 4000
# One line of a page, in characters; the page cuts it where it is wide enough.
_LINE_MOST: Final = 400
# So much of somebody's words stands open.
_OPEN_LINES: Final = 12
_OPEN_MOST: Final = 6000
_TONES: Final = {"+": "added", "-": "removed", "@": "place"}


class Told(msgspec.Struct, frozen=True):
    """An event as it is shown. `open` are words that stand open, `line` is one line, `body` what is opened: tone and line."""

    number: int
    store: str
    at: datetime
    kind: str
    name: str = ""
    line: str = ""
    counts: str = ""
    open: str = ""
    body: Sequence[tuple[str, str]] = ()
    tone: str = ""

    @property
    def key(self) -> str:
        """What no other element of the page has."""
        return f"event-{self.store}-{self.number}"

    @property
    def is_at_hand(self) -> bool:
        """What is opened comes with the page."""
        return sum(len(line) + 1 for _, line in self.body) <= _AT_HAND


class Drawer:
    """Makes HTML of events, for the page of an agent at this address."""

    def __init__(self, jinja: Environment, address: str) -> None:
        self._jinja = jinja
        self._address = address

    def event(self, event: Event, store: str) -> str:
        """An event as it stands in the stream."""
        return self._macro("event", told(event, store), self._address)

    def earlier(self, store: str, number: int) -> str:
        """What stands above event `number`, where there are earlier ones."""
        return self._macro("earlier", store, number)

    def _macro(self, name: str, *values: object) -> str:
        return str(getattr(self._jinja.get_template("agent/event.html").module, name)(*values))


def told(event: Event, store: str) -> Told:
    """How an event is shown."""
    data = {key: value for key, value in event.data.items() if value is not None}
    plainly = Told(number=event.number, store=store, at=event.at, kind=event.kind.value)
    match event.kind:
        case EventKind.PROMPT:
            numbers = data.get("messages")
            listed = ", ".join(map(str, numbers)) if isinstance(numbers, list) else ""
            heading = f"turn {_text(data, 'turn')}" + (f", message{'s' if ',' in listed else ''} {listed}" if listed else "")
            return _with(_words(plainly, _text(data, "text"), lines=_OPEN_LINES), name=_line(heading))
        case EventKind.TEXT:
            return _words(plainly, _text(data, "text"))
        case EventKind.NOTE:
            return _words(plainly, _text(data, "text"), lines=_OPEN_LINES)
        case EventKind.TOOL:
            return _tool(plainly, data)
        case EventKind.RESULT:
            return _result(plainly, data)
        case EventKind.TURN:
            return _turn(plainly, data)
        case EventKind.BUILD:
            return _with(plainly, line=_line(_text(data, "line")))
        case EventKind.ASK:
            return _with(plainly, line=_line(_text(data, "text")))
        case EventKind.STATE:
            return _with(plainly, name=_line(_text(data, "state")), line=_line(_text(data, "why")))


def _words(plainly: Told, text: str, *, lines: int | None = None) -> Told:
    """Words that stand open, as far as that goes; all of them below."""
    text = text.strip("\n")
    start = "\n".join(text[:_OPEN_MOST].split("\n")[:lines])
    return _with(plainly, open=start, body=() if start == text else _lines(text), counts="" if start == text else "all of it")


def _tool(plainly: Told, data: Mapping[str, Any]) -> Told:
    name = _text(data, "name") or "a tool"
    given = data.get("input")
    known: Mapping[str, Any] = given if isinstance(given, dict) else {}
    change = changes.of(name, known)
    if change is not None:
        lines = [(_TONES.get(line[:1], "same"), line.expandtabs(4)) for line in change.lines]
        counts = f"-{change.removed} +{change.added}"
        return _with(plainly, kind="change", name=_line(name), line=_line(change.path), counts=counts, body=lines)
    line = _line(about(name, known))
    body = [part for key, value in known.items() for part in [("key", _line(key)), *_lines(plain(value))]]
    # What the line says whole need not be said again.
    whole = len(known) == 1 and next(iter(map(plain, known.values()))) == line
    return _with(plainly, name=_line(short(name)), line=line, body=() if whole else body)


def _result(plainly: Told, data: Mapping[str, Any]) -> Told:
    text = _text(data, "text").strip("\n")
    lines = text.splitlines()
    first = _line(next((line for line in lines if line.strip()), ""))
    more = f"+{len(lines) - 1} line{'s' if len(lines) > 2 else ''}" if len(lines) > 1 else ""
    tone = "bad" if data.get("is_error") else ""
    return _with(plainly, line=first, counts=more, body=() if first == text else _lines(text), tone=tone)


def _turn(plainly: Told, data: Mapping[str, Any]) -> Told:
    parts = [f"turn {_text(data, 'turn')} {_text(data, 'outcome')}"]
    if isinstance(seconds := data.get("seconds"), int | float):
        parts.append(duration(seconds))
    if isinstance(dollars := data.get("cost_usd"), int | float):
        parts.append(money(dollars))
    outcome = _text(data, "outcome")
    tone = "good" if outcome == "ok" else "warn" if outcome in ("cancelled", "interrupted") else "bad"
    return _with(_words(plainly, _text(data, "error"), lines=_OPEN_LINES), name=_line(", ".join(parts)), tone=tone)


def _with(plainly: Told, **fields: Any) -> Told:
    return msgspec.structs.replace(plainly, **fields)


def _line(text: str) -> str:
    """The beginning of a text, as one line."""
    line = " ".join(text[: 2 * _LINE_MOST].split())
    return line if len(line) <= _LINE_MOST and len(text) <= 2 * _LINE_MOST else line[:_LINE_MOST] + "…"


def _lines(text: str) -> list[tuple[str, str]]:
    return [("", line) for line in text.splitlines()]


def _text(data: Mapping[str, Any], key: str) -> str:
    return plain(data.get(key, ""))
