"""A turn while it runs."""

import time
from typing import Any

from hyperhive.core.claude import Tokens
from hyperhive.core.model import Outcome


class OpenTurn:
    """A turn that runs: `prompt` is its uuid, None for one that the CLI began by itself."""

    def __init__(self, number: int, *, prompt: str | None, limit: float) -> None:
        self.number = number
        self.prompt = prompt
        self.started = prompt is None
        self.begun = time.monotonic()
        self.deadline = self.begun + limit
        self.api_line: dict[str, Any] | None = None
        self.limit_info: dict[str, Any] | None = None
        self.lost_tools = False
        # What went wrong although the CLI's result says well.
        self.failure: str | None = None
        self.model: str | None = None
        # What turns of the CLI's own used while this one waited in line.
        self.company = Tokens()
        # Why the harness ends it, once it does, and until when the CLI may say how it ended.
        self.ending: Outcome | None = None
        self.ending_error: str | None = None
        self.retry = False
        self.grace = 0.0
        # The operations that its end fulfils.
        self.asked: list[int] = []

    def next_deadline(self) -> float:
        """When somebody must look whether it is to be ended."""
        return self.deadline if self.ending is None else self.grace
