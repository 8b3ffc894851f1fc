"""What the steps of the demo are made of: commands that are typed, and checks that must hold."""

import time

from hyperhive.core.errors import CommandFailed, HyperhiveError
from hyperhive.demo.audience import Missed
from hyperhive.demo.screen import Screen
from hyperhive.demo.stage import Stage


class Steps:
    """The steps so far, on one screen."""

    def __init__(self, stage: Stage, screen: Screen) -> None:
        self._stage = stage
        self._screen = screen
        self._number = 0
        self._title = ""
        self._since = 0.0

    def begin(self, title: str) -> None:
        """The next step begins."""
        self._number += 1
        self._title = title
        self._since = time.monotonic()
        self._screen.step(self._number, title)

    def do(self, words: list[str]) -> str:
        """Type a command of hyperhive, and show what it prints."""
        printed = self._type(words)
        self._screen.output(printed.rstrip())
        return printed

    def look_at(self, words: list[str]) -> None:
        """Type a command that prints a table."""
        self._screen.table(self._type(words))

    def check(self, text: str) -> None:
        """Something that was to be so is so."""
        now = time.monotonic()
        self._screen.check(text, now - self._since)
        self._since = now

    def expect(self, is_so: object, otherwise: str) -> None:
        """Raises `Missed` where it is not so."""
        if not is_so:
            raise Missed(otherwise)

    def explain(self, error: Missed | HyperhiveError, *, keep: bool) -> None:
        """Say why the step did not happen, with all that the hive wrote down at last."""
        self._screen.fail(f"step {self._number} ({self._title}) failed: {error}")
        if isinstance(error, CommandFailed):
            self._screen.command(error.argv)
            self._screen.output(error.output.rstrip())
        if isinstance(error, HyperhiveError) and error.hint:
            self._screen.say(f"hint: {error.hint}", indent=4)
        if keep:
            self._screen.say(f"{self._stage.home} stays.", indent=4)
        for name, lines in self._stage.logs():
            self._screen.gap()
            self._screen.say(f"the end of {name}:", indent=4)
            self._screen.output("\n".join(lines))

    def _type(self, words: list[str]) -> str:
        self._screen.command(["hyperhive", *words])
        return self._stage.run(words)
