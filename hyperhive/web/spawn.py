"""The operator's own request for a new agent, which waits among the others."""

from flask import Blueprint, request

from hyperhive.core import proposals
from hyperhive.core.errors import Invalid
from hyperhive.core.model import Flavor, parse_name
from hyperhive.web.answers import said
from hyperhive.web.here import hive

bp = Blueprint("spawn", __name__)


@bp.post("/spawn")
def ask() -> str:
    """Put it before the operator, to be looked at and decided."""
    form = request.form
    asked = proposals.spawn_by_operator(
        hive(),
        parse_name(form.get("name", "").strip()),
        flavor=_flavor(form.get("flavor", "")),
        # A browser ends lines as the network does.
        role=form.get("role", "").replace("\r\n", "\n").strip(),
        model=form.get("model", "").strip() or None,
    )
    return said(f"{asked.agent} waits as approval {asked.number}")


def _flavor(text: str) -> Flavor:
    try:
        return Flavor(text or Flavor.WORKER)
    except ValueError:
        raise Invalid(f"{text[:40]!a} is no flavor", hint=f"one of {', '.join(Flavor)}") from None
