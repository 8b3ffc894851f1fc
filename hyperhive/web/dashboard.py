"""The one page: who is there, what waits for the operator, live."""

from collections.abc import Callable
from typing import Final

import msgspec
from flask import Blueprint, Flask, render_template

from hyperhive.core.hive import Hive
from hyperhive.core.locks import is_held
from hyperhive.core.model import Activity
from hyperhive.web import agents, approvals, inbox, questions
from hyperhive.web.drawing import Drawing
from hyperhive.web.here import board, hive
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
        everybody, asked, letters = agents.seen(of), questions.seen(of), inbox.seen(of)
        proposals, tools = approvals.seen(of)
        waiting = len(proposals) + len(tools) + len(asked)
        standing = Standing(
            up=is_held(of.paths.lock("hub")),
            agents=len(everybody),
            working=sum(one.agent.turn.state in _WORKS for one in everybody.values()),
            waiting=waiting,
        )
        counts = {"agents": len(everybody), "questions": len(asked), "approvals": len(proposals), "tools": len(tools)}
        counts["inbox"] = len(letters)
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
                "agents": drawing.rows("agents/row.html", everybody),
            },
        )

    return draw


@bp.get("/")
def dashboard() -> str:
    """The page as it is now."""
    page = board().look()
    return render_template("dashboard.html", page=page, signs={sign.key: sign for sign in page.signs}, state=hive().paths.state)
