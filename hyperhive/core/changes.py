"""What a tool call changes in a file, as the lines of a difference."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

# Comparing takes time that grows with the square; what is longer is shown as taken out and put in.
_COMPARED_MOST: Final = 1000


class Change(msgspec.Struct, frozen=True):
    """A file, how many lines go out of it and into it, and the difference."""

    path: str
    removed: int
    added: int
    lines: tuple[str, ...]


def of(tool: str, given: Mapping[str, Any]) -> Change | None:
    """What this call changes, or None for a tool that changes no file."""
    match tool:
        case "Edit":
            return _change(given, "file_path", [(given.get("old_string"), given.get("new_string"))])
        case "MultiEdit":
            edits = given.get("edits")
            known = [edit for edit in edits if isinstance(edit, dict)] if isinstance(edits, list) else []
            return _change(given, "file_path", [(edit.get("old_string"), edit.get("new_string")) for edit in known])
        case "Write":
            return _change(given, "file_path", [("", given.get("content"))])
        case "NotebookEdit":
            return _change(given, "notebook_path", [("", given.get("new_source"))])
        case _:
            return None


def _change(given: Mapping[str, Any], path: str, edits: Sequence[tuple[object, object]]) -> Change:
    lines = [line for before, after in edits for line in _difference(_lines(before), _lines(after))]
    return Change(
        path=str(given.get(path, "")),
        removed=sum(line.startswith("-") for line in lines),
        added=sum(line.startswith("+") for line in lines),
        lines=tuple(lines),
    )


def _lines(text: object) -> list[str]:
    return text.splitlines() if isinstance(text, str) else []


def _difference(before: list[str], after: list[str]) -> Iterator[str]:
    if max(len(before), len(after)) > _COMPARED_MOST or not before or not after:
        yield from (f"-{line}" for line in before)
        yield from (f"+{line}" for line in after)
        return
    # The first two lines of a unified difference name the files, which is said already.
    parts = list(difflib.unified_diff(before, after, lineterm="", n=2))[2:]
    # The numbers of a piece of a file say nothing, unless they part one piece from the next.
    yield from parts[1:] if sum(line.startswith("@@") for line in parts) == 1 else parts
