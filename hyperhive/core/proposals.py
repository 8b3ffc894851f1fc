"""Proposals: how a configuration that somebody wrote comes before the operator, or is refused at once."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import msgspec

from hyperhive.core import (
    agent_toml,
    applied,
    approvals,
    building,
    deployments,
    doorbell,
    folders,
    git,
    holding,
    operations,
    proposed,
    publishing,
    roster,
    transfer,
)
from hyperhive.core.agent_config import AgentConfig, check_model
from hyperhive.core.approvals import Approval
from hyperhive.core.db import next_number
from hyperhive.core.errors import Conflict, Denied, HyperhiveError, Invalid, NotFound
from hyperhive.core.hive import Hive
from hyperhive.core.identity import identity
from hyperhive.core.model import OPERATOR, AgentName, ApprovalKind, ApprovalState, Flavor, Verb, Wanted
from hyperhive.core.runtimes import runtime_named
from hyperhive.core.tables import AgentRow, ApprovalRow

# What builds every agent alike is nobody's to propose.
PROTECTED: Final = ("flake.nix", "flake.lock")
# So many proposals of one asker may wait for the operator.
WAITING_MOST: Final = 50
REASON_MOST: Final = 4000


class Request(msgspec.Struct, frozen=True):
    """What a manager asks for: the argument of an operation that proposes."""

    kind: ApprovalKind
    commit: str | None = None
    reason: str = ""
    flavor: Flavor = Flavor.WORKER
    role: str = ""
    model: str | None = None


def request(hive: Hive, name: AgentName, *, by: AgentName, commit: str, reason: str = "") -> int:
    """A manager asks for a commit in its `/config/NAME` to be applied. Gives back the operation that puts it forward.

    For an agent that is to be, while the request for it waits, the commit takes the place of the one in that request.
    Raises `Denied` for one who is no manager, `NotFound`, `Invalid`, `Conflict`.
    """
    asked = Request(kind=ApprovalKind.CONFIG, commit=git.full_id(commit), reason=_checked_reason(reason))
    with hive.db.write():
        roster.manager(by)
        agent = AgentRow.get_or_none(AgentRow.name == name)
        if agent is None or agent.wanted is Wanted.DESTROYED:
            waiting = _waiting_spawn(name, by)
            if waiting is None:
                raise NotFound(f"there is no agent {name}", hint="request_spawn asks for one")
            asked = msgspec.structs.replace(
                asked, kind=ApprovalKind.SPAWN, flavor=waiting.flavor, reason=asked.reason or waiting.reason
            )
        number = _ask(hive, name, asked, by=by)
    doorbell.ring_hive(hive.paths)
    return number


def request_spawn(
    hive: Hive,
    name: AgentName,
    *,
    by: AgentName,
    reason: str,
    commit: str | None = None,
    flavor: Flavor = Flavor.WORKER,
    role: str = "",
    model: str | None = None,
) -> int:
    """A manager asks for a new agent, with a commit of its `/config/NAME` or with the usual configuration.

    Gives back the operation that brings it before the operator. Raises as `request` does, and `Conflict` when the agent exists.
    """
    check_model(model)
    if commit is not None and (role or model):
        raise Invalid("a commit says the role and the model itself", hint="write them into agent.toml")
    asked = Request(
        kind=ApprovalKind.SPAWN, commit=None if commit is None else git.full_id(commit), reason=_checked_reason(reason),
        flavor=flavor, role=role, model=model,
    )  # fmt: skip
    # As it will be read: what the reader would refuse must not be asked for.
    agent_toml.read(agent_toml.write(AgentConfig(role=role, model=model)))
    with hive.db.write():
        roster.manager(by)
        _check_asked(name, asked)
        number = _ask(hive, name, asked, by=by)
    doorbell.ring_hive(hive.paths)
    return number


def run(hive: Hive, operation: int) -> Approval:
    """Carry out an operation that proposes: bring the commit, look at it, put it before the operator.

    What may not be is written down as failed, and raised. Raises `Busy` while something else is done to the agent.
    """
    row = operations.get(hive, operation)
    name, manager = AgentName(row.agent), AgentName(row.asked_by)
    asked = msgspec.json.decode(row.argument or "", type=Request)
    with holding.under_way(hive, name, Verb.PROPOSE, by=manager, number=operation):
        publishing.settle(hive, name)
        with hive.db.read():
            # What was so when it was asked for need not be so any more.
            keeper = roster.manager(manager)
            _check_asked(name, asked)
        applied.create(hive, name)
        uid, gid = identity(keeper.uid, keeper.user)
        if asked.commit is None:
            if proposed.is_there(hive, manager, name):
                raise Conflict(f"there is something at /config/{name} already", hint="give its commit: git rev-parse HEAD")
            config = AgentConfig(role=asked.role, model=asked.model)
            commit = _write(hive, name, {building.FILE: agent_toml.write(config)}, f"Ask for {name}", by=manager)
        else:
            commit = transfer.fetch(hive, name, proposer=manager, uid=uid, gid=gid, commit=asked.commit, operation=operation)
        made = _put_forward(hive, name, commit, asked, by=manager, operation=operation)
        # Where that fails, its next turn tries again.
        with suppress(HyperhiveError):
            proposed.ensure(hive, manager, uid=uid, gid=gid, names=[name], seen=_seen(hive, keeper, uid, gid))
    return made


def by_operator(
    hive: Hive, name: AgentName, files: Mapping[str, bytes | None], *, message: str, onto: str | None = None
) -> Approval:
    """Put a change of the operator's own before the operator: these files in place of an agent's own, without those of None.

    `onto` is the commit that they were made from, where it matters. Raises `NotFound`, `Invalid`, `Busy`, and `Conflict`
    when nothing changes, or when another commit than `onto` is applied now.
    """
    with holding.under_way(hive, name, Verb.PROPOSE, by=OPERATOR):
        publishing.settle(hive, name)
        with hive.db.read():
            main = deployments.applied_commit(roster.living(name))
        if onto not in (None, main):
            raise Conflict(
                f"{(main or 'nothing')[:12]} is applied now, no longer {(onto or '')[:12]}", hint=f"`hyperhive config {name}`"
            )
        commit = _write(hive, name, files, message, by=OPERATOR)
        return _put_forward(hive, name, commit, Request(kind=ApprovalKind.CONFIG, reason=message), by=OPERATOR)


def spawn_by_operator(
    hive: Hive,
    name: AgentName,
    *,
    flavor: Flavor = Flavor.WORKER,
    role: str = "",
    model: str | None = None,
    reason: str = "",
) -> Approval:
    """Put a request of the operator's own for a new agent before the operator, to be decided like a manager's.

    With neither role nor model it is the usual configuration, or what is kept of an agent of the name. Raises `Invalid`,
    `Conflict` when the agent exists, `Busy`.
    """
    check_model(model)
    config = AgentConfig(role=role, model=model)
    # As it will be read: what the reader would refuse must not be asked for.
    agent_toml.read(agent_toml.write(config))
    asked = Request(kind=ApprovalKind.SPAWN, reason=_checked_reason(reason), flavor=flavor, role=role, model=model)
    with holding.under_way(hive, name, Verb.PROPOSE, by=OPERATOR):
        publishing.settle(hive, name, adopting=config == AgentConfig())
        with hive.db.read():
            agent = AgentRow.get_or_none(AgentRow.name == name)
            kept = None if agent is None else deployments.applied_commit(agent)
        if agent is not None and agent.wanted is not Wanted.DESTROYED:
            raise Conflict(f"{name} exists already", hint=f"`hyperhive config {name} --edit` changes it, or choose another name")
        applied.create(hive, name)
        if kept is None or config != AgentConfig():
            kept = _write(hive, name, {building.FILE: agent_toml.write(config)}, f"Ask for {name}", by=OPERATOR)
        return _put_forward(hive, name, kept, asked, by=OPERATOR)


def _put_forward(hive: Hive, name: AgentName, commit: str, asked: Request, *, by: str, operation: int | None = None) -> Approval:
    """Look at a commit that has come, and write down what is to be decided, or that it failed."""
    with hive.db.read():
        agent = AgentRow.get_or_none(AgentRow.name == name)
        lives = agent is not None and agent.wanted is not Wanted.DESTROYED
        main = deployments.applied_commit(agent) if agent is not None and lives else None
    refused: HyperhiveError | None = None
    kept = _kept(hive, agent) if agent is not None and asked.kind is ApprovalKind.SPAWN else None
    notes = [] if kept is None else [kept]
    try:
        notes += _check(hive, name, commit, main, runtime=agent.runtime if agent is not None else hive.settings.runtime)
    except HyperhiveError as error:
        refused = error
    tree = applied.commit_of(hive, name, commit).tree
    with hive.db.write():
        number = next_number()
        if refused is None:
            _replace_older(hive, name, asked.kind, number, by=by)
        now = hive.now()
        ApprovalRow.insert(
            number=number,
            kind=asked.kind,
            agent=name,
            asker=by,
            state=ApprovalState.PENDING if refused is None else ApprovalState.FAILED,
            reason=asked.reason,
            flavor=asked.flavor if asked.kind is ApprovalKind.SPAWN else None,
            commit=commit,
            tree=tree,
            compared_with=main,
            note="\n".join(notes) or None if refused is None else str(refused),
            decided_by=None if refused is None else approvals.CLOCK,
            asked_at=now,
            decided_at=None if refused is None else now,
        ).execute()
        if operation is not None:
            operations.remember(operation, str(number))
    publishing.follow(hive, name)
    if refused is not None:
        refused.args = (f"proposal {number} failed: {refused.message}",)
        refused.message = f"proposal {number} failed: {refused.message}"
        raise refused
    return approvals.get(hive, number)


def _kept(hive: Hive, agent: AgentRow) -> str | None:
    """What an agent that was destroyed leaves to the next of its name, which no commit shows; None where that is nothing."""
    if agent.deployed is None:
        return None
    name = AgentName(agent.name)
    has_login = folders.is_login_there(hive, name) or hive.paths.agent_token(name).exists()
    found = ["notes", "workspace", "conversation", *(["login"] if has_login else [])]
    user = f", and runs as the user {agent.user}" if agent.user else ""
    return f"It takes over what is kept of an earlier {name}: {', '.join(found)}{user}."


def _check_asked(name: AgentName, asked: Request) -> None:
    """A new agent is not there yet, and one that is to be changed is. Within a read or write. Raises `Conflict`, `NotFound`."""
    if asked.kind is ApprovalKind.CONFIG:
        roster.living(name)
        return
    agent = AgentRow.get_or_none(AgentRow.name == name)
    if agent is not None and agent.wanted is not Wanted.DESTROYED:
        raise Conflict(f"the agent {name} exists already", hint="request_apply_commit changes its configuration")


def _check(hive: Hive, name: AgentName, commit: str, main: str | None, *, runtime: str) -> list[str]:
    """Refuse what could never be deployed, or takes away what others did; gives back what is left out of it.

    `runtime` is the kind of container that the agent has, or would get.

    Raises `HyperhiveError`.
    """
    found = {entry.path: (entry.mode, entry.id) for entry in applied.entries(hive, name, commit)}
    before = {} if main is None else {entry.path: (entry.mode, entry.id) for entry in applied.entries(hive, name, main)}
    for path in PROTECTED:
        if found.get(path) != before.get(path):
            raise Denied(f"{path} is protected, and the commit changes it", hint=f"leave {path} as it is on applied/main")
    config, warnings = building.config_in(hive, name, commit)
    building.check_services(config, runtime_named(runtime))
    if main is not None and found == before:
        raise Conflict("the commit changes nothing of what is applied now", hint=f"git -C /config/{name} diff applied/main")
    if main is not None and not applied.descends(hive, name, commit, main):
        raise Conflict(
            f"the commit does not build on what is applied now, {main[:12]}",
            hint=f"git -C /config/{name} fetch applied, then git rebase applied/main",
        )
    return warnings


def _write(hive: Hive, name: AgentName, files: Mapping[str, bytes | None], message: str, *, by: str) -> str:
    with hive.db.read():
        agent = AgentRow.get_or_none(AgentRow.name == name)
        main = deployments.applied_commit(agent) if agent is not None else None
    return applied.write_commit(hive, name, files, parent=main, message=message, author=by, at=hive.now())


def _replace_older(hive: Hive, name: AgentName, kind: ApprovalKind, number: int, *, by: str) -> None:
    """The same asker's earlier proposal for the agent is out of date. Within a write."""
    ApprovalRow.update(
        state=ApprovalState.WITHDRAWN, decided_by=by, decided_at=hive.now(), note=f"replaced by proposal {number}"
    ).where(
        ApprovalRow.state == ApprovalState.PENDING, ApprovalRow.agent == name, ApprovalRow.kind == kind, ApprovalRow.asker == by
    ).execute()


