"""Keys, a text that is typed, lines that are drawn: the parts of the screen that watches a hive."""

from collections.abc import Sequence

import pytest

from hyperhive.cli import screen
from hyperhive.cli.screen import Line
from hyperhive.cli.watch.editor import Editor
from hyperhive.cli.watch.keys import PASTE_MOST, Key, Keyboard
from hyperhive.cli.watch.page import folded
from hyperhive.cli.watch.painter import Painter
from hyperhive.cli.watch.selection import Selection, Thing
from tests.support.glass import Glass

# ---- keys ----


def names(*pieces: bytes) -> list[str]:
    keyboard = Keyboard()
    return [key.name for piece in pieces for key in keyboard.feed(piece)] + [key.name for key in keyboard.flush()]


@pytest.mark.parametrize(
    ("typed", "keys"),
    [
        (b"aB7 ", ["a", "B", "7", " "]),
        ("ä日".encode(), ["ä", "日"]),
        (b"\r\n\t\x7f\x08\x15\x0c", ["enter", "enter", "tab", "backspace", "backspace", "ctrl-u", "ctrl-l"]),
        (b"\x1b[A\x1bOB\x1b[H\x1b[4~\x1b[5~\x1b[3~\x1b[Z", ["up", "down", "home", "end", "pageup", "delete", "backtab"]),
        (b"\x1b", ["escape"]),
        (b"\x1b\x1b[A", ["escape", "up"]),
        (b"\x1ba", ["escape", "a"]),
        (b"\x1b[1;5Cq\x1b[11q", ["q"]),
        (b"\x1b[", []),
        (b"\xff", ["\ufffd"]),
    ],
)
def test_bytes_become_keys_in_whatever_pieces_they_come(typed: bytes, keys: list[str]) -> None:
    assert names(typed) == keys
    assert names(*(typed[at : at + 1] for at in range(len(typed)))) == keys


def test_what_never_becomes_a_key_is_dropped() -> None:
    assert names(b"\x1b[" + b"1" * 40, b"q") == ["q"]


def test_what_is_pasted_is_one_key_and_no_keys() -> None:
    keyboard = Keyboard()
    assert keyboard.feed(b"a\x1b[200~y\nq\x1b[Ay") == [Key("a")]
    assert keyboard.flush() == []
    assert keyboard.feed(b"\x1b[20") == []
    assert keyboard.feed(b"1~b") == [Key("paste", pasted="y\nq\x1b[Ay"), Key("b")]
    assert Key("paste").character is None


def test_a_paste_without_an_end_fills_no_memory() -> None:
    keyboard = Keyboard()
    keyboard.feed(b"\x1b[200~")
    for _ in range(50):
        assert keyboard.feed(b"x" * 10_000) == []
    (key,) = keyboard.feed(b"\x1b[201~")
    assert key.pasted == "x" * PASTE_MOST


# ---- a text that is typed ----


def typed(*keys: str | Key, most: int = 100) -> Editor:
    editor = Editor(most=most)
    for key in keys:
        editor.press(Key(key) if isinstance(key, str) else key)
    return editor


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ([*"abc"], "abc"),
        ([*"abc", "left", "left", "x"], "axbc"),
        ([*"abc", "home", "x", "end", "y"], "xabcy"),
        ([*"abc", "backspace", "left", "delete"], "a"),
        ([*"one two", "ctrl-w"], "one "),
        ([*"one two ", "ctrl-w", "ctrl-w"], ""),
        (["ctrl-w", "backspace", "delete", "left", "a"], "a"),
        ([*"abc", "left", "ctrl-u"], "c"),
        ([*"abc", "left", "ctrl-k"], "ab"),
        ([*"ab", Key("paste", pasted="x\r\ny\rz")], "abx\ny\nz"),
        (["up", "f5", "tab", "a"], "a"),
    ],
)
def test_a_text_is_typed_and_mended(keys: Sequence[str | Key], text: str) -> None:
    assert typed(*keys).text == text


def test_no_more_is_taken_than_may_be_said() -> None:
    assert typed(*"abcdef", most=4).text == "abcd"
    assert typed("a", Key("paste", pasted="b" * 100), most=4).text == "abbb"


