"""A hive as it looks in the middle of a working day, for a look at its page."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

from hyperhive.core import agent_toml, approvals, messages, notices, proposals, questions, requests, spawning, turns
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock
from hyperhive.core.model import OPERATOR, Activity, AgentName, Blocked, Flavor, Outcome, Wanted, parse_name
from hyperhive.core.tables import ApprovalRow, TurnRow
from tests.core.hives import add_agent, set_row

BLOG = parse_name("blog")
MODELS = {"docs": "haiku", "gardener": "sonnet", "mona": "opus", "nightly": None, "scout": "sonnet", "tests": "sonnet"}
SCRIPT = b"#!/bin/sh\nset -eu\nhugo --minify\nrsync -a public/ www:/srv/www/\n"
SETTINGS = '[claude]\nenv = { ANTHROPIC_API_KEY = "sk-ant-scene" }\n'


@contextmanager
def working_day(hive: Hive) -> Iterator[None]:
    """Seven agents, one of which thinks, one waits, one restarts, one rests; a tool, a proposal, two questions, two messages."""
    hive.paths.settings.write_text(SETTINGS, encoding="utf-8")
    with ExitStack() as held:
        _agents(hive, held)
        _questions(hive)
        _letters(hive)
        yield


def _agents(hive: Hive, held: ExitStack) -> None:
    spawning.spawn(hive, BLOG, runtime="host", config=AgentConfig(role="You look after the blog.", model="sonnet"), by=OPERATOR)
    for name, model in MODELS.items():
        add_agent(hive, parse_name(name), flavor=Flavor.MANAGER if name == "mona" else Flavor.WORKER)
        set_row(hive, parse_name(name), model=model)
    _turn(hive, BLOG, seconds=41, ago=1260, cost=0.0841)
    _turn(hive, parse_name("docs"), seconds=9, ago=340, cost=0.0042)
    _turn(hive, parse_name("gardener"), seconds=34, ago=75, cost=0.0312)
    _turn(hive, parse_name("mona"), seconds=88, ago=41, cost=0.4210)
    _turn(hive, parse_name("tests"), seconds=12, ago=8000, cost=0.0121, outcome=Outcome.FAILED)
    now = hive.now()
    for name, activity, ago in (("gardener", Activity.THINKING, 64), ("mona", Activity.WAITING, 40)):
        _take(hive.paths.harness_lock(parse_name(name)), held)
        set_row(hive, parse_name(name), activity=activity, activity_since=now - timedelta(seconds=ago))
    _take(hive.paths.lock("hub"), held)
    set_row(hive, parse_name("nightly"), wanted=Wanted.STOPPED)
    set_row(
        hive, parse_name("scout"),
        blocked=Blocked.LIMITED, blocked_until=now + timedelta(hours=2), blocked_reason="the usage limit is reached",
    )  # fmt: skip
    # What was deployed is not there any more.
    set_row(hive, parse_name("tests"), deployed=99)
    for _ in range(2):
        messages.send(hive, sender=OPERATOR, to="docs", body="And the index, please.")
    requests.restart(hive, parse_name("docs"), by=OPERATOR)


def _questions(hive: Hive) -> None:
    now = hive.now()
    approvals.ask_tool(
        hive, parse_name("gardener"), epoch=1, turn=1, request="r", tool="Bash",
        given='{"command":"rsync -a --delete public/ www@blog.example.org:/srv/www/","description":"Publish the built site"}',
        deadline=now + timedelta(seconds=521),
    )  # fmt: skip
    config = AgentConfig(role="You look after the blog, and answer its readers.", model="opus", env={"TZ": "Europe/Berlin"})
    files = {"agent.toml": agent_toml.write(config), "tools/publish.sh": SCRIPT}
    asked = proposals.by_operator(hive, BLOG, files, message="Publish with a script of its own")
    reason = "The blog takes ten minutes to publish by hand. With this script it is one call, and it can answer readers."
    with hive.db.write():
        ApprovalRow.update(asker="mona", reason=reason).where(ApprovalRow.number == asked.number).execute()
    questions.ask(
        hive, asker=parse_name("gardener"),
        text="Which roses may I prune? The ones by the gate have not flowered for two years; I would cut them back to the "
        "ground and plant something new in autumn.",
        choices=["only those by the gate", "all of them", "none"], ttl_seconds=1500, default="none",
    )  # fmt: skip
    questions.ask(
        hive,
        asker=parse_name("mona"),
        text="May scout have a login of its own? It shares mine now, and we both run into the limit.",
    )


def _letters(hive: Hive) -> None:
    messages.send(
        hive, sender=BLOG, to=OPERATOR,
        body="The post about roses is out: https://blog.example.org/2026/roses\n\nTwo images were too large; I have made them "
        "smaller and kept the originals in /workspace/originals.",
    )  # fmt: skip
    with hive.db.write():
        notices.notify(hive, [OPERATOR], "needs_update: tests stands on an older agent CLI; `hyperhive update tests` renews it.")


def _turn(hive: Hive, name: AgentName, *, seconds: int, ago: int, cost: float, outcome: Outcome = Outcome.OK) -> None:
    messages.send(hive, sender=OPERATOR, to=name, body="please look at it")
    epoch = turns.begin_epoch(hive, name)
    begun = turns.begin(hive, name, epoch=epoch, model="sonnet", conversation="c")
    assert begun is not None
    turns.end(hive, name, epoch=epoch, turn=begun.number, outcome=outcome, usage=turns.Usage(cost_usd=cost))
    ended = hive.now() - timedelta(seconds=ago)
    with hive.db.write():
        TurnRow.update(started_at=ended - timedelta(seconds=seconds), ended_at=ended).where(
            TurnRow.number == begun.number
        ).execute()


def _take(path: Path, held: ExitStack) -> None:
    lock = held.enter_context(Lock(path))
    assert lock.take()
