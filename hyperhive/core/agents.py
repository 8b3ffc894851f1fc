"""Agents: made, started, stopped, looked at, taken away."""

import os
import pwd
import re
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from hyperhive.core import agent_config, doorbell, eligibility, folders, messages, operations, process, turns
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.builds import config_of, write_build
from hyperhive.core.config import UID_RANGE
from hyperhive.core.db import next_number
from hyperhive.core.errors import Conflict, Denied, Expired, Invalid, NotFound
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock, holder, is_held
from hyperhive.core.model import (
    Activity,
    Agent,
    AgentName,
    Blocked,
    Flavor,
    LastTurn,
    Mail,
    Outcome,
    TurnState,
    UnderWay,
    Verb,
    Wanted,
)
from hyperhive.core.runtimes import runtime_named
from hyperhive.core.tables import AgentRow, DeploymentRow, OperationRow, TurnRow

# The user inside an agent's range of uids.
USER_IN_RANGE: Final = 1000
# How often a wait looks at a lock, in seconds.
LOOK: Final = 0.02
_MODEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:/@_\[\]-]{0,99}")
_LOGIN_VARIABLES: Final = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")


class Spawned(msgspec.Struct, frozen=True):
    """A new agent, and whether it took over what was kept of an earlier one of its name."""

    agent: Agent
    reused: bool


def spawn(
    hive: Hive,
    name: AgentName,
    *,
    flavor: Flavor = Flavor.WORKER,
    config: AgentConfig | None = None,
    runtime: str | None = None,
    user: str | None = None,
    start: bool = True,
    by: str,
) -> Spawned:
    """Make an agent; one that was destroyed before is made anew from what was kept of it.

    `user` runs it as an existing user of this machine, which only root may ask for. Raises `Conflict` when the agent
    exists, `Invalid` or `Unavailable` when it cannot be as it was asked for; then nothing was made.
    """
    chosen = runtime_named(runtime or hive.settings.runtime)
    _check_model(config.model if config else None)
    with operations.under_way(hive, name, Verb.START, by=by):
        now = hive.now()
        with hive.db.read():
            kept = AgentRow.get_or_none(AgentRow.name == name)
            kept_uid, kept_user = (kept.uid, kept.user) if kept else (None, None)
        if kept is not None and kept.wanted is not Wanted.DESTROYED and kept.deployed is not None:
            raise Conflict(f"{name} exists already", hint=f"`hyperhive show {name}`, or choose another name")
        if kept is not None and (user or kept_user) != kept_user:
            raise Conflict(
                f"what is kept of {name} belongs to the user {kept_user or 'that hyperhive gave it'}",
                hint=f"leave --user out, or `hyperhive purge {name}` first",
            )
        use = config or (config_of(hive, name, kept.deployed)[0] if kept is not None else AgentConfig())
        uid = kept_uid if kept_uid is not None or not chosen.separates_users else _new_uid(hive, user)
        owner, group = identity(uid, user or kept_user)
        folders.prepare(hive, name, uid=owner, gid=group)
        place = folders.place(hive, name, uid=owner, gid=group, program=None, config=use)
        chosen.wrap(place, ["true"])
        with hive.db.write():
            number = next_number()
        write_build(hive, name, number, use)
        with hive.db.write():
            fields = {
                "flavor": flavor,
                "host": socket.gethostname(),
                "uid": uid,
                "user": user or kept_user,
                "runtime": chosen.name,
                "wanted": Wanted.STARTED if start else Wanted.STOPPED,
                "blocked": Blocked.NONE,
                "blocked_until": None,
                "blocked_reason": None,
                "blocked_times": 0,
                "empty_starts": 0,
                "empty_since": None,
                "not_before": None,
                "deployed": number,
                "destroyed_at": None,
                "warnings": "",
                "news": "You were made anew; what your earlier self kept is still there." if kept is not None else "",
            }
            if kept is None:
                AgentRow.create(name=name, created_at=now, **fields)
            else:
                AgentRow.update(**fields).where(AgentRow.name == name).execute()
            DeploymentRow.create(number=number, agent=name, outcome="deployed", started_at=now, ended_at=hive.now())
    doorbell.ring_hive(hive.paths)
    doorbell.ring(hive.paths, name)
    return Spawned(get(hive, name), kept is not None)


def start(hive: Hive, name: AgentName, *, by: str) -> Agent:
    """Let an agent work, also one that was held back. Raises `NotFound`, `Conflict`."""
    with operations.under_way(hive, name, Verb.START, by=by), hive.db.write():
        row = living(name)
        news = row.news if row.wanted is Wanted.STARTED else _add_news(row, "You were started.")
        AgentRow.update(
            wanted=Wanted.STARTED,
            blocked=Blocked.NONE,
            blocked_until=None,
            blocked_reason=None,
            blocked_times=0,
            empty_starts=0,
            empty_since=None,
            not_before=None,
            news=news,
        ).where(AgentRow.name == name).execute()
    doorbell.ring(hive.paths, name)
    return get(hive, name)


