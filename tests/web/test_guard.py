"""Nobody reaches anything without having logged in, from another site, or under another name."""

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from werkzeug.test import TestResponse

from hyperhive.core import access, messages
from hyperhive.core.hive import Hive
from hyperhive.core.log import Log
from hyperhive.core.model import OPERATOR
from hyperhive.web.app import make
from hyperhive.web.guard import OPEN
from tests.core.hives import ADA
from tests.web.visitor import HOST, Visitor

FOREIGN = "http://evil.example"


def routes(app: Flask) -> Iterator[tuple[str, str, str]]:
    """Every route there is, also those that are made later: its endpoint, a method, an address."""
    for rule in app.url_map.iter_rules():
        values = {name: 1 if "int" in type(converter).__name__.lower() else "ada" for name, converter in rule._converters.items()}
        _, path = rule.build(values) or ("", "")
        for method in sorted((rule.methods or set()) - {"OPTIONS"}):
            yield rule.endpoint, method, path


def ask(visitor: Visitor, method: str, path: str, **headers: str | None) -> TestResponse:
    sent = {"Host": HOST, **{name.replace("_", "-"): value for name, value in headers.items() if value is not None}}
    return visitor.client.open(path, method=method, headers=sent)


def everything(app: Flask, visitor: Visitor, **headers: str | None) -> dict[tuple[str, str], int]:
    """What each route answers; a post says where it comes from and has the token, if the headers do not say otherwise."""
    given = {"Origin": f"http://{HOST}", "X_CSRFToken": visitor.token, "HX_Request": "true", **headers}
    return {(endpoint, method): ask(visitor, method, path, **given).status_code for endpoint, method, path in routes(app)}


def test_there_are_routes_to_look_at(app: Flask) -> None:
    found = list(routes(app))
    assert ("agents.stop", "POST", "/agents/ada/stop") in found
    assert ("questions.answer", "POST", "/questions/1/answer") in found
    assert ("__flask_sock.live", "GET", "/live") in [
        (endpoint.replace("websocket_route", "live"), *rest) for endpoint, *rest in found
    ]


def test_who_has_not_logged_in_sees_how_to_and_nothing_else(app: Flask, stranger: Visitor) -> None:
    answers = everything(app, stranger)
    assert {endpoint for (endpoint, _), status in answers.items() if status != 401} <= OPEN
    assert {status for (endpoint, _), status in answers.items() if endpoint not in OPEN} == {401}
    door = stranger.get("/")
    assert door.status_code == 401
    assert "hyperhive web login" in door.text


@pytest.mark.parametrize("origin", [FOREIGN, "null", f"http://{HOST}.evil.example", "http://127.0.0.1:8421", "file://"])
def test_nothing_of_another_site_is_answered(app: Flask, operator: Visitor, hive: Hive, origin: str) -> None:
    assert set(everything(app, operator, Origin=origin).values()) == {403}
    assert hive.paths.wake.is_dir()
    assert not list(hive.paths.wake.iterdir())


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8420", "127.0.0.1:80", "127.0.0.1", "127.0.0.1:8420.evil.example"]
)
def test_under_another_name_nothing_is_answered(app: Flask, operator: Visitor, host: str) -> None:
    assert set(everything(app, operator, Host=host, Origin=f"http://{host}").values()) == {403}


def test_what_changes_something_says_where_it_comes_from_and_has_the_pages_token(app: Flask, operator: Visitor) -> None:
    for lacking in ({"Origin": None}, {"X_CSRFToken": None}, {"X_CSRFToken": "x"}):
        answers = everything(app, operator, **lacking)
        assert {status for (_, method), status in answers.items() if method == "POST"} == {403}


def test_the_token_of_one_session_is_none_of_another(app: Flask, operator: Visitor, hive: Hive) -> None:
    other = Visitor(app, hive)
    other.log_in()
    assert operator.post("/agents/ada/stop", X_CSRFToken=other.token).status_code == 403
    assert operator.post("/agents/ada/stop").status_code == 200


def test_a_websocket_of_another_site_is_refused_before_it_is_accepted(operator: Visitor) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec_WebSocket_Version": "13",
    }
    for origin in (FOREIGN, None):
        answer = ask(operator, "GET", "/live", Origin=origin, **upgrade)
        assert answer.status_code == 403
        assert "Sec-WebSocket-Accept" not in answer.headers


