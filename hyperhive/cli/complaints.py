"""What went wrong, as two lines on standard error."""

import contextlib
import os
import platform
import shlex
import sys
import tempfile
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path

import click

from hyperhive import __version__
from hyperhive.cli import screen
from hyperhive.core.errors import CommandFailed, HyperhiveError
from hyperhive.core.paths import find_paths


def say(error: HyperhiveError) -> None:
    """The sentence and the hint; a program that failed is shown so that it can be run again."""
    screen.talk(f"error: {error.message}")
    if isinstance(error, CommandFailed):
        screen.talk(f"  $ {shlex.join(error.argv)}")
        for line in error.output.rstrip().splitlines():
            screen.talk(f"  {screen.GUTTER}{line}")
    if error.hint:
        screen.talk(f"hint: {error.hint}")


def usage(error: click.ClickException, *, near: str | None) -> None:
    """A command line that makes no sense."""
    sentence = error.message if near else error.format_message()
    screen.talk(f"error: {sentence[:1].lower()}{sentence[1:].rstrip('.')}")
    context = error.ctx if isinstance(error, click.UsageError) else None
    screen.talk(f"hint: did you mean {near}?" if near else f"hint: {context.command_path if context else 'hyperhive'} --help")


def nearest(word: str, known: Sequence[str]) -> str | None:
    """The known word that was perhaps meant."""
    return next(iter(get_close_matches(word, known, n=1)), None)


def bug(error: Exception) -> int:
    """Something that nobody foresaw: one line, and the whole story in a file. Gives back the exit code."""
    story = "".join(traceback.format_exception(error))
    text = f"hyperhive {__version__}, Python {platform.python_version()}, {platform.platform()}\n{_command()}\n{story}"
    file = _write(f"bug-{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}.txt", text)
    what = str(error) if isinstance(error, HyperhiveError) else f"{type(error).__name__}: {error}"
    screen.talk(f"error: this is a bug in hyperhive ({screen.cut(what)}); to paste: {file or story}")
    return HyperhiveError.exit_code


def _command() -> str:
    # The command alone: what follows it may be a message or a secret.
    return f"command: {next((word for word in sys.argv[1:] if not word.startswith('-')), '')}"


def _write(name: str, text: str) -> Path | None:
    """Keep the story with the hive's logs, or where there is no hive, with other temporary files."""
    folders = []
    with contextlib.suppress(HyperhiveError):
        folders.append(find_paths(os.environ).log)
    for folder in [*folders, Path(tempfile.gettempdir())]:
        try:
            fd = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
        except OSError:
            continue
        return folder / name
    return None
