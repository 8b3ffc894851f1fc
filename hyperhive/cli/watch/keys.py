"""What is typed, as keys: characters, names of keys that are none, whole pastes."""

import codecs
from typing import Final, NamedTuple

# How long what begins like a key that sends several bytes may be the escape key itself, in seconds.
ESCAPE_MOST: Final = 0.05
# The longest paste, in characters; what goes beyond it is not taken.
PASTE_MOST: Final = 64 * 1024
# What is longer is no key.
_SEQUENCE_MOST: Final = 32

_PASTE_BEGINS: Final = "\x1b[200~"
_PASTE_ENDS: Final = "\x1b[201~"
_PLAIN: Final = {
    "\r": "enter",
    "\n": "enter",
    "\t": "tab",
    "\x7f": "backspace",
    "\x08": "backspace",
}
# After an escape and `[` or `O` (xterm's control sequences, "PC-Style Function Keys").
_SEQUENCES: Final = {
    "A": "up", "B": "down", "C": "right", "D": "left", "H": "home", "F": "end", "Z": "backtab",
    "1~": "home", "3~": "delete", "4~": "end", "5~": "pageup", "6~": "pagedown", "7~": "home", "8~": "end",
}  # fmt: skip


class Key(NamedTuple):
    """One key: a character, the name of a key (`up`, `enter`, `ctrl-u`), or, in `pasted`, a text that was pasted."""

    name: str
    pasted: str | None = None

    @property
    def character(self) -> str | None:
        """What it writes, if it writes something."""
        return self.name if len(self.name) == 1 else None


class Keyboard:
    """Makes keys of bytes, which may come in any pieces."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""

    @property
    def waits(self) -> bool:
        """What was read last may be the beginning of a key."""
        return bool(self._rest)

    def feed(self, data: bytes) -> list[Key]:
        """The keys that are whole."""
        self._rest += self._decode(data)
        found: list[Key] = []
        while self._rest:
            taken = self._take(found)
            if not taken:
                break
            self._rest = self._rest[taken:]
        return found

    def flush(self) -> list[Key]:
        """Nothing more has come: an escape that began nothing was the key itself."""
        # A paste ends when its end comes.
        if self._rest.startswith(_PASTE_BEGINS):
            return []
        was, self._rest = self._rest, ""
        return [Key("escape")] if was == "\x1b" else []

    def _take(self, found: list[Key]) -> int:
        """Take the first key of what was read. Gives back how long it was; 0 when it is not whole."""
        text = self._rest
        if text[0] != "\x1b":
            found.append(Key(_PLAIN.get(text[0]) or (f"ctrl-{chr(ord(text[0]) + 96)}" if text[0] < " " else text[0])))
            return 1
        if text.startswith(_PASTE_BEGINS):
            end = text.find(_PASTE_ENDS)
            if end < 0:
                # Room for the end of the paste, of which a part may be there.
                self._rest = (
                    text[: PASTE_MOST + len(_PASTE_BEGINS)] + text[PASTE_MOST + len(_PASTE_BEGINS) :][-len(_PASTE_ENDS) :]
                )
                return 0
            found.append(Key("paste", pasted=text[len(_PASTE_BEGINS) : end][:PASTE_MOST]))
            return end + len(_PASTE_ENDS)
        if len(text) < 2:
            return 0
        if text[1] not in "[O":
            # Alt and a key, or the escape key and the next one: they cannot be told apart, and neither means anything.
            found.append(Key("escape"))
            return 1
        # A sequence ends with a letter or a tilde.
        last = next((at for at in range(2, len(text)) if "@" <= text[at] <= "~"), None)
        if last is None:
            return 0 if len(text) < _SEQUENCE_MOST else len(text)
        if name := _SEQUENCES.get(text[2 : last + 1]):
            found.append(Key(name))
        return last + 1