def test_a_link_lets_in_once(app: Flask, stranger: Visitor, hive: Hive) -> None:
    link = f"/login/{access.invite(hive)}"
    # Whoever only looks whether it is good does not use it up.
    assert stranger.client.head(link, headers={"Host": HOST}).status_code == 200
    assert stranger.get("/").status_code == 401
    assert stranger.get(link).status_code == 200
    assert stranger.get("/").status_code == 200
    replayed = Visitor(app, hive)
    assert replayed.get(link).status_code == 403
    assert replayed.get("/").status_code == 401


def test_a_link_is_good_for_a_minute(stranger: Visitor, hive: Hive) -> None:
    with time_machine.travel(hive.now(), tick=False) as clock:
        link = f"/login/{access.invite(hive)}"
        clock.shift(timedelta(seconds=61))
        assert stranger.get(link).status_code == 403


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_cookie_is_kept_from_scripts_and_from_other_sites(stranger: Visitor, hive: Hive, scheme: str) -> None:
    entered = stranger.client.get(f"/login/{access.invite(hive)}", base_url=f"{scheme}://{HOST}")
    (cookie,) = entered.headers.getlist("Set-Cookie")
    flags = {part.strip().split("=")[0] for part in cookie.split(";")[1:]}
    assert {"HttpOnly", "SameSite", "Path", "Expires"} <= flags
    assert "SameSite=Strict" in cookie
    assert ("Secure" in flags) is (scheme == "https")
    assert re.match(r"hyperhive-[0-9a-f]{8}=", cookie)


def test_who_was_logged_out_in_the_shell_is_out(operator: Visitor, hive: Hive) -> None:
    assert operator.get("/session").status_code == 204
    access.revoke_all(hive)
    assert operator.get("/session").status_code == 401
    assert operator.post("/agents/ada/stop").status_code == 401


def test_who_logs_out_is_out_also_with_the_cookie_that_was_kept(app: Flask, operator: Visitor, hive: Hive) -> None:
    left = operator.post("/logout")
    assert left.headers["HX-Redirect"] == "/login"
    assert access.listed(hive) == []
    again = Visitor(app, hive)
    again.wear(operator.cookie)
    assert again.get("/").status_code == 401


def test_a_page_goes_on_when_the_server_was_started_anew(operator: Visitor, hive: Hive) -> None:
    again = Visitor(make(hive, hosts=frozenset({HOST}), log=Log("web", quiet=True)), hive)
    again.wear(operator.cookie)
    assert again.post("/agents/ada/stop", X_CSRFToken=operator.token).status_code == 200


def test_a_token_reads_and_changes_nothing(app: Flask, stranger: Visitor, hive: Hive) -> None:
    bearer = {"Authorization": f"Bearer {access.make_token(hive, label='script')}"}
    assert stranger.get("/", **bearer).status_code == 200
    answers = everything(app, stranger, **bearer)
    assert {status for (_, method), status in answers.items() if method == "POST"} == {403}
    assert stranger.get("/", Authorization="Bearer x").status_code == 403


def test_the_key_that_signs_cookies_is_nobody_elses_to_read(app: Flask, hive: Hive) -> None:
    key = hive.paths.state / "web.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert app.secret_key == key.read_text()
    assert [path.name for path in hive.paths.state.glob("web.key*")] == ["web.key"]


def test_each_answer_says_what_a_browser_may_do_with_it(app: Flask, operator: Visitor, stranger: Visitor) -> None:
    for visitor in (operator, stranger):
        for _, method, path in routes(app):
            headers = ask(visitor, method, path, Origin=f"http://{HOST}").headers
            policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
            assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
            assert policy["script-src"] == policy["style-src"] == "'self'"
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Referrer-Policy"] == "same-origin"
            assert headers["Cache-Control"] == "no-store"


def test_no_template_has_script_or_style_of_its_own(app: Flask) -> None:
    loader = app.jinja_env.loader
    assert loader is not None
    for name in app.jinja_env.list_templates():
        source, _, _ = loader.get_source(app.jinja_env, name)
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|hx-on|javascript:|<script(?! src=)|js:", source), name
        # An attribute without quotes would end where an agent's text has a blank.
        assert not re.search(r"=\{\{", source), name


def test_a_long_form_is_refused_before_it_is_read(operator: Visitor) -> None:
    assert operator.post("/questions/1/answer", {"text": "x" * 2_000_000}).status_code == 413


def test_what_an_agent_wrote_is_no_markup(operator: Visitor, hive: Hive) -> None:
    messages.send(
        hive, sender=ADA, to=OPERATOR, body='<img src=x onerror=alert(1)> "><script>alert(2)</script> javascript:alert(3)'
    )
    page = operator.get("/").text
    assert "&lt;img src=x onerror=alert(1)&gt; &#34;&gt;&lt;script&gt;" in page
    assert "<img" not in page
    assert 'href="javascript' not in page
