"""The one page: who is there, what waits for the operator, live."""

from collections.abc import Callable
from typing import Final

import msgspec
from flask import Blueprint, Flask, render_template

from hyperhive.core.hive import Hive
from hyperhive.core.locks import is_held
from hyperhive.core.model import Activity, Flavor
from hyperhive.web import agents, approvals, flow, inbox, kept, news, operations, questions
from hyperhive.web.drawing import Drawing
from hyperhive.web.here import board
from hyperhive.web.rows import Page

bp = Blueprint("dashboard", __name__)

_WORKS: Final = (Activity.THINKING, Activity.COMPACTING)


class Standing(msgspec.Struct, frozen=True):
    """The hive in a line: is it up, how many agents there are, how many of them work, how much waits."""

    up: bool
    agents: int
    working: int
    waiting: int


def drawn(of: Hive, app: Flask) -> Callable[[], Page]:
    """What draws the page as the hive is now."""
    drawing = Drawing(app.jinja_env)

    def draw() -> Page:
        waits = operations.waiting(of)
        everybody, asked, letters = agents.seen(of, waits=waits), questions.seen(of), inbox.seen(of)
        gone, passed = kept.seen(of, waits=waits), flow.seen(of)
        proposals, tools = approvals.seen(of)
        waiting = len(proposals) + len(tools) + len(asked)
        up = is_held(of.paths.lock("hub"))
        standing = Standing(
            up=up,
            agents=len(everybody),
            working=sum(one.agent.turn.state in _WORKS for one in everybody.values()),
            waiting=waiting,
        )
        counts = {"agents": len(everybody), "questions": len(asked), "approvals": len(proposals), "tools": len(tools)}
        done = operations.seen(of, up=up, waits=waits)
        counts |= {"inbox": len(letters), "kept": len(gone), "operations": len(done)}
        return Page(
            title=f"({waiting}) hyperhive" if waiting else "hyperhive",
            signs=(
                drawing.sign("parts/standing.html", "standing", standing),
                drawing.sign("parts/down.html", "down", standing.up),
                *(drawing.sign("parts/count.html", f"count-{name}", count) for name, count in counts.items()),
            ),
            regions={
                "tools": drawing.rows("tools/row.html", tools),
                "approvals": drawing.rows("approvals/row.html", proposals),
                "questions": drawing.rows("questions/row.html", asked),
                "inbox": drawing.rows("inbox/row.html", letters),
                "operations": drawing.rows("operations/row.html", done),
                "kept": drawing.rows("kept/row.html", gone),
                "flow": drawing.rows("flow/row.html", passed),
                "agents": drawing.rows("agents/row.html", everybody),
                "news": drawing.rows("news/row.html", news.seen(of)),
            },
        )

    return draw


@bp.get("/")
def dashboard() -> str:
    """The page as it is now."""
    page = board().look()
    signs = {sign.key: sign for sign in page.signs}
    return render_template("dashboard.html", page=page, signs=signs, flavors=tuple(Flavor))
