"""What stands behind the question mark of an address that scripts read."""

from collections.abc import Sequence
from datetime import datetime

from flask import request

from hyperhive.core.errors import Invalid
from hyperhive.core.since import since
from hyperhive.web.here import hive


class Query:
    """The options of a request. What is none of the `known` ones is refused: nothing that was asked for is passed over."""

    def __init__(self, *known: str) -> None:
        for name, values in request.args.lists():
            if name not in known:
                raise Invalid(f"{name[:40]!a} is no option here", hint=f"one of {', '.join(known)}" if known else "there is none")
            if len(values) > 1:
                raise Invalid(f"{name} is given twice", hint=f"{name}={values[0][:40]}")

    def flag(self, name: str) -> bool:
        """Whether it is wanted: `all`, `all=1` and `all=true` are yes."""
        return self.choice(name, "0", ["", "0", "1", "false", "true"]) not in ("0", "false")

    def text(self, name: str, default: str) -> str:
        """A text as it was given."""
        return request.args.get(name, default)

    def choice(self, name: str, default: str, choices: Sequence[str]) -> str:
        """One of these."""
        given = self.text(name, default)
        if given not in choices:
            raise Invalid(f"{name} is not {given[:40]!a}", hint=f"one of {', '.join(one for one in choices if one)}")
        return given

    def number(self, name: str, default: int, *, least: int, most: int) -> int:
        """A whole number between these."""
        given = self.text(name, str(default))
        if not (given.isascii() and given.isdigit() and len(given) < 20 and least <= int(given) <= most):
            raise Invalid(f"{name} is not {given[:40]!a}", hint=f"a number from {least} to {most}")
        return int(given)

    def since(self, name: str) -> datetime | None:
        """From when on, as the shell takes it."""
        given = request.args.get(name)
        return None if given is None else since(given, now=hive().now(), option=f"{name}=")
