"""The command that shows one thing whole: an agent, or whatever has a number."""

import shlex

import click

from hyperhive.cli import operations, overview, questions, render, reviews, screen, words
from hyperhive.cli.params import TARGET, as_json, pass_hive
from hyperhive.core import bases, building, deployments, readings
from hyperhive.core import reviews as core
from hyperhive.core.agent_config import McpServer
from hyperhive.core.agent_view import Agent
from hyperhive.core.approvals import Approval
from hyperhive.core.deployments import Deployment
from hyperhive.core.errors import Invalid
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, ApprovalKind, DeploymentOutcome, Operation
from hyperhive.core.numbers import deployment_of, named
from hyperhive.core.questions import Question


@click.command()
@click.argument("target", type=TARGET, metavar="NAME|N")
@click.option("--values", is_flag=True, help="Of an agent: also the values of variables, which may be secrets.")
@as_json
@pass_hive
def show(hive: Hive, target: AgentName | int, values: bool, as_json: bool) -> None:
    """Show all about an agent, or about what has a number.

    A number is that of a proposal, a tool that is asked for, a question, a deployment or an operation. Of the variables that
    an agent and its MCP servers are given, the names: without --values each is null in --json.
    """
    if isinstance(target, int):
        if values:
            raise Invalid("--values is for an agent", hint=f"hyperhive show {target}")
        _number(hive, target, as_json=as_json)
    else:
        _agent(hive, target, values=values, as_json=as_json)


def _number(hive: Hive, number: int, *, as_json: bool) -> None:
    if as_json:
        render.json(readings.numbered(hive, number))
        return
    match found := named(hive, number):
        case Approval(kind=ApprovalKind.TOOL):
            reviews.show_tool(hive, found)
        case Approval():
            if found.commit is not None:
                reviews.show(hive, core.review(hive, number))
            if (deployment := deployment_of(hive, number)) is not None:
                _deployment(hive, deployment)
        case Question():
            questions.describe(hive, found)
        case Deployment():
            _deployment(hive, found)
        case Operation():
            _operation(hive, found)


def _deployment(hive: Hive, one: Deployment) -> None:
    now = hive.now()
    state = one.outcome.value if one.outcome else "under way, or waiting"
    applied = deployments.applied_number(hive, AgentName(one.agent)) == one.number
    render.fields(
        [
            ("deployment", (f"{one.number} of {one.agent}", "bold")),
            ("occasion", one.occasion.value),
            ("outcome", state + (", applied now" if applied else "")),
            ("commit", one.commit or "none"),
            ("by", one.approved_by or "nobody"),
            ("base", one.base or "none yet"),
            ("began", f"{words.moment(one.started_at, now)}, {words.age(one.started_at, now)} ago"),
        ]
    )
    if one.error:
        screen.line(("error", "bold red"))
        screen.quote(one.error)
    if end := building.log_end(hive, AgentName(one.agent), one.number):
        screen.line(("end of its log", "bold"))
        screen.quote(end)
    if one.outcome is DeploymentOutcome.FAILED:
        screen.talk(f"note: `hyperhive deploy {one.number}` tries it again")


def _operation(hive: Hive, one: Operation) -> None:
    now = hive.now()
    about = f" {one.argument}" if one.argument and one.argument.isdigit() else ""
    render.fields(
        [
            ("operation", (f"{one.number}: {one.verb}{about} of {one.agent}", "bold")),
            ("state", (one.state.value, operations.COLOURS[one.state])),
            ("by", one.asked_by),
            ("asked", f"{words.moment(one.asked_at, now)}, {words.age(one.asked_at, now)} ago"),
            ("ended", words.moment(one.ended_at, now) if one.ended_at else "not yet"),
        ]
    )
    if one.error:
        screen.line(("error", "bold red"))
        screen.quote(one.error)


def _agent(hive: Hive, name: AgentName, *, values: bool, as_json: bool) -> None:
    found = readings.whole(hive, name)
    if as_json:
        render.json(found.told(values=values))
        return
    agent, config, deployment, waiting = found.agent, found.config, found.deployment, found.waiting
    now = hive.now()
    render.fields(
        [
            ("name", (agent.name, "bold")),
            ("kind", f"{agent.flavor} in {agent.runtime}" + (f", as the user {agent.user}" if agent.user else "")),
            ("state", overview.state(hive, agent)),
            ("model", agent.model or "the login's default"),
            ("mail", overview.mail(agent.mail)),
            ("last turn", overview.last_turn(hive, agent)),
            ("logged in", "yes" if agent.logged_in else f"no: `hyperhive login {name}`"),
            ("made", f"{words.moment(agent.created_at, now)}, {words.age(agent.created_at, now)} ago"),
            ("deployed", _deployed(deployment)),
            ("up to date", _up_to_date(hive, agent, deployment)),
            ("network", config.network.value),
            ("restart", config.restart.value),
            ("mounts", ", ".join(f"{one.source} at {one.target} ({one.mode})" for one in config.mounts) or "none"),
            ("variables", ", ".join(f"{key}={value}" if values else key for key, value in config.env.items()) or "none"),
            ("may write to", ", ".join(config.send_to) or "nobody"),
            ("limits", overview.limits(config.limits)),
            ("tools", ", ".join(config.tools.allow)),
            ("workspace", str(hive.paths.agent_workspace(name))),
        ]
    )
    if config.mcp_servers:
        screen.line(("MCP servers", "bold"))
    for server_name, server in config.mcp_servers.items():
        screen.item(f"{server_name}: ", _server(server))
    if waiting:
        screen.line(("waits for you", "bold yellow"))
    for one in waiting:
        screen.item(f"{one.number} {one.kind} ", one.about)
    for note in overview.troubles(agent):
        screen.line(("note", "yellow"))
        screen.quote(note)
    if config.role.strip():
        screen.line(("role", "bold"))
        screen.quote(config.role)


def _deployed(deployment: Deployment | None) -> str:
    return "nothing" if deployment is None else f"{deployment.number}, commit {(deployment.commit or 'none')[:12]}"


def _up_to_date(hive: Hive, agent: Agent, deployment: Deployment | None) -> str:
    base = deployment.base if deployment else None
    if agent.up_to_date or base is None:
        return "yes" + (f": {base}" if base else "")
    now = (bases.known_base(hive, agent.runtime) or "").split(", ")
    differs = [f"{was}, now {will}" for was, will in zip(base.split(", "), now, strict=False) if was != will]
    return f"no: {'; '.join(differs)}: `hyperhive update {agent.name}`"


def _server(server: McpServer) -> str:
    tools = "all its tools" if "*" in server.allowed_tools else ", ".join(server.allowed_tools) or "each use is asked for"
    return f"{shlex.join([server.command, *server.args])} ({tools})"