def stop(hive: Hive, name: AgentName, *, by: str, timeout: float = 60.0, now: bool = False) -> Agent:
    """Stop an agent: the turn that runs ends and is acknowledged, or is interrupted with `now`.

    Raises `Expired` after `timeout` seconds; the agent then stops when its turn ends.
    """
    with operations.under_way(hive, name, Verb.STOP, by=by):
        with hive.db.write():
            living(name)
            AgentRow.update(wanted=Wanted.STOPPED).where(AgentRow.name == name).execute()
            if now:
                operations.ask(hive, name, Verb.LEAVE, by=by, argument="now")
        doorbell.ring(hive.paths, name)
        if not _wait(lambda: not is_held(harness_lock(hive, name)), timeout):
            raise Expired(f"{name} stops when its turn ends", hint=f"`hyperhive stop --now {name}` interrupts it")
    return get(hive, name)


def restart(hive: Hive, name: AgentName, *, by: str, now: bool = False) -> Agent:
    """Start an agent's harness anew, after its turn, or at once with `now`; what is pending is kept.

    Waits as long as a turn may take.
    """
    with hive.db.read():
        row = living(name)
    config, _ = config_of(hive, name, row.deployed)
    with operations.under_way(hive, name, Verb.RESTART, by=by):
        with hive.db.write():
            AgentRow.update(
                wanted=Wanted.STARTED,
                blocked=Blocked.NONE,
                blocked_until=None,
                blocked_reason=None,
                news=_add_news(living(name), "You were restarted."),
            ).where(AgentRow.name == name).execute()
            if now:
                operations.ask(hive, name, Verb.LEAVE, by=by, argument="now")
        doorbell.ring(hive.paths, name)
        if not _wait(lambda: not is_held(harness_lock(hive, name)), config.limits.turn_minutes * 60 + 30):
            raise Expired(f"{name} did not end its turn", hint=f"`hyperhive kill {name}`")
    doorbell.ring(hive.paths, name)
    return get(hive, name)


def kill(hive: Hive, name: AgentName, *, by: str) -> Agent:
    """End everything that an agent runs, at once; its messages come back, no attempt is counted, and it stays stopped."""
    with operations.under_way(hive, name, Verb.KILL, by=by):
        with hive.db.write():
            living(name)
            AgentRow.update(wanted=Wanted.STOPPED).where(AgentRow.name == name).execute()
        with _harness_ended(hive, name), hive.db.write():
            _close_books(hive, name)
    return get(hive, name)


def destroy(hive: Hive, name: AgentName, *, by: str) -> None:
    """Take an agent away and keep its state: a tombstone that a new agent of its name takes over.

    Mail that waits for it ends as expired.
    """
    with operations.under_way(hive, name, Verb.DESTROY, by=by):
        with hive.db.write():
            living(name)
            AgentRow.update(wanted=Wanted.STOPPED).where(AgentRow.name == name).execute()
        with _harness_ended(hive, name), hive.db.write():
            _close_books(hive, name)
            messages.expire(hive, name, reason=f"{name} was destroyed")
            operations.drop(hive, name, reason=f"{name} was destroyed")
            AgentRow.update(wanted=Wanted.DESTROYED, destroyed_at=hive.now()).where(AgentRow.name == name).execute()
    doorbell.ring_hive(hive.paths)


def purge(hive: Hive, name: AgentName, *, by: str) -> None:
    """Remove all that was kept of a destroyed agent; messages keep its name. There is no way back.

    Raises `Conflict` for an agent that lives.
    """
    with operations.under_way(hive, name, Verb.PURGE, by=by):
        with hive.db.read():
            row = AgentRow.get_or_none(AgentRow.name == name)
            if row is None:
                raise messages.no_such_agent(name)
            if row.wanted is not Wanted.DESTROYED:
                raise Conflict(f"{name} lives", hint=f"`hyperhive destroy --purge {name}` ends it first")
        with _harness_ended(hive, name):
            folders.purge(hive, name)
            with hive.db.write():
                for table in (TurnRow, OperationRow, DeploymentRow):
                    table.delete().where(table.agent == name).execute()
                AgentRow.delete().where(AgentRow.name == name).execute()
    doorbell.ring_hive(hive.paths)


def set_model(hive: Hive, name: AgentName, model: str | None) -> Agent:
    """Choose the model of an agent's turns from the next one on; None goes back to its configuration's."""
    _check_model(model)
    with hive.db.write():
        living(name)
        AgentRow.update(model=model).where(AgentRow.name == name).execute()
    doorbell.ring(hive.paths, name)
    return get(hive, name)


