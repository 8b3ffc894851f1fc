"""Commands that make agents and look at them."""

from pathlib import Path

import click
import msgspec

from hyperhive.cli import notes, render, screen, words
from hyperhive.cli.params import NAME, NEW_NAME, as_json, pass_hive, variables
from hyperhive.cli.render import Column, Row
from hyperhive.core import agent_config, agents, builds
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.errors import Invalid
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, Activity, Agent, AgentName, Blocked, Flavor, Mail, Network, Wanted

_COLUMNS = (
    Column("NAME"),
    Column("STATE"),
    Column("MODEL", shrinks=True, drops=True),
    Column("MAIL", shrinks=True),
    Column("LAST TURN", shrinks=True, drops=True),
)
_COLOURS = {Activity.THINKING: "green", Activity.COMPACTING: "cyan", Activity.QUEUED: "yellow"}


@click.command()
@click.argument("name", type=NEW_NAME)
@click.option("--manager", is_flag=True, help="It hears of the other agents' troubles.")
@click.option("--role", metavar="TEXT", help="What it is for, added to its prompt.")
@click.option("--role-file", type=click.Path(path_type=Path), help="The same, from a file.")
@click.option("--model", metavar="MODEL", help="The model of its turns.")
@click.option(
    "--mount", "mounts", multiple=True, metavar="SRC:DST[:ro|rw]", help="Show it a folder of this machine; ro if not said."
)
@click.option("--env", multiple=True, metavar="K=V", help="A variable for its programs.")
@click.option("--network", type=click.Choice([one.value for one in Network]), help="What its container reaches: open, or none.")
@click.option("--user", metavar="USER", help="Run it as this user of the machine (root only).")
@click.option("--runtime", metavar="RUNTIME", help="The kind of container: bubblewrap, host, or auto.")
@click.option("--no-start", is_flag=True, help="Make it, but leave it stopped.")
@as_json
@pass_hive
def spawn(
    hive: Hive,
    name: AgentName,
    manager: bool,
    role: str | None,
    role_file: Path | None,
    model: str | None,
    mounts: tuple[str, ...],
    env: tuple[str, ...],
    network: str | None,
    user: str | None,
    runtime: str | None,
    no_start: bool,
    as_json: bool,
) -> None:
    """Make an agent, in a container of its own.

    What was kept of a destroyed agent of the same name is taken over; with any option about its configuration it gets
    a new one.
    """
    if role is not None and role_file is not None:
        raise Invalid("a role comes from --role or from --role-file, not both", hint="leave one out")
    told = role if role_file is None else _read(role_file)
    asked = (told, model, network) != (None, None, None) or bool(mounts or env)
    config = AgentConfig(
        role=told or "",
        model=model,
        network=Network(network or Network.OPEN),
        env=variables(env),
        mounts=tuple(map(agent_config.parse_mount, mounts)),
    )
    made = agents.spawn(
        hive,
        name,
        flavor=Flavor.MANAGER if manager else Flavor.WORKER,
        config=config if asked else None,
        runtime=runtime,
        user=user,
        start=not no_start,
        by=OPERATOR,
    )
    if as_json:
        render.json(made.agent)
    else:
        kept = ", with what was kept of it" if made.reused else ""
        screen.line(f"{name} is there{kept}" + (", stopped" if no_start else ""))
    notes.hive_is_down(hive)
    if not made.agent.logged_in:
        screen.talk(f"note: it has no login yet: `hyperhive login {name}`")


@click.command()
@click.option("--all", "everything", is_flag=True, help="Also the destroyed ones whose state is kept.")
@as_json
@pass_hive
def ps(hive: Hive, everything: bool, as_json: bool) -> None:
    """Show who does what."""
    found = agents.listed(hive, everything=everything)
    if as_json:
        render.json(found)
    elif found:
        render.table(_COLUMNS, [_row(hive, agent) for agent in found])
    else:
        screen.talk("there is no agent yet: `hyperhive spawn NAME`")
    notes.hive_is_down(hive)


@click.command()
@click.argument("name", type=NAME)
@as_json
@pass_hive
def show(hive: Hive, name: AgentName, as_json: bool) -> None:
    """Show all about one agent."""
    agent = agents.get(hive, name)
    config, _ = builds.config_of(hive, name, agent.deployed)
    if as_json:
        render.json({**msgspec.to_builtins(agent, builtin_types=[]), "config": config})
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
            ("variables", ", ".join(config.env) or "none"),
            ("may write to", ", ".join(config.send_to) or "nobody"),
            ("tools", ", ".join(config.tools.allow)),
            ("workspace", str(hive.paths.agent_workspace(name))),
        ]
    )
    for note in _troubles(agent):
        screen.line(("note", "yellow"))
        screen.quote(note)
    if config.role.strip():
        screen.line(("role", "bold"))
        screen.quote(config.role)


@click.command()
@click.argument("name", type=NAME)
@click.argument("model", required=False)
@click.option("--unset", is_flag=True, help="Go back to the model of its configuration.")
@as_json
@pass_hive
def model(hive: Hive, name: AgentName, model: str | None, unset: bool, as_json: bool) -> None:
    """Show or choose an agent's model.

    A new one holds from the next turn on.
    """
    if model is not None and unset:
        raise Invalid("a model is chosen or unset, not both", hint=f"hyperhive model {name} --unset")
    agent = agents.set_model(hive, name, model) if model is not None or unset else agents.get(hive, name)
    if as_json:
        render.json({"name": agent.name, "model": agent.model})
    else:
        screen.line(agent.model or "the login's default")


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise Invalid(f"{str(file)!a} cannot be read: {why}", hint="--role-file FILE") from None


def _row(hive: Hive, agent: Agent) -> Row:
    cells = (
        (agent.name, "bold"),
        _state(hive, agent),
        agent.model or "-",
        (_mail(agent.mail), "bold" if agent.mail.dead else ""),
        _last_turn(hive, agent),
    )
    return Row(cells, _notes(agent))


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


def _troubles(agent: Agent) -> list[str]:
    troubles = [agent.blocked_reason] if agent.blocked_reason else []
    if not agent.keeps_events:
        troubles.append("nothing is kept: its events cannot be stored")
    return [*troubles, *agent.warnings]
