"""The repositories of the agents' configurations: commits, differences, files."""

from typing import Final

from flask import Blueprint, render_template
from werkzeug.exceptions import NotFound as NoSuchPage

from hyperhive.core import applied, commits, deployments, reviews, roster
from hyperhive.core.errors import HyperhiveError, NotFound
from hyperhive.core.git_trees import Entry
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, DeploymentOutcome, Wanted, parse_name
from hyperhive.web import comparing
from hyperhive.web.comparing import Compared
from hyperhive.web.here import hive

bp = Blueprint("repositories", __name__)

_A_PAGE: Final = commits.LIMIT
# How many pages of commits can be turned; who proposes decides how many there are.
_PAGES_MOST: Final = 1000
# Of a file, in bytes.
_FILE_MOST: Final = 512 * 1024


@bp.get("/repositories")
def index() -> str:
    """All repositories."""
    known = {one.name: one for one in roster.listed(hive(), everything=True)}
    found = [(name, known.get(name)) for name in commits.repositories(hive())]
    return render_template("repositories/index.html", repositories=found)


@bp.get("/repositories/<name>")
def one(name: str) -> str:
    """What an agent was given, and the newest commits."""
    return _shown(parse_name(name), 1)


@bp.get("/repositories/<name>/page/<int:number>")
def page(name: str, number: int) -> str:
    """Older commits."""
    if not 1 < number <= _PAGES_MOST:
        raise NoSuchPage
    return _shown(parse_name(name), number)


@bp.get("/repositories/<name>/<commit>")
def commit(name: str, commit: str) -> str:
    """A commit: what it changes, and its files."""
    agent = parse_name(name)
    found = commits.get(hive(), agent, commit)
    parent = next(iter(found.commit.parents), None)
    compared, why = _compared(agent, parent, found.commit.id)
    files, refused = _files(agent, found.commit.id)
    now = _applied(hive(), agent)
    return render_template(
        "repositories/commit.html", name=agent, found=found, parent=parent, compared=compared, why=why, files=files,
        refused=refused, now=now if now != found.commit.id else None,
    )  # fmt: skip


@bp.get("/repositories/<name>/<before>/to/<after>")
def between(name: str, before: str, after: str) -> str:
    """What lies between two commits."""
    agent = parse_name(name)
    ends = [commits.get(hive(), agent, end) for end in (before, after)]
    compared, why = _compared(agent, ends[0].commit.id, ends[1].commit.id)
    return render_template("repositories/between.html", name=agent, ends=ends, compared=compared, why=why)


@bp.get("/repositories/<name>/<commit>/files/<path:path>")
def file(name: str, commit: str, path: str) -> str:
    """A file as it is in a commit."""
    agent = parse_name(name)
    found = commits.get(hive(), agent, commit)
    data = applied.read(hive(), agent, found.commit.id, path, most=_FILE_MOST)
    if data is None:
        raise NotFound(f"there is no {path[:200]!a} in the commit {found.commit.id[:12]}")
    return render_template("repositories/file.html", name=agent, found=found, path=path, size=len(data), text=_text(data))


def _shown(agent: AgentName, number: int) -> str:
    found = commits.listed(hive(), agent, limit=_A_PAGE + 1, skip=(number - 1) * _A_PAGE)
    return render_template(
        "repositories/one.html", name=agent, commits=found[:_A_PAGE], number=number, more=len(found) > _A_PAGE,
        deployments=_deployments(agent) if number == 1 else [], applied=_deployed(agent), lives=_lives(agent),
        deployed=DeploymentOutcome.DEPLOYED, now=_applied(hive(), agent),
    )  # fmt: skip


def _deployments(agent: AgentName) -> list[deployments.Deployment]:
    try:
        return deployments.history(hive(), agent)[::-1]
    except NotFound:
        # It is only asked for.
        return []


def _deployed(agent: AgentName) -> int | None:
    return deployments.applied_number(hive(), agent)


def _applied(of: Hive, agent: AgentName) -> str | None:
    try:
        return reviews.current(of, agent).commit
    except NotFound:
        return None


def _lives(agent: AgentName) -> bool:
    try:
        return roster.get(hive(), agent).wanted is not Wanted.DESTROYED
    except NotFound:
        return False


def _compared(agent: AgentName, before: str | None, after: str) -> tuple[Compared | None, HyperhiveError | None]:
    """The difference, or why it cannot be shown: whoever proposes decides what lies in a commit."""
    try:
        return comparing.compared(reviews.compare(hive(), agent, before, after)), None
    except HyperhiveError as error:
        return None, error


def _files(agent: AgentName, commit_id: str) -> tuple[list[Entry], HyperhiveError | None]:
    try:
        return applied.entries(hive(), agent, commit_id), None
    except HyperhiveError as error:
        return [], error


def _text(data: bytes) -> str | None:
    """What a file says; None where it is no text."""
    if b"\0" in data:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None
