"""How the demo looks: drawn on a terminal, plain in a pipe, readable in 60 columns."""

import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from hyperhive.core.agent_config import OWN_SERVER
from hyperhive.core.config_changes import spelled
from hyperhive.core.model import Event, EventKind
from hyperhive.core.reviews import Review
from hyperhive.core.safe_text import clean
from hyperhive.demo.conversation import letters_in

_STEP: Final = 4
_SAID: Final = 10
_WIDEST: Final = 88
# The most lines of one tool's output that are shown.
_OUTPUT: Final = 6
# The most changed lines of one file that are shown.
_CHANGED: Final = 11
_CUT: Final = " ..."
_OWN: Final = f"mcp__{OWN_SERVER}__"
_SEND: Final = f"{_OWN}send"
_ASK: Final = f"{_OWN}ask_operator"


class Screen:
    """Standard output, in the demo's own look."""

    def __init__(self) -> None:
        plain = not sys.stdout.isatty() or bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
        self._console = Console(
            highlight=False,
            markup=False,
            emoji=False,
            force_terminal=False if plain else None,
            color_system=None if plain else "auto",
            width=shutil.get_terminal_size().columns if plain else None,
        )
        self._tools: dict[str, str] = {}
        unicode = self._console.encoding.lower().startswith("utf")
        self._good, self._bad, self._gutter, self._arrow = ("✓", "✗", "│ ", "→") if unicode else ("ok", "FAILED", "| ", "->")

    def title(self, text: str) -> None:
        """Begin."""
        self._console.print(Text(text, "bold"))

    def say(self, text: str, *, indent: int = 0) -> None:
        """A paragraph."""
        self._put("", Text(text), indent=indent)

    def gap(self) -> None:
        """An empty line."""
        self._console.print()

    def step(self, number: int, title: str) -> None:
        """Begin a step."""
        self.gap()
        self._put(f"{number:2}  ", Text(title, "bold"), style="bold cyan")

    def command(self, words: Sequence[str], *, shown: str | None = None, indent: int = _STEP) -> None:
        """What a person types; a terminal may break it, so that it can still be copied."""
        text = clean(shown if shown is not None else shlex.join(words))
        self._console.print(Text.assemble(" " * indent, ("$ ", "dim"), (text, "bold")), soft_wrap=True)

    def output(self, text: str) -> None:
        """What a command printed."""
        for line in text.splitlines():
            quoted = line.startswith("│ ")
            self._put(self._gutter * (1 + quoted), Text(clean(line.removeprefix("│ "))), indent=_STEP, style="dim")

    def table(self, text: str) -> None:
        """What a command printed in columns, which would not be some any more if its lines were broken."""
        room = min(self._console.width, _WIDEST) - _STEP - len(self._gutter)
        for line in map(clean, text.splitlines()):
            self.output(line if len(line) <= room else line[: room - len(_CUT)].rstrip() + _CUT)

    def proposal(self, review: Review) -> None:
        """What somebody wants to be changed, as it is decided about; of each file only how its change begins."""
        asked = review.approval
        self.output(f"{asked.number}  {asked.agent}  by {asked.asker}, because: {asked.reason}")
        changes = review.comparison.changes or ()
        for title, mark, style, grows in (("it may do more:", "! ", "yellow", True), ("changes:", "- ", "", False)):
            some = [change for change in changes if change.grows is grows]
            self.output(title if some else "")
            for change in some:
                self._put(self._gutter, Text(clean(mark + spelled(change)), style), indent=_STEP, style="dim")
        for line, style in _shortened(review.comparison.diff):
            self._put(self._gutter, Text(clean(line), style), indent=_STEP, style="dim")

    def check(self, text: str, seconds: float | None = None) -> None:
        """Something that was to be so is so."""
        took = "" if seconds is None or seconds < 0.05 else f"  {seconds:.1f} s"
        self._put(f"{self._good} ", Text.assemble(clean(text), (took, "dim")), indent=_STEP, style="bold green")

    def fail(self, text: str) -> None:
        """Something that was to be so is not."""
        self._put(f"{self._bad} ", Text(clean(text), "red"), indent=_STEP, style="bold red")

    def event(self, event: Event) -> None:
        """What an agent has just done."""
        first = True
        for text, quoted in self._told(event):
            who = f"{event.agent:<{_SAID - _STEP}}" if first else " " * (_SAID - _STEP)
            self._put(who + (self._gutter if quoted else ""), text, indent=_STEP, style="dim" if quoted else "magenta")
            first = False

    def waiting(self, what: str) -> AbstractContextManager[object]:
        """Say what is waited for, as long as it is; only on a terminal that can take it back."""
        if not self._console.is_interactive:
            return nullcontext()
        return self._console.status(Text(f"waiting: {what}", "dim", no_wrap=True, overflow="ellipsis"), spinner="line")

    def _told(self, event: Event) -> Iterator[tuple[Text, bool]]:
        """An event's lines, and whether they are an agent's or a program's own words."""
        data = event.data
        match event.kind:
            case EventKind.PROMPT:
                for letter in letters_in(str(data.get("text", ""))):
                    yield Text(f"reads {letter.kind} {letter.number} from {letter.sender}"), False
            case EventKind.TEXT:
                yield from self._quote(str(data.get("text", "")), "italic")
            case EventKind.TOOL:
                self._tools[str(data.get("id"))] = str(data.get("name"))
                yield from self._tool(str(data.get("name")), data.get("input"))
            case EventKind.RESULT:
                if data.get("is_error"):
                    yield from self._quote(str(data.get("text", "")), "red")
                elif _says_something(self._tools.get(str(data.get("id")), "")):
                    yield from self._quote(str(data.get("text", "")), "")
            case EventKind.TURN:
                error = f": {data['error']}" if data.get("error") else ""
                yield Text(clean(f"turn {data.get('turn')} ended {data.get('outcome')}{error}"), "dim"), False
            case EventKind.BUILD:
                yield Text(clean(str(data.get("line"))), "dim"), True
            case EventKind.ASK:
                yield Text(clean(str(data.get("text"))), "yellow"), False
            case EventKind.NOTE:
                yield Text(clean(str(data.get("text"))), "yellow"), False
            case EventKind.STATE:
                pass

    def _tool(self, name: str, given: Any) -> Iterator[tuple[Text, bool]]:
        fields = {str(key): str(value) for key, value in given.items()} if isinstance(given, dict) else {}
        short = name.removeprefix(_OWN)
        if name == _SEND:
            yield Text.assemble((short, "bold"), clean(f" {self._arrow} {fields.get('to', '')}")), False
            yield from self._quote(fields.get("body", ""), "")
        elif name in ("Edit", "Write"):
            old, new = fields.get("old_string", "").splitlines(), fields.get("new_string", fields.get("content", "")).splitlines()
            change = f" · -{len(old)} +{len(new)}" if self._arrow == "→" else f" -{len(old)} +{len(new)}"
            yield Text.assemble((name, "bold"), clean(f" {fields.get('file_path', '')}{change}")), False
            yield from ((Text(clean(f"- {line}"), "red"), True) for line in old[:_OUTPUT])
            yield from ((Text(clean(f"+ {line}"), "green"), True) for line in new[:_OUTPUT])
        elif name == _ASK:
            yield Text(short, "bold"), False
            yield from self._quote(fields.get("text", ""), "")
        elif name == "Bash":
            first, *others = fields.get("command", "").splitlines() or [""]
            yield Text.assemble((short, "bold"), clean(f" {first}")), False
            yield from self._quote("\n".join(others), "")
        else:
            what = fields.get("command") or fields.get("file_path") or ", ".join(fields.values())
            yield Text.assemble((short, "bold"), clean(f" {what}".rstrip().replace("\n", " "))), False

    def _quote(self, text: str, style: str) -> Iterator[tuple[Text, bool]]:
        lines = clean(text).strip().splitlines()
        yield from ((Text(line, style), True) for line in lines[:_OUTPUT])
        if len(lines) > _OUTPUT:
            yield Text(f"({len(lines) - _OUTPUT} more lines)", "dim"), True

    def _put(self, before: str, text: Text, *, indent: int = 0, style: str = "") -> None:
        """Print a paragraph behind a mark, its further lines below its first."""
        room = min(self._console.width, _WIDEST) - indent - len(before)
        gutter = before[before.find(self._gutter) :] if self._gutter in before else ""
        mark = before
        for line in text.wrap(self._console, max(room, 16), tab_size=4) or [Text()]:
            line.rstrip()
            self._console.print(Text.assemble(" " * indent, (mark, style), line), soft_wrap=True)
            mark = " " * (len(before) - len(gutter)) + gutter


def _says_something(tool: str) -> bool:
    """What a tool gives back tells more than that it went well."""
    return tool in ("Bash", f"{_OWN}agents") or (tool.startswith("mcp__") and not tool.startswith(_OWN))


def _shortened(diff: str) -> Iterator[tuple[str, str]]:
    """The first changed lines of each file, with their styles, and how many more there are."""
    for part in diff.split("diff --git ")[1:]:
        head, *_ = part.splitlines()
        # Without what git says of the file itself.
        lines = [line for line in part.partition("\n@@")[2].splitlines() if line.startswith(("+", "-"))]
        yield head.rpartition(" b/")[2] + ":", "bold"
        for line in lines[:_CHANGED]:
            yield f"{line[0]} {line[1:]}".rstrip(), "green" if line.startswith("+") else "red"
        if len(lines) > _CHANGED:
            yield f"({len(lines) - _CHANGED} more changed lines)", "dim"
