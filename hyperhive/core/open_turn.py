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
        self._deadline = self.begun + limit
        self._waits_since: float | None = None
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

    @property
    def waits(self) -> bool:
        """It waits for the operator."""
        return self._waits_since is not None

    @property
    def deadline(self) -> float:
        """When it has taken too long; never while it waits."""
        return float("inf") if self.waits else self._deadline

    def wait(self) -> None:
        """It waits for the operator from now on, which does not count as time taken."""
        self._waits_since = time.monotonic()

    def go_on(self) -> None:
        """It waits no longer."""
        if self._waits_since is not None:
            self._deadline += time.monotonic() - self._waits_since
        self._waits_since = None

    def next_deadline(self) -> float:
        """When somebody must look whether it is to be ended."""
        return self.deadline if self.ending is None else self.grace
