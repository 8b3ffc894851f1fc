"""The Flask app over a hive."""

from typing import Final

from flask import Flask
from flask_sock import Sock
from simple_websocket import Server

from hyperhive.core.hive import Hive
from hyperhive.core.log import Log
from hyperhive.core.model import parse_name
from hyperhive.web import (
    agent,
    agents,
    answers,
    api,
    approvals,
    dashboard,
    deployments,
    entry,
    flow,
    guard,
    here,
    inbox,
    kept,
    logins,
    operations,
    prompt,
    questions,
    repositories,
    spawn,
    text,
)
from hyperhive.web.compressing import compress
from hyperhive.web.live import Board
from hyperhive.web.pulse import Pulse
from hyperhive.web.watched import Watched

_ROOMS: Final = (
    entry.bp, dashboard.bp, agents.bp, agent.bp, prompt.bp, logins.bp, approvals.bp, spawn.bp, questions.bp, inbox.bp,
    operations.bp, kept.bp, flow.bp, repositories.bp, deployments.bp, api.bp,
)  # fmt: skip
# The first thing that a page says names each of its rows.
_HELLO_BYTES: Final = 1024 * 1024


def make(hive: Hive, *, hosts: frozenset[str], log: Log) -> Flask:
    """The app; `hosts` are the names under which it may be reached. Each thread that serves has its own connection.

    Raises `Unavailable` when its key cannot be read.
    """
    app = Flask(__name__)
    text.prepare(app.jinja_env)
    app.jinja_env.filters["given"] = approvals.given
    compress(app)
    guard.protect(app, hive, hosts=hosts)
    answers.explain_errors(app, log)
    pulse = Pulse(hive, log)
    board = Board(hive, dashboard.drawn(hive, app), log, pulse)
    watched = Watched(agent.desk(hive, app, pulse, log))
    here.put(app, hive=hive, board=board, watched=watched)
    for room in _ROOMS:
        app.register_blueprint(room)
    app.config["SOCK_SERVER_OPTIONS"] = {"max_message_size": _HELLO_BYTES}
    sock = Sock()

    @sock.route("/live")
    def live(socket: Server) -> None:
        board.follow(socket, may=guard.ticket())

    @sock.route("/agents/<name>/live")
    def live_agent(socket: Server, name: str) -> None:
        watched.of(parse_name(name)).board.follow(socket, may=guard.ticket())

    sock.init_app(app)
    return app
