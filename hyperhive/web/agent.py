"""An agent's own page: how it is, what it says and does, what waits for it."""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec
from flask import Blueprint, Flask, render_template

from hyperhive.core import awaited, messages, roster, turns, usage
from hyperhive.core.errors import HyperhiveError, NotFound
from hyperhive.core.hive import Hive
from hyperhive.core.locks import is_held
from hyperhive.core.log import Log
from hyperhive.core.login_dialogue import Dialogue, Said
from hyperhive.core.model import AgentName, Message, Wanted
from hyperhive.web import agents, approvals, operations, prompt, questions
from hyperhive.web.drawing import Drawing
from hyperhive.web.here import hive, watched
from hyperhive.web.live import Board
from hyperhive.web.one_login import Login
from hyperhive.web.pulse import Pulse
from hyperhive.web.rows import Page
from hyperhive.web.stream import Stream
from hyperhive.web.telling import Drawer, told
from hyperhive.web.watched import Desk

bp = Blueprint("agent", __name__)

# So many messages that wait for it are shown, the oldest first.
_MAIL_MOST: Final = 50
_TURNS: Final = 30
_DAYS: Final = 14


class Standing(msgspec.Struct, frozen=True):
    """An agent as its page shows it. `seen` is None where nothing is left of it, `trouble` says why its events are not shown."""

    name: str
    seen: agents.Seen | None
    trouble: str

    @property
    def is_destroyed(self) -> bool:
        """It was taken away, and its state is kept."""
        return self.seen is not None and self.seen.agent.wanted is Wanted.DESTROYED


class Access(msgspec.Struct, frozen=True):
    """Whether an agent has a login, and how far one is that is under way from here, or was the last."""

    is_there: bool
    said: Said | None


class Letter(msgspec.Struct, frozen=True):
    """A message that waits for an agent."""

    message: Message


def desk(of: Hive, app: Flask, pulse: Pulse, log: Log) -> Callable[[AgentName], Desk]:
    """What makes the live page of an agent."""

    def make(name: AgentName) -> Desk:
        def begin() -> Dialogue:
            return Dialogue(of, name, log, is_watched=lambda: board.is_open, say=tell)

        def tell() -> None:
            with suppress(HyperhiveError):
                board.look()

        stream = Stream(of, name, Drawer(app.jinja_env, f"/agents/{name}"))
        login = Login(begin)
        board = Board(of, _drawn(of, app, name, stream, login), log, pulse, stream)
        return Desk(board, stream, login)

    return make


@bp.get("/agents/<name>")
def page(name: str) -> str:
    """The page as it is now."""
    agent = AgentName(roster.get(hive(), name).name)
    open_page = watched().of(agent)
    events = open_page.stream.newest()
    now = open_page.board.look()
    return render_template(
        "agent/page.html",
        name=agent,
        page=now,
        signs={sign.key: sign for sign in now.signs},
        events=events,
        offered=prompt.OFFERED,
    )


@bp.get("/agents/<name>/events/<store>/before/<int:number>")
def earlier(name: str, store: str, number: int) -> str:
    """What came before an event."""
    return watched().of(AgentName(roster.get(hive(), name).name)).stream.before(store, number)


@bp.get("/agents/<name>/events/<store>/<int:number>")
def event(name: str, store: str, number: int) -> str:
    """All of an event, where its page had only the beginning."""
    found = watched().of(AgentName(roster.get(hive(), name).name)).stream.one(store, number)
    return render_template("agent/event_body.html", body=told(found, store).body)


@bp.get("/agents/<name>/turns")
def costs(name: str) -> str:
    """How its last turns ended, and what all of them cost."""
    found = turns.listed(hive(), name, limit=_TURNS)
    days = usage.cost(hive(), name)
    totals = {"turns": sum(one.turns for one in days), "cost": sum(one.cost_usd for one in days)}
    totals["seconds"] = sum(one.seconds for one in days)
    return render_template("agent/turns.html", turns=found[::-1], days=days[: -_DAYS - 1 : -1], totals=totals)


def _drawn(of: Hive, app: Flask, name: AgentName, stream: Stream, login: Login) -> Callable[[], Page]:
    drawing = Drawing(app.jinja_env)

    def draw() -> Page:
        one = Standing(name, _seen(of, name), stream.trouble)
        is_there = one.seen is not None and not one.is_destroyed
        mail = {f"mail-{found.number}": Letter(found) for found in messages.inbox(of, name, limit=_MAIL_MOST)} if is_there else {}
        asked = {key: value for key, value in questions.seen(of).items() if value.asker == name}
        tools = {key: value for key, value in approvals.seen(of)[1].items() if value.agent == name}
        waiting = len(asked) + len(tools)
        state = one.seen.state[0] if one.seen is not None else "gone"
        return Page(
            title=f"({waiting}) {name}: {state}" if waiting else f"{name}: {state}",
            signs=(
                drawing.sign("agent/state.html", "state", one),
                drawing.sign("agent/acts.html", "acts", one),
                drawing.sign("agent/troubles.html", "troubles", one),
                drawing.sign("agent/turn.html", "turn", one),
                drawing.sign("agent/login.html", "login", Access(one.seen is not None and one.seen.agent.logged_in, login.said)),
                drawing.sign("parts/down.html", "down", is_held(of.paths.lock("hub"))),
                drawing.sign("parts/count.html", "count-mail", len(mail)),
            ),
            regions={
                "tools": drawing.rows("tools/row.html", tools),
                "questions": drawing.rows("questions/row.html", asked),
                "mail": drawing.rows("agent/mail.html", mail),
            },
        )

    return draw


def _seen(of: Hive, name: AgentName) -> agents.Seen | None:
    try:
        agent = roster.get(of, name)
    except NotFound:
        # It was purged while somebody had its page open.
        return None
    asked = agents.asked_for(operations.waiting(of)).get(name)
    return agents.Seen(agent, asked, tuple(awaited.numbers(of).get(name, ())))
