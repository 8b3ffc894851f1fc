"""The login of an agent from its page: its agent CLI asks for it, or a token is given."""

from flask import Blueprint, request

from hyperhive.core import login, roster
from hyperhive.core.model import parse_name
from hyperhive.web.answers import said
from hyperhive.web.here import hive, watched

bp = Blueprint("logins", __name__)


@bp.post("/agents/<name>/login")
def begin(name: str) -> str:
    """Let its agent CLI ask for a login."""
    agent = parse_name(name)
    with hive().db.read():
        roster.living(agent)
    watched().of(agent).login.begin()
    return said()


@bp.post("/agents/<name>/login/code")
def give(name: str) -> str:
    """Hand over the code that its page shows after a login there."""
    watched().of(parse_name(name)).login.give(request.form.get("code", ""))
    return said()


@bp.post("/agents/<name>/login/end")
def end(name: str) -> str:
    """Give the login up."""
    watched().of(parse_name(name)).login.end()
    return said()


@bp.post("/agents/<name>/token")
def token(name: str) -> str:
    """Keep a token for it."""
    agent = parse_name(name)
    login.set_token(hive(), agent, request.form.get("token", ""))
    return said(f"{agent} has its token")
