"""What hyperhive uses of flask-sock, which has no types of its own."""

from collections.abc import Callable
from typing import Any, Concatenate, TypeAlias

from flask import Blueprint, Flask
from simple_websocket import Server

_Route: TypeAlias = Callable[Concatenate[Server, ...], None]

class Sock:
    def init_app(self, app: Flask) -> None: ...
    def route(
        self, path: str, bp: Blueprint | None = None, **kwargs: Any
    ) -> Callable[[Callable[Concatenate[Server, ...], None]], None]: ...
