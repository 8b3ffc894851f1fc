"""What a tool call is about, in a line."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

# What says best what a call is about, the first that is there.
_TELLING: Final = ("command", "file_path", "notebook_path", "pattern", "url", "query", "path", "description", "prompt")


def short(name: str) -> str:
    """`mcp__hyperhive__send` is `hyperhive.send`."""
    parts = name.split("__", 2)
    return f"{parts[1]}.{parts[2]}" if len(parts) == 3 and parts[0] == "mcp" else name


def about(name: str, given: Mapping[str, Any]) -> str:
    """What a call of this tool with this input does; of a server's tool all of it, for nothing is known of its words."""
    if name.startswith("mcp__"):
        return " ".join(f"{key}={plain(value)}" for key, value in given.items())
    return next((plain(given[key]) for key in _TELLING if key in given), "")


def plain(value: object) -> str:
    """A text as it is, anything else as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
