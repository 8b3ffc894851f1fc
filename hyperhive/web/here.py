"""What a route works on: the hive of its app, its live pages, who asks."""

from typing import Final

from flask import Flask, current_app

from hyperhive.core.hive import Hive
from hyperhive.web.live import Board
from hyperhive.web.watched import Watched

_HIVE: Final = "hyperhive.hive"
_BOARD: Final = "hyperhive.board"
_WATCHED: Final = "hyperhive.watched"


def put(app: Flask, *, hive: Hive, board: Board, watched: Watched) -> None:
    """Give an app what its routes work on."""
    app.extensions[_HIVE] = hive
    app.extensions[_BOARD] = board
    app.extensions[_WATCHED] = watched


def hive() -> Hive:
    """The hive of the app that serves this request. Each thread has a connection of its own to its database."""
    found: Hive = current_app.extensions[_HIVE]
    return found


def board(app: Flask | None = None) -> Board:
    """The live page of the app that serves this request, or of the one given."""
    found: Board = (app or current_app).extensions[_BOARD]
    return found


def watched(app: Flask | None = None) -> Watched:
    """The live pages of agents of the app that serves this request, or of the one given."""
    found: Watched = (app or current_app).extensions[_WATCHED]
    return found


def end(app: object) -> None:
    """Let every open page of an app go."""
    if isinstance(app, Flask):
        board(app).end()
        watched(app).end()
