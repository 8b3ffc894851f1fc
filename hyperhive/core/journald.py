"""What journald has kept, read through journalctl as one line each."""

import os
import shlex
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from hyperhive.core import process
from hyperhive.core.errors import CommandFailed, Denied, HyperhiveError, Unavailable
from hyperhive.core.log_file import Written

# systemd.journal-fields(7). `--all`: without it what is longer than 4096 bytes is left out.
_WORDS: Final = ("--output=json", "--all", "--no-pager", "--output-fields=MESSAGE,SYSLOG_IDENTIFIER,_COMM,_PID")
# How much of what is kept is read, the newest first, and the longest entry, in bytes: a container fills its own journal.
_READ_MOST: Final = 16 * 1024 * 1024
_ENTRY_MOST: Final = 1024 * 1024
_CHUNK: Final = 256 * 1024
# How long journalctl may take, in seconds.
_SECONDS_MOST: Final = 30.0
_NOT_YOURS: Final = "insufficient permissions"


class Entries:
    """The entries that `words` lead to: journalctl, and what picks the journal.

    What begins with `who` is a process' of hyperhive's own; else the program is named before the text. The last `lines` are
    read, of this start of the machine or of all. Of a journal that `is_foreign`, which an agent may spoil, a line tells that it
    cannot be read, so that nothing else is hidden by that.
    """

    def __init__(
        self,
        words: Sequence[str],
        *,
        who: str,
        lines: int,
        since: datetime | None = None,
        this_boot: bool = True,
        is_foreign: bool = False,
    ) -> None:
        self._words = list(words)
        self._who = f"{who}: "
        self._lines = lines
        self._since = since
        self._this_boot = this_boot
        self._is_foreign = is_foreign
        self._after: str | None = None
        self._child: process.Process | None = None
        self._rest = b""

    def newest(self) -> list[Written]:
        """The last ones, oldest first. Raises `Denied` for who may not read them, `CommandFailed`, `Expired`, `Unavailable`."""
        looked_at = time.time()
        try:
            entries = self._newest()
        except HyperhiveError as error:
            return self._spoilt(error)
        cursor = _text(entries[0].get("__CURSOR")) if entries else ""
        self._after = f"--after-cursor={cursor}" if cursor else f"--since=@{looked_at:.3f}"
        return [line for entry in reversed(entries) for line in self._told(entry)]

    def follow(self) -> None:
        """Begin to read what comes after these, where something can. Raises `Unavailable`."""
        if self._after is not None:
            self._child = process.start([*process.with_parent(), *self._words, *_WORDS, "--follow", "--no-tail", self._after])
            assert self._child.stdout is not None
            os.set_blocking(self._child.stdout.fileno(), False)

    def fileno(self) -> int | None:
        """What can be read when more came; None where nothing will."""
        return None if self._child is None or self._child.stdout is None else self._child.stdout.fileno()

    def more(self) -> list[Written]:
        """What came. Raises as `newest` does when there will be nothing more."""
        if self._child is None or self._child.stdout is None or self._child.stderr is None:
            return []
        try:
            data = os.read(self._child.stdout.fileno(), _CHUNK)
        except BlockingIOError:
            return []
        if not data:
            said = self._child.stderr.read(process.TAIL).decode("utf-8", "replace")
            code = self._child.wait()
            self.close()
            try:
                _check(self._words, code, said)
                raise Unavailable("journalctl has ended", hint=shlex.join(self._words))
            except HyperhiveError as error:
                return self._spoilt(error)
        *whole, self._rest = (self._rest + data).split(b"\n")
        # No more of it than tells that it is too long.
        self._rest = self._rest[: _ENTRY_MOST + 1]
        return [line for raw in whole if (entry := _entry(raw)) is not None for line in self._told(entry)]

    def close(self) -> None:
        """End what reads."""
        if self._child is not None:
            process.end_group(self._child)
            self._child = None

    def _newest(self) -> list[dict[str, Any]]:
        """The entries, the newest first, so that it is the oldest that is left out where they are too many."""
        from hyperhive.core import output

        argv = [*self._words, *_WORDS, "--reverse", f"--lines={self._lines}", *(["--boot"] if self._this_boot else [])]
        if self._since is not None:
            argv.append(f"--since=@{self._since.timestamp():.3f}")
        child = process.start(argv, stdin=process.PIPE)
        found = output.collect(child, argv=argv, most=_READ_MOST, timeout=_SECONDS_MOST)
        _check(self._words, found.code, found.stderr.decode("utf-8", "replace"))
        *whole, _ = found.stdout.split(b"\n")
        return [entry for line in whole if (entry := _entry(line)) is not None]

    def _spoilt(self, error: HyperhiveError) -> list[Written]:
        """What is told of a journal that cannot be read. Raises the error where it is the machine's own."""
        if not self._is_foreign:
            raise error
        last = error.output.strip().rpartition("\n")[2] if isinstance(error, CommandFailed) else ""
        return [Written(datetime.now(UTC), f"(its own journal cannot be read: {last or error.message})")]

    def _told(self, entry: dict[str, Any]) -> list[Written]:
        text = _text(entry.get("MESSAGE"))
        if text.startswith(self._who):
            text = text.removeprefix(self._who)
        elif program := _text(entry.get("SYSLOG_IDENTIFIER")) or _text(entry.get("_COMM")):
            pid = _text(entry.get("_PID"))
            text = f"{program}[{pid}]: {text}" if pid else f"{program}: {text}"
        at = _instant(entry.get("__REALTIME_TIMESTAMP"))
        return [Written(at, line) for line in text.removesuffix("\n").split("\n")]


def _entry(line: bytes) -> dict[str, Any] | None:
    # What journalctl itself says of the entries is no entry.
    if not line.startswith(b"{"):
        return None
    if len(line) <= _ENTRY_MOST:
        with suppress(msgspec.DecodeError):
            found = msgspec.json.decode(line)
            return found if isinstance(found, dict) else None
    return {"MESSAGE": f"(an entry that is longer than {_ENTRY_MOST // 1024} KiB, or none at all, is left out)"}


def _text(value: Any) -> str:
    """A field as text: journalctl gives what is no text as a list of bytes, and one that came several times as a list."""
    match value:
        case str():
            return value
        case [int(), *_] if all(isinstance(one, int) and 0 <= one < 256 for one in value):
            return bytes(value).decode("utf-8", "replace")
        case [first, *_]:
            return _text(first)
        case _:
            return ""


def _instant(value: Any) -> datetime | None:
    """When an entry was written, from microseconds since 1970."""
    try:
        return datetime.fromtimestamp(int(value) // 1000 / 1000, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def _check(words: Sequence[str], code: int | None, said: str) -> None:
    """Say why nothing could be read, if that is so."""
    if code and _NOT_YOURS in said:
        raise Denied(
            "you may not read what journald keeps: that takes root, or the group systemd-journal",
            hint=f"`sudo usermod -aG systemd-journal $USER` and a new login, or `{shlex.join(['sudo', *words])}`",
        )
    if code:
        raise CommandFailed(words, code=code, output=said)