@pytest.mark.parametrize("text", ["", "a", "x" * 300, "日本語" * 40, "a\nb\x1b[2Jc", "é" * 50])
def test_the_place_where_one_types_is_seen_wherever_it_is(text: str) -> None:
    editor = typed(Key("paste", pasted=text), most=1000)
    for key in ("end", *["left"] * 45, *["right"] * 20, "home", "right"):
        editor.press(Key(key))
        line = editor.line(40)
        assert [style for _, style in line].count("reverse") == 1
        assert sum(screen.cells(part) for part, _ in line) <= 40
        assert not any(not part.isprintable() for part, _ in line)


# ---- what is selected ----


def test_another_takes_the_place_of_one_that_is_gone() -> None:
    selection = Selection()
    steps: list[tuple[list[Thing], int]] = [
        ([4, 7, "ada", "bob"], 1), ([4, 9, "ada", "bob"], 0), (["ada", "bob"], 0), ([], 1), (["eve"], 1)
    ]  # fmt: skip
    found: list[Thing | None] = []
    for things, move in steps:
        selection.update(things)
        found.append(selection.selected)
        selection.move(move)
    selection.to_other_kind()
    assert [*found, selection.selected] == [4, 9, "bob", None, "eve", "eve"]


# ---- lines that are drawn ----


class Canvas:
    """A painter with a screen of its own."""

    def __init__(self, *, colours: bool = True, columns: int = 20, rows: int = 3) -> None:
        self.said: list[str] = []
        self.glass = Glass(columns, rows)
        self.glass.feed("\x1b[?1049h")
        self._columns, self._rows = columns, rows
        self._painter = Painter(self._write, colours=colours)

    def paint(self, *lines: Line) -> str:
        """Draw these; gives back what was sent for it."""
        self.said.clear()
        self._painter.paint(list(lines), columns=self._columns, rows=self._rows)
        return "".join(self.said)

    def forget(self) -> None:
        self._painter.forget()

    def _write(self, text: str) -> None:
        self.said.append(text)
        self.glass.feed(text)


def test_only_what_has_changed_is_drawn() -> None:
    canvas = Canvas()
    canvas.paint([("one", "bold")], [("two", "")])
    assert canvas.glass.rows == ["one", "two", ""]
    assert canvas.paint([("one", "bold")], [("two", "")]) == ""
    sent = canvas.paint([("one", "bold")], [("2", "")])
    assert "one" not in sent
    assert canvas.glass.rows == ["one", "2", ""]
    canvas.paint([("one", "red")])
    assert canvas.glass.rows == ["one", "", ""]
    canvas.forget()
    assert "one" in canvas.paint([("one", "red")])


def test_what_is_too_long_is_cut_and_a_full_row_stays_whole() -> None:
    canvas = Canvas()
    canvas.paint([("x" * 20, "")], [("y" * 21, "")], [("日" * 10, ""), ("z", "")], [("below", "")])
    assert canvas.glass.rows == ["x" * 20, "y" * 19 + "…", "日" * 10]
    canvas.paint([("x", "")], [("y" * 20, "")])
    assert canvas.glass.rows == ["x", "y" * 20, ""]


def test_no_control_reaches_the_terminal() -> None:
    canvas = Canvas()
    canvas.paint([("a\x1b[2J\x07\n\t\x9b\u202eb", "")])
    assert canvas.glass.rows[0] == "a␛[2J␇  \ufffd\ufffdb"


def test_without_colours_what_is_marked_is_still_told_apart() -> None:
    canvas = Canvas(colours=False)
    sent = canvas.paint([("a", "bold red"), ("b", "reverse"), ("c", "cyan")])
    assert "31" not in sent
    assert "\x1b[1ma" in sent
    assert "\x1b[7mb" in sent


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ([("ab", "")], ["ab"]),
        ([("abcdefgh", "")], ["abcde", "fgh"]),
        ([("ab", "x"), ("cdefgh", "y")], ["abcde", "fgh"]),
        ([("日本語", "")], ["日本", "語"]),
        ([], [""]),
    ],
)
def test_a_long_line_goes_on_below(line: Line, parts: list[str]) -> None:
    assert ["".join(text for text, _ in part) for part in folded(line, 5)] == parts
