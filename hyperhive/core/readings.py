"""What programs are told where it is put together of several values: the same in a shell and over HTTP."""

from typing import Any, Final

import msgspec

from hyperhive.core import applied, building, builds, deployments, meta, pending, reviews, roster
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.agent_view import Agent
from hyperhive.core.approvals import Approval
from hyperhive.core.deployments import Deployment
from hyperhive.core.errors import NotFound
from hyperhive.core.hive import Hive
from hyperhive.core.meta import MetaEntry
from hyperhive.core.model import AgentName, ApprovalKind, Operation
from hyperhive.core.numbers import deployment_of, named
from hyperhive.core.pending import Pending
from hyperhive.core.questions import Question
from hyperhive.core.reviews import Comparison, Point

# Of any file but agent.toml, in bytes.
FILE_MOST: Final = 1024 * 1024


class Whole(msgspec.Struct, frozen=True):
    """All about an agent: also how it is configured, what it runs on, what of it waits for the operator."""

    agent: Agent
    config: AgentConfig
    deployment: Deployment | None
    waiting: list[Pending]

    def told(self, *, values: bool) -> dict[str, Any]:
        """The same for programs; `values`: also the values of variables, which may be secrets."""
        agent: dict[str, Any] = msgspec.to_builtins(self.agent, builtin_types=[])
        config = self.config if values else _without_values(self.config)
        return {**agent, "config": config, "deployment": self.deployment, "pending": self.waiting}


def whole(hive: Hive, name: AgentName) -> Whole:
    """All about an agent. Raises `NotFound`."""
    agent = roster.get(hive, name)
    config, damage = builds.config_of(hive, name, agent.deployed)
    agent = msgspec.structs.replace(agent, warnings=list(dict.fromkeys([*damage, *agent.warnings])))
    return Whole(agent=agent, config=config, deployment=_deployment(hive, agent), waiting=pending.listed(hive, agent=name))


def numbered(hive: Hive, number: int) -> dict[str, Any]:
    """What has a number: which kind of thing it is, then each part under its name. Raises `NotFound`."""
    found = named(hive, number)
    return {"number": number, "what": type(found).__name__.lower(), **_details(hive, found)}


def history(hive: Hive, name: AgentName) -> list[dict[str, Any]]:
    """What an agent was given, each with whether it is applied now. Raises `NotFound`."""
    found, now = deployments.history(hive, name), deployments.applied_number(hive, name)
    return [{**msgspec.structs.asdict(one), "applied": one.number == now} for one in found]


def log(hive: Hive, name: AgentName | None, newest: int) -> list[MetaEntry]:
    """The newest of what was deployed, in the whole hive or for an agent. Raises `NotFound`."""
    found = meta.log(hive, name=name, limit=newest)
    if name is not None and not found:
        roster.get(hive, name)
    return found


def applied_file(hive: Hive, name: AgentName, file: str) -> tuple[Point, bytes | None]:
    """What is applied for an agent, with a file of it; None where it has none of the name. Raises `NotFound` for no agent."""
    roster.get(hive, name)
    now = reviews.current(hive, name)
    most = building.FILE_MOST if file == building.FILE else FILE_MOST
    return now, applied.read(hive, name, now.commit, file, most=most)


def config(hive: Hive, name: AgentName, file: str, now: Point, data: bytes | None) -> dict[str, Any]:
    """That file, with the configuration that is applied. Raises `NotFound` where there is no such file."""
    if data is None:
        raise NotFound(f"there is no {file} in what is applied for {name}", hint=f"`hyperhive history {name}`")
    found, _ = building.config_in(hive, name, now.commit)
    return {"name": name, "number": now.number, "commit": now.commit, "text": data.decode("utf-8", "replace"), "config": found}


def ends(hive: Hive, name: AgentName, first: int | None, second: int | None) -> tuple[Point, Point]:
    """Which two configurations are compared: the two given, or one and what is applied, the older first; or the last two.

    Raises `NotFound`.
    """
    roster.get(hive, name)
    if first is None:
        return reviews.previous(hive, name), reviews.current(hive, name)
    if second is None:
        before, after = sorted((reviews.point(hive, name, first), reviews.current(hive, name)), key=lambda one: one.number)
        return before, after
    return reviews.point(hive, name, first), reviews.point(hive, name, second)


def difference(before: Point, after: Point, found: Comparison) -> dict[str, Any]:
    """What lies between two configurations."""
    return {"from": before.number, "to": after.number, **msgspec.structs.asdict(found)}


def _details(hive: Hive, found: Approval | Question | Deployment | Operation) -> dict[str, Any]:
    """What is told of it besides its kind; each under the name of what it is."""
    match found:
        case Approval(kind=ApprovalKind.TOOL):
            return {"approval": found}
        case Approval():
            review = (
                msgspec.structs.asdict(reviews.review(hive, found.number)) if found.commit is not None else {"approval": found}
            )
            return {**review, "deployment": deployment_of(hive, found.number)}
        case Question():
            return {"question": found}
        case Deployment():
            return {"deployment": found, "log": building.log_end(hive, AgentName(found.agent), found.number)}
        case Operation():
            return {"operation": found}


def _deployment(hive: Hive, agent: Agent) -> Deployment | None:
    """What the agent runs on; None where its row is gone."""
    try:
        return None if agent.deployed is None else deployments.get(hive, agent.deployed)
    except NotFound:
        return None


def _without_values(config: AgentConfig) -> dict[str, Any]:
    """The configuration with no value of a variable."""
    told: dict[str, Any] = msgspec.to_builtins(config)
    for given in (told, *told["mcp_servers"].values()):
        given["env"] = dict.fromkeys(given["env"])
    return told
