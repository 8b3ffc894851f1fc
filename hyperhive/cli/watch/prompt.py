"""What the operator is asked at the foot of the screen, and what follows from each key."""

from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Final, Protocol, TypeAlias

from hyperhive.cli import screen
from hyperhive.cli.screen import Line
from hyperhive.cli.watch.editor import Editor
from hyperhive.cli.watch.keys import Key
from hyperhive.cli.watch.page import Page

Act: TypeAlias = Callable[[], str]
"""Does something to the hive, and says what was done."""

_ASKS: Final = "bold yellow"
_SELECTED: Final = "> "


class Move(Enum):
    """What a key leads to that neither does anything nor asks further."""

    STAY = auto()
    BACK = auto()


class Prompt(Protocol):
    """Something that is asked."""

    def press(self, key: Key) -> "Prompt | Act | Move":
        """What a key leads to."""
        ...

    def lines(self, columns: int, most: int) -> list[Line]:
        """As it is seen, in at most so many lines."""
        ...


class Confirm:
    """Asks for one of a few keys. Where there is a page it must have been seen whole before anything is done."""

    def __init__(self, question: str, ways: dict[str, tuple[str, Act]], *, page: Page | None = None) -> None:
        """`ways` are the keys, each with what it means and does."""
        self._question = question
        self._ways = ways
        self._page = page

    def press(self, key: Key) -> Prompt | Act | Move:
        if key.name in ("n", "escape", "q"):
            return Move.BACK
        if not self._is_hidden() and key.name in self._ways:
            return self._ways[key.name][1]
        if self._page is not None:
            self._page.press(key)
        return Move.STAY

    def lines(self, columns: int, most: int) -> list[Line]:
        if self._is_hidden():
            assert self._page is not None
            rest = [(f"space shows the other {self._page.below} lines first  ", "bold"), ("n", "bold"), (" goes back", "dim")]
        else:
            rest = [piece for key, (what, _) in self._ways.items() for piece in ((key, "bold"), (f" {what}  ", ""))]
            rest += [("n", "bold"), (" no", "")]
        asked = screen.one_line(self._question)
        if screen.cells(asked) + sum(screen.cells(text) for text, _ in rest) + 2 <= columns or most < 2:
            return [[(f"{asked}  ", _ASKS), *rest]]
        return [[(asked, _ASKS)], rest]

    def _is_hidden(self) -> bool:
        return self._page is not None and not self._page.was_seen


class Write:
    """Asks for a text."""

    def __init__(self, question: str, act: Callable[[str], str], *, enter: str, most: int, may_be_empty: bool = False) -> None:
        """`enter` is what the key does; `most` characters are taken."""
        self._question = question
        self._act = act
        self._enter = enter
        self._may_be_empty = may_be_empty
        self._editor = Editor(most=most)

    def press(self, key: Key) -> Prompt | Act | Move:
        match key.name:
            case "escape":
                return Move.BACK
            case "enter" if self._may_be_empty or self._editor.text.strip():
                text = self._editor.text
                return lambda: self._act(text)
            case _:
                self._editor.press(key)
                return Move.STAY

    def lines(self, columns: int, most: int) -> list[Line]:
        keys: Line = [("enter", "bold"), (f" {self._enter}  ", "dim"), ("esc", "bold"), (" goes back", "dim")]
        asked: Line = [(screen.one_line(self._question), _ASKS)]
        return [asked, self._editor.line(columns), keys] if most >= 3 else [self._editor.line(columns)]


class Choose:
    """Asks for one of some choices, which somebody else wrote, or for a text where that is taken too."""

    def __init__(self, question: str, choices: Sequence[str], act: Callable[[str], str], *, own: Prompt | None) -> None:
        """`own` asks for the text, where one may be given."""
        self._question = question
        self._choices = list(choices)
        self._act = act
        self._own = own
        self._at = 0

    def press(self, key: Key) -> Prompt | Act | Move:
        last = len(self._choices) - (1 if self._own is None else 0)
        match key.name:
            case "escape" | "q":
                return Move.BACK
            case "down" | "j" | "tab":
                self._at = min(self._at + 1, last)
            case "up" | "k" | "backtab":
                self._at = max(self._at - 1, 0)
            case "home" | "g":
                self._at = 0
            case "end" | "G":
                self._at = last
            case digit if digit in "123456789" and int(digit) <= len(self._choices):
                self._at = int(digit) - 1
            case "enter" if self._at < len(self._choices):
                choice = self._choices[self._at]
                return lambda: self._act(choice)
            case "enter" if self._own is not None:
                return self._own
            case _:
                pass
        return Move.STAY

    def lines(self, columns: int, most: int) -> list[Line]:
        shown: list[Line] = [
            [(f"{number:>2} ", "bold"), (screen.GUTTER, "dim"), (choice, "")] for number, choice in enumerate(self._choices, 1)
        ]
        if self._own is not None:
            shown.append([("   a text of your own…", "")])
        room = max(1, most - 2)
        first = min(max(0, self._at - room // 2), max(0, len(shown) - room))
        rows = [
            [(_SELECTED if at == self._at else "  ", "bold yellow"), *line]
            for at, line in enumerate(shown[first : first + room], first)
        ]
        keys: Line = [("↑↓", "bold"), (" or a number  ", "dim"), ("enter", "bold"), (" answers  ", "dim"), ("esc", "bold")]
        keys.append((" goes back", "dim"))
        return [[(screen.one_line(self._question), _ASKS)], *rows, keys][-most:]
