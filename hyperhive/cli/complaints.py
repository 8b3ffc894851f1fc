"""What went wrong, as two lines on standard error."""

import contextlib
import os
import platform
import re
import shlex
import sys
import tempfile
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import click
from click.exceptions import NoSuchCommand, NoSuchOption

from hyperhive import __version__
from hyperhive.cli import screen
from hyperhive.core.errors import CommandFailed, HyperhiveError
from hyperhive.core.paths import find_paths

# Where click puts what was typed: its errors do not keep it.
_VALUE: Final = re.compile(r"(.+?) is not ")
_EXTRA: Final = re.compile(r"Got unexpected extra arguments? \((.*)\)", re.DOTALL)
# A range that ends beyond this has no end that concerns a person.
_COUNTABLE: Final = 2**53


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
    screen.talk(f"error: {_sentence(error)}")
    context = error.ctx if isinstance(error, click.UsageError) else None
    screen.talk(f"hint: did you mean {near}?" if near else f"hint: {context.command_path if context else 'hyperhive'} --help")


def _sentence(error: click.ClickException) -> str:
    """What click found, in words like ours."""
    match error:
        case NoSuchCommand():
            return f"there is no command {error.command_name}"
        case NoSuchOption():
            return f"there is no option {error.option_name}"
        case click.MissingParameter(param=click.Parameter() as param):
            return f"{_label(param)} is missing"
        case click.BadOptionUsage(ctx=click.Context(command=command)):
            options = [one for one in command.params if isinstance(one, click.Option) and error.option_name in one.opts]
            is_flag = any(one.is_flag for one in options)
            return f"{error.option_name} takes no value" if is_flag else f"{error.option_name} needs a value"
        case click.BadParameter(param=click.Parameter() as param) if (what := _kind(param.type)) and (
            found := _VALUE.match(error.message)
        ):
            return f"{_label(param)} is {what}, not {found[1]}"
        case click.UsageError(ctx=click.Context(info_name=str(name))) if found := _EXTRA.fullmatch(error.message):
            return f"{name} does not take {found[1]}"
        case _:
            said = error.format_message()
            return f"{said[:1].lower()}{said[1:].rstrip('.')}"


def _label(param: click.Parameter) -> str:
    """How a person knows a parameter: the option that is typed, or the word of an argument in the help."""
    if isinstance(param, click.Option):
        return param.opts[0]
    return (param.metavar or (param.name or "").upper()).strip("[…].")


def _kind(kind: click.ParamType[Any]) -> str | None:
    """What can be given, where only numbers or certain words can."""
    match kind:
        case click.IntRange() | click.FloatRange():
            least = f" from {kind.min:g}" if kind.min is not None else ""
            if kind.max is None or kind.max > _COUNTABLE:
                return f"a number{least} on" if least else "a number"
            return f"a number{least} to {kind.max:g}" if least else f"a number up to {kind.max:g}"
        case click.types.IntParamType() | click.types.FloatParamType():
            return "a number"
        case click.Choice():
            return " or ".join(map(str, kind.choices))
        case _:
            return None


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
