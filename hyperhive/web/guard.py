"""Who may reach the dashboard: its own names, its own pages, somebody who has logged in."""

import hashlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from flask import Flask, Response, request, session
from flask.sessions import SecureCookieSessionInterface
from flask_wtf.csrf import CSRFProtect, generate_csrf
from typing_extensions import override

from hyperhive.core import access
from hyperhive.core.access import AccessKind
from hyperhive.core.errors import Denied, Unavailable
from hyperhive.core.hive import Hive
from hyperhive.web.here import hive

# What may be seen without having logged in: how to log in, and what that page is made of.
OPEN: Final = frozenset({"static", "entry.door", "entry.enter"})
# Where a session's secret stands in the signed cookie.
_SECRET: Final = "access"
_BEARER: Final = "Bearer "
# A form of a person; one message and what stands around it. Bytes.
_FORM_MOST: Final = 1024 * 1024
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    # Not `no-referrer`: a form would then come from the origin `null`.
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Stranger(Denied):
    """Nobody is logged in."""

    http_status = 401


def protect(app: Flask, of: Hive, *, hosts: frozenset[str]) -> None:
    """Put the guard before every route. `hosts` are the names under which it answers, with a port where they have one."""
    app.secret_key = _key(of.paths.state / "web.key")
    app.session_interface = _Sessions()
    app.config.update(
        # Cookies know no port: two hives of a machine must not log each other out.
        SESSION_COOKIE_NAME=f"hyperhive-{hashlib.sha256(os.fsencode(of.paths.state)).hexdigest()[:8]}",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        SESSION_COOKIE_PATH="/",
        PERMANENT_SESSION_LIFETIME=access.SESSION_DAYS * 24 * 3600,
        SESSION_REFRESH_EACH_REQUEST=False,
        MAX_CONTENT_LENGTH=_FORM_MOST,
        MAX_FORM_MEMORY_SIZE=_FORM_MOST,
        # A page may stay open for days; its token is as good as the session that it belongs to.
        WTF_CSRF_TIME_LIMIT=None,
        # The origin is looked at anyhow, for every scheme.
        WTF_CSRF_SSL_STRICT=False,
    )

    @app.before_request
    def check() -> None:
        _check_host(hosts)
        _check_origin()
        if request.endpoint not in OPEN:
            _check_login()

    CSRFProtect().init_app(app)

    @app.after_request
    def label(response: Response) -> Response:
        response.headers.update(_HEADERS)
        response.headers["Content-Security-Policy"] = _policy()
        if request.endpoint != "static" or response.status_code >= 400:
            response.headers["Cache-Control"] = "no-store"
        return response


def let_in(secret: str) -> None:
    """Remember in the browser's cookie the session whose secret this is."""
    session.clear()
    session.permanent = True
    session[_SECRET] = secret
    # Now, so that this is the one cookie of the session.
    generate_csrf()


def ticket() -> Callable[[], bool]:
    """Says whether whoever asks now is logged in still, at any later time."""
    of, secret = hive(), session.get(_SECRET)

    def holds() -> bool:
        try:
            access.check(of, AccessKind.SESSION, secret if isinstance(secret, str) else "")
        except Denied:
            return False
        return True

    return holds


def forget() -> None:
    """End the session of this browser."""
    secret = session.get(_SECRET)
    if isinstance(secret, str):
        number = access.check(hive(), AccessKind.SESSION, secret).number
        access.revoke(hive(), number)
    session.clear()


class _Sessions(SecureCookieSessionInterface):
    @override
    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure


def _check_host(hosts: frozenset[str]) -> None:
    # A page of another name that leads to this address (DNS rebinding) is a page of somebody else.
    host = request.host.lower()
    if host not in hosts and host.rpartition(":")[0] not in hosts:
        raise Denied(
            f"this dashboard is not known as {ascii(host)[1:-1]}", hint='`hosts = ["NAME"]` below `[web]` in hive.toml names it'
        )


def _check_origin() -> None:
    origin = request.headers.get("Origin")
    writes = request.method not in ("GET", "HEAD", "OPTIONS")
    if origin is None and not writes and not _is_socket():
        return
    # Behind a proxy that does not say so, what came by https looks like http here.
    ours = {f"{request.scheme}://{request.host}".lower(), f"https://{request.host}".lower()}
    if origin is None or origin.lower() not in ours:
        raise Denied(f"this came from {_shown(origin)}, not from a page of this dashboard", hint="open the dashboard itself")


def _check_login() -> None:
    given = request.headers.get("Authorization", "")
    if given.startswith(_BEARER):
        if request.method not in ("GET", "HEAD") or _is_socket():
            raise Denied("a token only reads", hint="the shell does the rest: hyperhive --help")
        access.check(hive(), AccessKind.TOKEN, given.removeprefix(_BEARER))
        return
    secret = session.get(_SECRET)
    try:
        access.check(hive(), AccessKind.SESSION, secret if isinstance(secret, str) else "")
    except Denied as error:
        raise Stranger(error.message, hint=error.hint) from None


def _is_socket() -> bool:
    return request.headers.get("Upgrade", "").lower() == "websocket"


def _policy() -> str:
    # The WebSocket by its name: not every browser takes it for 'self'. The host was checked, or the answer is an error.
    host = urlsplit(f"//{request.host}").netloc if request.host.isascii() else ""
    return "; ".join(
        [
            "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "font-src 'self'",
            f"connect-src 'self' ws://{host} wss://{host}", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'",
        ]
    )  # fmt: skip


def _shown(origin: str | None) -> str:
    return "nowhere" if origin is None else ascii(origin[:100])[1:-1]


def _key(file: Path) -> str:
    """The key that signs cookies: made once, so that an open page goes on when the server was started anew."""
    try:
        for _ in range(2):
            try:
                return file.read_text(encoding="ascii")
            except FileNotFoundError:
                draft = file.with_name(f"{file.name}.{os.getpid()}")
                fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
                with os.fdopen(fd, "w", encoding="ascii") as made:
                    made.write(secrets.token_urlsafe(32))
                # Where two are started at once, the first to link its own is the one that both read.
                try:
                    os.link(draft, file)
                except FileExistsError:
                    pass
                finally:
                    draft.unlink()
        return file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable(f"{file} cannot be read: {error}", hint=f"ls -l {file}") from None