def cancel(hive: Hive, name: AgentName, *, by: str, retry: bool = False, timeout: float = 30.0) -> None:
    """End the turn that an agent is in; its messages end as cancelled, or come again with `retry`.

    Raises `Conflict` when no turn runs, `Expired` when the turn did not end in `timeout` seconds.
    """
    with hive.db.read():
        living(name)
    if not is_held(harness_lock(hive, name)) or turns.current(hive, name) is None:
        raise Conflict(f"{name} has no turn that could be cancelled", hint=f"`hyperhive inbox {name}` shows what waits for it")
    with hive.db.write():
        number = operations.ask(hive, name, Verb.CANCEL, by=by, argument="retry" if retry else None)
    doorbell.ring(hive.paths, name)
    if not _wait(lambda: operations.get(hive, number).ended_at is not None or not is_held(harness_lock(hive, name)), timeout):
        raise Expired(f"the turn of {name} did not end", hint=f"`hyperhive kill {name}` ends everything at once")
    if error := operations.get(hive, number).error:
        raise Conflict(f"{name}: {error}", hint=f"`hyperhive turns {name}`")


def compact(hive: Hive, name: AgentName, *, by: str) -> int:
    """Ask for an agent's conversation to be made shorter, before its next turn. Gives back the operation's number."""
    with hive.db.write():
        row = living(name)
        if row.conversation is None:
            raise Conflict(f"{name} has no conversation yet", hint=f'`hyperhive send {name} "…"` begins one')
        if row.wanted is not Wanted.STARTED:
            raise Conflict(f"{name} is not running", hint=f"`hyperhive start {name}`")
        number = operations.ask(hive, name, Verb.COMPACT, by=by)
    doorbell.ring(hive.paths, name)
    return number


def get(hive: Hive, name: str) -> Agent:
    """One agent, also a destroyed one. Raises `NotFound`."""
    found = [agent for agent in listed(hive, everything=True) if agent.name == name]
    if not found:
        with hive.db.read():
            raise messages.no_such_agent(name)
    return found[0]


def listed(hive: Hive, *, everything: bool = False) -> list[Agent]:
    """All agents by name; with `everything` also those that were destroyed and are kept."""
    with hive.db.read():
        query = AgentRow.select().order_by(AgentRow.name)
        if not everything:
            query = query.where(AgentRow.wanted != Wanted.DESTROYED)
        rows = list(query)
        mail = messages.counts()
        last = turns.latest()
    under_way = operations.running(hive)
    waiting = {one.name: one.waits_since for one in eligibility.eligible(hive)}
    working = {row.name for row in rows if is_held(harness_lock(hive, AgentName(row.name)))}
    full = is_held(hive.paths.lock("hub")) and len(working) >= hive.settings.places()
    shared_login = any(hive.settings.claude.env.get(key) for key in _LOGIN_VARIABLES)
    return [
        Agent(
            name=row.name,
            flavor=row.flavor,
            runtime=row.runtime,
            wanted=row.wanted,
            running=row.wanted is Wanted.STARTED,
            blocked=_blocked(hive, row),
            blocked_until=row.blocked_until if _blocked(hive, row) is Blocked.LIMITED else None,
            blocked_reason=row.blocked_reason if _blocked(hive, row) is not Blocked.NONE else None,
            under_way=_under_way(under_way, row.name),
            turn=(
                TurnState(state=row.activity, since=row.activity_since)
                if row.name in working
                else TurnState(state=Activity.QUEUED, since=waiting[AgentName(row.name)])
                if full and row.name in waiting
                else TurnState(
                    state=Activity.IDLE,
                    since=last[row.name].ended_at if row.name in last else row.created_at,
                    until=row.blocked_until if _blocked(hive, row) is Blocked.LIMITED else None,
                )
            ),
            model=row.model or config_of(hive, AgentName(row.name), row.deployed)[0].model,
            mail=mail.get(row.name, Mail(0, 0, 0)),
            logged_in=row.blocked is not Blocked.LOGIN
            and (
                shared_login
                or hive.paths.agent_token(AgentName(row.name)).exists()
                or folders.is_login_there(hive, AgentName(row.name))
            ),
            keeps_events=row.keeps_events,
            last_turn=_last_turn(last.get(row.name)),
            deployed=row.deployed,
            epoch=row.epoch,
            uid=row.uid,
            user=row.user,
            created_at=row.created_at,
            warnings=[line for line in row.warnings.splitlines() if line],
        )
        for row in rows
    ]


