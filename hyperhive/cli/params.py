"""What commands take: agents' names, numbers, mounts, variables, times, and the hive itself."""

import functools
import math
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import click
from click.shell_completion import CompletionItem

from hyperhive.cli import screen
from hyperhive.core.errors import HyperhiveError, Invalid, NotFound
from hyperhive.core.hive import Hive, open_hive
from hyperhive.core.model import OPERATOR, AgentName, parse_name
from hyperhive.core.overrides import override
from hyperhive.core.since import since as since_when

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

# What every shell takes as it stands.
_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,+/@-]*")
# How much of it is shown beside what can be chosen, in columns.
_ABOUT_MOST: Final = 60
_NUMBER_MOST: Final = 2**62


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
        return [CompletionItem(name) for name in _completing(_names) if name.startswith(incomplete)]


class Number(click.IntRange):
    """The number of something that was given one; `open_ones` are those that wait, each with a word about it."""

    name = "number"

    def __init__(self, open_ones: Callable[[Hive], Iterable[tuple[int, str]]]) -> None:
        super().__init__(min=1, max=_NUMBER_MOST)
        self._open_ones = open_ones

    @override
    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        found = _completing(self._open_ones)
        return [_item(str(number), word) for number, word in found if str(number).startswith(incomplete)]


class Choice(click.ParamType[str]):
    """One of the choices of the question whose number the command was given."""

    name = "choice"

    @override
    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        # While the option lacks its value, click leaves the words before it as they are.
        words = [str(word) for word in (ctx.params.get("number"), *ctx.args) if word is not None]
        number = next((int(word) for word in words if word.isascii() and word.isdigit()), 0)
        choices = _completing(lambda hive: _choices(hive, number))
        # An agent wrote the choice, and a shell acts on more than words: what is no plain word goes by its number.
        found = [(choice if _PLAIN.fullmatch(choice) else str(at), choice) for at, choice in enumerate(choices, 1)]
        return [_item(value, choice) for value, choice in found if value.startswith(incomplete)]


class OfAgent(click.IntRange):
    """The number of a deployment of the agent that the command was given; `proposals` of it have numbers, too."""

    name = "number"

    def __init__(self, *, proposals: bool) -> None:
        super().__init__(min=1, max=_NUMBER_MOST)
        self._proposals = proposals

    @override
    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        words = [str(word) for word in (ctx.params.get("name"), *ctx.args) if word is not None]
        found = _completing(lambda hive: _points(hive, words[0], proposals=self._proposals)) if words else []
        return [_item(str(number), word) for number, word in found if str(number).startswith(incomplete)]


class Target(click.ParamType[AgentName | int]):
    """An agent, or the number of something."""

    name = "target"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> AgentName | int:
        text = str(value)
        if text.isascii() and text.isdigit() and len(text) < 20:
            return int(text)
        return NAME.convert(value, param, ctx)

    @override
    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [*NAME.shell_complete(ctx, param, incomplete), *WAITING.shell_complete(ctx, param, incomplete)]


class Since(click.ParamType[datetime]):
    """A day or a time, of UTC where it names no zone, or how far back: 2026-01-31, 2026-01-31T12:00, 12h, 7d."""

    name = "since"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        return since_when(value, now=datetime.now(UTC))


def _completing(find: Callable[[Hive], Iterable[T]]) -> list[T]:
    """What is found in the hive; nothing where there is none, for a person is typing."""
    try:
        hive = open_hive()
        try:
            return list(find(hive))
        finally:
            hive.close()
    except HyperhiveError:
        return []


def _item(value: str, about: str) -> CompletionItem:
    return CompletionItem(value, help=screen.fit(" ".join(screen.one_line(about).split()), _ABOUT_MOST))


def _names(hive: Hive) -> list[str]:
    from hyperhive.core import roster

    return [agent.name for agent in roster.listed(hive)]


def _questions(hive: Hive) -> list[tuple[int, str]]:
    from hyperhive.core import questions

    return [(one.number, f"{one.asker}: {one.text[:_ABOUT_MOST]}") for one in questions.listed(hive)]


def _approvals(hive: Hive) -> list[tuple[int, str]]:
    return [(number, word) for number, word in _waiting(hive) if not word.startswith("question ")]


def _waiting(hive: Hive) -> list[tuple[int, str]]:
    from hyperhive.core import pending

    return [(one.number, f"{one.kind} {one.agent}: {one.about}") for one in pending.listed(hive)]


def _points(hive: Hive, name: str, *, proposals: bool) -> list[tuple[int, str]]:
    from hyperhive.core import deployments, pending

    agent = parse_name(name)
    found = {one.number: f"{one.occasion}, {one.outcome or 'under way'}" for one in deployments.history(hive, agent)}
    if proposals:
        found |= {one.number: one.about for one in pending.listed(hive, agent=agent) if one.kind in ("spawn", "config")}
    else:
        found = {number: word for number, word in found.items() if word.endswith("deployed")}
    return sorted(found.items())


def _failed(hive: Hive) -> list[tuple[int, str]]:
    from hyperhive.core import deployments

    return [(one.number, f"{one.agent}: {one.error}") for one in deployments.failed(hive)]


def _choices(hive: Hive, number: int) -> tuple[str, ...]:
    from hyperhive.core import questions

    return questions.get(hive, number).choices


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
QUESTION: Final = Number(_questions)
APPROVAL: Final = Number(_approvals)
WAITING: Final = Number(_waiting)
FAILED: Final = Number(_failed)
DEPLOYED: Final = OfAgent(proposals=False)
POINT: Final = OfAgent(proposals=True)
TARGET: Final = Target()
CHOICE: Final = Choice()
SINCE: Final = Since()
SECONDS: Final = Seconds()

since: Final = click.option(
    "--since", type=SINCE, metavar="T", help="A day or time of UTC (2026-01-31, 2026-01-31T12:00), or how far back (12h, 7d)."
)
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