def _ask(hive: Hive, name: AgentName, asked: Request, *, by: AgentName) -> int:
    waiting = ApprovalRow.select().where(ApprovalRow.asker == by, ApprovalRow.state == ApprovalState.PENDING).count()
    if waiting >= WAITING_MOST:
        raise Conflict(f"{waiting} requests of {by} wait for the operator already", hint="wait until some are decided")
    return operations.ask(hive, name, Verb.PROPOSE, by=by, argument=msgspec.json.encode(asked).decode())


def _waiting_spawn(name: AgentName, by: AgentName) -> ApprovalRow | None:
    found: ApprovalRow | None = ApprovalRow.get_or_none(
        ApprovalRow.kind == ApprovalKind.SPAWN,
        ApprovalRow.agent == name,
        ApprovalRow.asker == by,
        ApprovalRow.state == ApprovalState.PENDING,
    )
    return found


def _checked_reason(reason: str) -> str:
    if len(reason) > REASON_MOST or "\0" in reason:
        raise Invalid(f"a reason has at most {REASON_MOST} characters", hint="say the rest in the commit's message")
    return reason


def _seen(hive: Hive, keeper: AgentRow, uid: int | None, gid: int | None) -> str:
    """Where a manager sees the applied repositories."""
    place = folders.place(
        hive, AgentName(keeper.name), uid=uid, gid=gid, program=None, config=AgentConfig(), flavor=Flavor.MANAGER
    )
    return runtime_named(keeper.runtime).inside(place).applied or ""
