"""Logging in with a link from the shell, and out."""

from flask import Blueprint, redirect, render_template, request
from werkzeug.wrappers import Response

from hyperhive.core import access
from hyperhive.web import guard
from hyperhive.web.here import hive

bp = Blueprint("entry", __name__)


@bp.get("/login")
def door() -> str:
    """Say how to log in."""
    return render_template("door.html")


@bp.get("/login/<secret>")
def enter(secret: str) -> str:
    """Let a browser in, once."""
    if request.method == "HEAD":
        # Whoever only asks whether the link is good must not use it up.
        return ""
    guard.let_in(access.enter(hive(), secret, label=request.user_agent.string))
    # The page leads on by itself: where the link stood on another site, only what this one asks for brings the cookie.
    return render_template("entered.html")


@bp.get("/session")
def session() -> tuple[str, int]:
    """Say to a page that has lost its connection whether it is logged in still: who is not does not come so far."""
    return "", 204


@bp.post("/logout")
def leave() -> Response:
    """Log this browser out."""
    guard.forget()
    response = redirect("/login", 303)
    response.headers["HX-Redirect"] = "/login"
    return response
