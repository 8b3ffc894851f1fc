"""Somebody who asks the app for pages, and posts what its forms post."""

import html
import re
from collections.abc import Mapping
from typing import Final

from flask import Flask
from werkzeug.http import parse_cookie
from werkzeug.test import TestResponse

from hyperhive.core import access
from hyperhive.core.hive import Hive

HOST: Final = "127.0.0.1:8420"
ORIGIN: Final = f"http://{HOST}"
_TOKEN: Final = re.compile(r'"X-CSRFToken": "([^"]+)"')


class Visitor:
    """A browser without a screen: it keeps cookies, and sends what the page's forms send."""

    def __init__(self, app: Flask, hive: Hive) -> None:
        self.client = app.test_client()
        self.token = ""
        self.cookie = ("", "")
        self._hive = hive

    def log_in(self) -> TestResponse:
        """Use a link, and open the page."""
        entered = self.get(f"/login/{access.invite(self._hive)}")
        assert entered.status_code == 200
        (cookie,) = parse_cookie(entered.headers["Set-Cookie"].partition(";")[0]).items()
        self.cookie = cookie
        found = _TOKEN.search(html.unescape(self.get("/").text))
        assert found is not None
        self.token = found[1]
        return entered

    def wear(self, cookie: tuple[str, str]) -> None:
        """Have a cookie that was somebody else's."""
        self.client.set_cookie(*cookie, domain="127.0.0.1")

    def get(self, path: str, **headers: str) -> TestResponse:
        """Ask for a page, or a part of one."""
        return self.client.get(path, headers={"Host": HOST, **_dashed(headers)})

    def post(self, path: str, form: Mapping[str, str] = {}, **headers: str) -> TestResponse:
        """Post a form as htmx does."""
        sent = {"Host": HOST, "Origin": ORIGIN, "HX-Request": "true", "X-CSRFToken": self.token, **_dashed(headers)}
        return self.client.post(path, data=form, headers={name: value for name, value in sent.items() if value})


def _dashed(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
