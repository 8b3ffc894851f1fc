"""How a route answers: in place of what a form shows, or as a page; also when it went wrong."""

import shlex
from typing import Final

from flask import Flask, Response, make_response, render_template, request
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from hyperhive.core import as_json
from hyperhive.core.errors import CommandFailed, HyperhiveError
from hyperhive.core.log import Log
from hyperhive.web.guard import Stranger

# Below this are answers for scripts.
API: Final = "/api/"


def said(text: str = "") -> str:
    """What a form shows when it was done; nothing where the page itself shows it."""
    return render_template("parts/said.html", text=text)


def data(value: object, status: int = 200) -> Response:
    """A value for a script, as the shell prints it."""
    return Response(as_json.text(value), status, mimetype="application/json")


def explain_errors(app: Flask, record: Log) -> None:
    """Answer what goes wrong with a sentence and what to type."""

    @app.errorhandler(HyperhiveError)
    def known(error: HyperhiveError) -> Response:
        if error.http_status == HyperhiveError.http_status:
            return unforeseen(error)
        if isinstance(error, Stranger) and not _is_part() and not _is_api():
            return make_response(render_template("door.html"), error.http_status)
        replay = shlex.join(error.argv) if isinstance(error, CommandFailed) else None
        output = error.output if isinstance(error, CommandFailed) else None
        return _rendered(error.message, error.hint, error.http_status, replay=replay, output=output)

    @app.errorhandler(CSRFError)
    def stale(error: CSRFError) -> Response:
        return _rendered("this page is too old to act from", "load it again", 403)

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Response:
        return _rendered((error.name or "it cannot be done").lower(), None, error.code or 500)

    @app.errorhandler(Exception)
    def unforeseen(error: Exception) -> Response:
        # Flask calls this while it handles the exception.
        record.exception(f"a bug, met at {request.method} {request.path}")
        return _rendered(
            f"this is a bug in hyperhive ({type(error).__name__})", "log/web.log in the hive's state folder has all of it", 500
        )


def _rendered(message: str, hint: str | None, status: int, *, replay: str | None = None, output: str | None = None) -> Response:
    if _is_api():
        return data({"error": message, "hint": hint}, status)
    template = "parts/error.html" if _is_part() else "error.html"
    return make_response(render_template(template, message=message, hint=hint, replay=replay, output=output), status)


def _is_api() -> bool:
    return request.path.startswith(API)


def _is_part() -> bool:
    return request.headers.get("HX-Request") is not None
