"""What commands take: agents' names, mounts, variables, times, and the hive itself."""

import functools
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import click
from click.shell_completion import CompletionItem

from hyperhive.core.errors import HyperhiveError, Invalid, NotFound
from hyperhive.core.hive import Hive, open_hive
from hyperhive.core.model import OPERATOR, AgentName, parse_name
from hyperhive.core.overrides import override

P = ParamSpec("P")
R = TypeVar("R")

_SPAN: Final = re.compile(r"(\d{1,5})([mhdw])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class NewName(click.ParamType[AgentName]):
    """A name for an agent that is to be."""

    name = "name"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> AgentName:
        return parse_name(str(value))


class Name(click.ParamType[AgentName]):
    """The name of an agent that is there, or was."""

    name = "name"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> AgentName:
        if value in (OPERATOR, "hive"):
            raise NotFound(f"{value} is not an agent", hint="`hyperhive ps` shows who is there")
        return parse_name(str(value))

    @override
    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from hyperhive.core import roster

        try:
            hive = open_hive()
            names = [agent.name for agent in roster.listed(hive)]
            hive.close()
        except HyperhiveError:
            return []
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


class Since(click.ParamType[datetime]):
    """A day, or how far back: 2026-01-31, 12h, 7d."""

    name = "since"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        now = datetime.now(UTC)
        try:
            if span := _SPAN.fullmatch(value):
                return now - timedelta(**{_UNITS[span[2]]: int(span[1])})
            return datetime.strptime(value, "%Y-%m-%d").replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            raise Invalid(f"{value!a} is no day and no span of time", hint="--since 2026-01-31, or --since 7d") from None


class Seconds(click.FloatRange):
    """A time to wait."""

    name = "seconds"

    def __init__(self) -> None:
        super().__init__(min=0)

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds = float(super().convert(value, param, ctx))
        if math.isnan(seconds):
            # It is in every range, and no clock ever comes to it.
            self.fail(f"{value} is not a number of seconds", param, ctx)
        return seconds


NAME: Final = Name()
NEW_NAME: Final = NewName()
SINCE: Final = Since()
SECONDS: Final = Seconds()

as_json: Final = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def pass_hive(command: Callable[Concatenate[Hive, P], R]) -> Callable[P, R]:
    """Give a command the hive, and close it when the command has ended."""

    @functools.wraps(command)
    def opened(*args: P.args, **kwargs: P.kwargs) -> R:
        hive = open_hive()
        try:
            return command(hive, *args, **kwargs)
        finally:
            hive.close()

    return opened


def variables(pairs: tuple[str, ...]) -> dict[str, str]:
    """Read K=V. Raises `Invalid`."""
    found: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise Invalid(f"{pair!a} is not a variable", hint="--env TZ=UTC")
        found[key] = value
    return found
