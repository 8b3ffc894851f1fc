"""What a route works on: the hive of its app, its board, who asks."""

from typing import Final

from flask import Flask, current_app

from hyperhive.core.hive import Hive
from hyperhive.web.live import Board

_HIVE: Final = "hyperhive.hive"
_BOARD: Final = "hyperhive.board"


def put(app: Flask, *, hive: Hive, board: Board) -> None:
    """Give an app what its routes work on."""
    app.extensions[_HIVE] = hive
    app.extensions[_BOARD] = board


def hive() -> Hive:
    """The hive of the app that serves this request. Each thread has a connection of its own to its database."""
    found: Hive = current_app.extensions[_HIVE]
    return found


def board(app: Flask | None = None) -> Board:
    """The live page of the app that serves this request, or of the one given."""
    found: Board = (app or current_app).extensions[_BOARD]
    return found


def end(app: object) -> None:
    """Let every open page of an app go."""
    if isinstance(app, Flask):
        board(app).end()
