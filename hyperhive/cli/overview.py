"""Commands that show who is there and what they do."""

from typing import Any

import click
import msgspec

from hyperhive.cli import notes, render, screen, words
from hyperhive.cli.params import NAME, as_json, pass_hive
from hyperhive.cli.render import Column, Row
from hyperhive.core import approvals, builds, roster
from hyperhive.core.agent_config import AgentConfig, AgentLimits
from hyperhive.core.hive import Hive
from hyperhive.core.model import Activity, Agent, AgentName, ApprovalKind, Blocked, Mail, Wanted

_COLUMNS = (
    Column("NAME"),
    Column("STATE"),
    Column("MODEL", shrinks=True, drops=True),
    Column("MAIL", shrinks=True),
    Column("LAST TURN", shrinks=True, drops=True),
)
_COLOURS = {Activity.THINKING: "green", Activity.COMPACTING: "cyan", Activity.QUEUED: "yellow", Activity.WAITING: "magenta"}


@click.command()
@click.option("--all", "everything", is_flag=True, help="Also the destroyed ones whose state is kept.")
@as_json
@pass_hive
def ps(hive: Hive, everything: bool, as_json: bool) -> None:
    """Show who does what."""
    found = roster.listed(hive, everything=everything)
    if as_json:
        render.json(found)
    elif found:
        asked = _asked_of_you(hive, found)
        render.table(_COLUMNS, [_row(hive, agent, asked.get(agent.name, [])) for agent in found])
    else:
        screen.talk("there is no agent yet: `hyperhive spawn NAME`")
    notes.hive_is_down(hive)


@click.command()
@click.argument("name", type=NAME)
@click.option("--values", is_flag=True, help="Also the values of variables, which may be secrets.")
@as_json
@pass_hive
def show(hive: Hive, name: AgentName, values: bool, as_json: bool) -> None:
    """Show all about one agent.

    Of the variables that it and its MCP servers are given, the names: without --values each is null in --json.
    """
    agent = roster.get(hive, name)
    config, damage = builds.config_of(hive, name, agent.deployed)
    agent = msgspec.structs.replace(agent, warnings=list(dict.fromkeys([*damage, *agent.warnings])))
    if as_json:
        render.json({**msgspec.to_builtins(agent, builtin_types=[]), "config": config if values else _without_values(config)})
        return
    now = hive.now()
    render.fields(
        [
            ("name", (agent.name, "bold")),
            ("kind", f"{agent.flavor} in {agent.runtime}" + (f", as the user {agent.user}" if agent.user else "")),
            ("state", _state(hive, agent)),
            ("model", agent.model or "the login's default"),
            ("mail", _mail(agent.mail)),
            ("last turn", _last_turn(hive, agent)),
            ("logged in", "yes" if agent.logged_in else f"no: `hyperhive login {name}`"),
            ("made", f"{words.moment(agent.created_at, now)}, {words.age(agent.created_at, now)} ago"),
            ("network", config.network.value),
            ("mounts", ", ".join(f"{one.source} at {one.target} ({one.mode})" for one in config.mounts) or "none"),
            ("variables", ", ".join(f"{key}={value}" if values else key for key, value in config.env.items()) or "none"),
            ("may write to", ", ".join(config.send_to) or "nobody"),
            ("limits", _limits(config.limits)),
            ("tools", ", ".join(config.tools.allow)),
            ("workspace", str(hive.paths.agent_workspace(name))),
        ]
    )
    for note in [*_asked_of_you(hive, [agent]).get(agent.name, []), *_troubles(agent)]:
        screen.line(("note", "yellow"))
        screen.quote(note)
    if config.role.strip():
        screen.line(("role", "bold"))
        screen.quote(config.role)


def _without_values(config: AgentConfig) -> dict[str, Any]:
    """The configuration with no value of a variable."""
    told: dict[str, Any] = msgspec.to_builtins(config)
    for given in (told, *told["mcp_servers"].values()):
        given["env"] = dict.fromkeys(given["env"])
    return told


def _row(hive: Hive, agent: Agent, asked: list[str]) -> Row:
    cells = (
        (agent.name, "bold"),
        _state(hive, agent),
        agent.model or "-",
        (_mail(agent.mail), "bold" if agent.mail.dead else ""),
        _last_turn(hive, agent),
    )
    return Row(cells, [*asked, *_notes(agent)])


def _asked_of_you(hive: Hive, agents: list[Agent]) -> dict[str, list[str]]:
    """What is said below the agents whose turn waits for a decision about a tool."""
    names = {agent.name for agent in agents if agent.turn.state is Activity.WAITING}
    found: dict[str, list[str]] = {}
    for approval in approvals.listed(hive) if names else []:
        if approval.kind is ApprovalKind.TOOL and approval.agent in names:
            line = f"waits for you: `hyperhive approve {approval.number}` ({approval.tool})"
            found.setdefault(approval.agent, []).append(line)
    return found


def _state(hive: Hive, agent: Agent) -> tuple[str, str]:
    now = hive.now()
    since = words.age(agent.turn.since, now)
    works = agent.turn.state not in (Activity.IDLE, Activity.QUEUED)
    if agent.under_way is not None:
        return f"{agent.under_way.what}… {words.age(agent.under_way.since, now)}", "yellow"
    if agent.wanted is Wanted.DESTROYED:
        return "destroyed", "dim"
    if agent.wanted is Wanted.STOPPED:
        return (f"stops after turn, {agent.turn.state} {since}", "yellow") if works else ("stopped", "dim")
    match agent.blocked:
        case Blocked.LIMITED if agent.blocked_until is not None:
            return f"limited until {words.moment(agent.blocked_until, now)}", "yellow"
        case Blocked.LOGIN | Blocked.CRASHED | Blocked.LIMITED:
            return f"blocked: {agent.blocked}", "red"
        case Blocked.NONE:
            return f"{agent.turn.state} {since}".strip(), _COLOURS.get(agent.turn.state, "")


def _mail(mail: Mail) -> str:
    parts = [(mail.pending, "waiting"), (mail.delivered, "in turn"), (mail.dead, "dead")]
    return ", ".join(f"{number} {what}" for number, what in parts if number) or "-"


def _last_turn(hive: Hive, agent: Agent) -> str:
    last = agent.last_turn
    if last is None:
        return "-"
    ago = words.age(last.ended_at, hive.now())
    return f"{last.outcome} {ago} ago, {words.duration(last.seconds)}, {words.money(last.cost_usd)}"


def _notes(agent: Agent) -> list[str]:
    """What is said below an agent's row."""
    lacks_login = agent.wanted is Wanted.STARTED and agent.blocked is Blocked.NONE and not agent.logged_in
    return [*([f"not logged in: `hyperhive login {agent.name}`"] if lacks_login else []), *_troubles(agent)]


def _limits(limits: AgentLimits) -> str:
    tasks = words.count(limits.tasks, "task")
    return f"{limits.memory} of memory, {tasks}, {words.duration(limits.turn_minutes * 60)} a turn"


def _troubles(agent: Agent) -> list[str]:
    troubles = [agent.blocked_reason] if agent.blocked_reason else []
    if not agent.keeps_events:
        troubles.append("nothing is kept: its events cannot be stored")
    return [*troubles, *agent.warnings]
