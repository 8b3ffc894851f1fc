"""A text that is being typed: one line on the screen, which may hold several."""

from typing import Final

from hyperhive.cli import screen
from hyperhive.cli.screen import Line
from hyperhive.cli.watch.keys import Key

# How a line break in the text is shown.
_BREAK: Final = "⏎"
_MARK: Final = "> "


class Editor:
    """A text, and where the next character goes. At most `most` characters are taken."""

    def __init__(self, *, most: int) -> None:
        self.text = ""
        self._at = 0
        self._most = most

    def press(self, key: Key) -> bool:
        """Take a key. Says whether it was one that writes or moves."""
        before, after = self.text[: self._at], self.text[self._at :]
        match key.name:
            case "paste":
                self._insert((key.pasted or "").replace("\r\n", "\n").replace("\r", "\n"))
            case "backspace":
                self._set(before[:-1], after)
            case "delete" | "ctrl-d":
                self._set(before, after[1:])
            case "ctrl-w":
                kept = before.rstrip()
                self._set(kept[: len(kept) - len(kept.split()[-1])] if kept else "", after)
            case "ctrl-u":
                self._set("", after)
            case "ctrl-k":
                self._set(before, "")
            case "left" | "ctrl-b":
                self._at = max(0, self._at - 1)
            case "right" | "ctrl-f":
                self._at = min(len(self.text), self._at + 1)
            case "home" | "ctrl-a":
                self._at = 0
            case "end" | "ctrl-e":
                self._at = len(self.text)
            case _ if key.character is not None:
                self._insert(key.character)
            case _:
                return False
        return True

    def line(self, columns: int) -> Line:
        """As it is seen in so many columns, with the place where one types."""
        room = columns - screen.cells(_MARK)
        # No more of the text than could be seen.
        before = _shown(self.text[max(0, self._at - columns) : self._at])
        here, *behind = [*_shown(self.text[self._at : self._at + columns]), " "]
        room -= screen.cells(here)
        kept: list[str] = []
        while before and screen.cells("".join(kept)) + screen.cells(before[-1]) < room:
            kept.insert(0, before.pop())
        first = "…" if before or self._at > columns else ""
        room -= screen.cells(first + "".join(kept))
        rest = screen.fit("".join(behind).rstrip(), room) if room > 0 else ""
        return [(_MARK, "bold"), (first + "".join(kept), ""), (here, "reverse"), (rest, "")]

    def _insert(self, text: str) -> None:
        text = text[: self._most - len(self.text)]
        self.text = self.text[: self._at] + text + self.text[self._at :]
        self._at += len(text)

    def _set(self, before: str, after: str) -> None:
        self.text, self._at = before + after, len(before)


def _shown(text: str) -> list[str]:
    """Each character as it is seen."""
    return [_BREAK if character == "\n" else screen.one_line(character) for character in text]
