"""Kept state: a row for each agent that was destroyed, until a new one takes it over or it is purged."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec
from flask import Blueprint, render_template

from hyperhive.core import folders, requests, tombstones
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, Operation, Verb, parse_name
from hyperhive.core.tombstones import Tombstone
from hyperhive.web.answers import said
from hyperhive.web.here import hive

bp = Blueprint("kept", __name__)

# How long the folders of one are looked through, in seconds.
_MEASURED_MOST: Final = 2.0


class Seen(msgspec.Struct, frozen=True):
    """What is kept of an agent, with what was asked for and has not begun."""

    kept: Tombstone
    asked: Operation | None

    @property
    def busy(self) -> tuple[str, datetime] | None:
        """What is being done to it, or is going to be, with since when."""
        if self.kept.under_way is not None:
            return self.kept.under_way.what, self.kept.under_way.since
        return ("waits to be purged", self.asked.asked_at) if self.asked is not None else None


def seen(of: Hive, *, waits: Sequence[Operation]) -> Mapping[str, Seen]:
    """All that is kept, by the key of its row; `waits` is what was asked for of all agents."""
    purges = {one.agent: one for one in waits if one.verb is Verb.PURGE}
    return {f"kept-{one.name}": Seen(one, purges.get(one.name)) for one in tombstones.listed(of)}


@bp.get("/agents/<name>/size")
def size(name: str) -> str:
    """How much its folders hold; apart from the row, for that takes a moment."""
    return render_template("kept/size.html", size=folders.size_of(hive(), parse_name(name), seconds=_MEASURED_MOST))


@bp.post("/agents/<name>/purge")
def purge(name: str) -> str:
    """Remove all of it, for ever."""
    requests.purge(hive(), parse_name(name), by=OPERATOR)
    return said()