def living(name: AgentName) -> AgentRow:
    """The row of an agent that was not destroyed. Within a read or write. Raises `NotFound`."""
    row = AgentRow.get_or_none(AgentRow.name == name)
    if row is None:
        raise messages.no_such_agent(name)
    if row.wanted is Wanted.DESTROYED:
        raise NotFound(f"{name} was destroyed", hint=f"`hyperhive spawn {name}` makes it anew from what is kept")
    return row


def identity(uid: int | None, user: str | None) -> tuple[int | None, int | None]:
    """The uid and gid that an agent runs as on the host, or None twice for this process' own.

    `uid` is where the agent's range of uids begins. Raises `NotFound` for a user that the machine does not know.
    """
    if user is not None:
        try:
            entry = pwd.getpwnam(user)
        except KeyError:
            raise NotFound(f"this machine has no user {ascii(user)[1:-1]}", hint="getent passwd") from None
        return entry.pw_uid, entry.pw_gid
    return (None, None) if uid is None else (uid + USER_IN_RANGE, uid + USER_IN_RANGE)


def harness_lock(hive: Hive, name: AgentName) -> Path:
    """The lock that says that a harness of this agent lives."""
    return hive.paths.lock(f"{name}.harness")


def add_news(name: AgentName, text: str) -> None:
    """Something that the agent's next prompt begins with. Within a write."""
    AgentRow.update(news=_add_news(AgentRow.get(AgentRow.name == name), text)).where(AgentRow.name == name).execute()


def _add_news(row: AgentRow, text: str) -> str:
    lines = [line for line in row.news.splitlines() if line and line != text]
    return "\n".join([*lines[-4:], text])


def _new_uid(hive: Hive, user: str | None) -> int | None:
    if user is not None and os.geteuid() != 0:
        raise Denied("only root may run an agent as another user", hint="leave --user out: your agents run as you")
    if os.geteuid() != 0 or user is not None:
        return None
    with hive.db.write():
        return hive.settings.uid_base + UID_RANGE * next_number("uid")


def _check_model(model: str | None) -> None:
    if model is not None and not _MODEL.fullmatch(model):
        raise Invalid(f"{model!a} cannot be a model's name", hint="opus, sonnet, haiku, or a full name such as claude-sonnet-5-5")


def _blocked(hive: Hive, row: AgentRow) -> Blocked:
    """A limit that has passed holds nobody back any more."""
    if row.blocked is Blocked.LIMITED and row.blocked_until is not None and row.blocked_until <= hive.now():
        return Blocked.NONE
    return row.blocked


def _under_way(found: dict[str, UnderWay], name: str) -> UnderWay | None:
    return found.get(name)


def _last_turn(row: TurnRow | None) -> LastTurn | None:
    if row is None or row.ended_at is None or row.outcome is None:
        return None
    return LastTurn(
        outcome=row.outcome,
        seconds=(row.ended_at - row.started_at).total_seconds(),
        cost_usd=row.cost_usd,
        ended_at=row.ended_at,
    )


def _close_books(hive: Hive, name: AgentName) -> None:
    """Nobody works for the agent any more: messages come back, and nothing of it is a crash. Within a write."""
    now = hive.now()
    messages.give_back_all(name)
    TurnRow.update(outcome=Outcome.INTERRUPTED, ended_at=now).where(TurnRow.agent == name, TurnRow.outcome.is_null()).execute()
    AgentRow.update(
        ended_epoch=AgentRow.epoch, activity=Activity.IDLE, activity_since=now, empty_starts=0, empty_since=None, not_before=None
    ).where(AgentRow.name == name).execute()


def _harness_ended(hive: Hive, name: AgentName) -> Lock:
    """End the agent's harness and hold its lock, so that no other begins meanwhile."""
    lock = Lock(harness_lock(hive, name))
    deadline = time.monotonic() + 10
    while not lock.take():
        _kill_holder(harness_lock(hive, name))
        if time.monotonic() > deadline:
            raise Expired(f"the harness of {name} does not end ({holder(harness_lock(hive, name))})", hint="hyperhive doctor")
        time.sleep(LOOK)
    # A container ends with its harness; what runs without one is found by its mark.
    process.end_marked(process.BOX, str(hive.paths.agent(name)))
    return lock


def _kill_holder(path: Path) -> None:
    """SIGKILL the process that holds a lock. The lock's note is its own, and the handle is taken before looking again."""
    found = re.match(r"pid (\d+) ", holder(path))
    if found is None:
        return
    try:
        handle = os.pidfd_open(int(found[1]))
    except ProcessLookupError:
        return
    try:
        # Still held, still by the same: the number was not given to another process meanwhile.
        if is_held(path) and holder(path).startswith(found[0]):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)


def _wait(condition: Callable[[], bool], timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK)
    return True
