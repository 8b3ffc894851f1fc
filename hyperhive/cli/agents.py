"""Commands that make agents and choose their model."""

from pathlib import Path

import click

from hyperhive.cli import carrying, notes, render, screen
from hyperhive.cli.params import NAME, NEW_NAME, as_json, pass_hive, variables
from hyperhive.core import agent_config, operate, roster, spawning, wishes
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.errors import Invalid
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, AgentName, Flavor, Network


@click.command()
@click.argument("name", type=NEW_NAME)
@click.option("--manager", is_flag=True, help="It hears of the other agents' troubles.")
@click.option("--role", metavar="TEXT", help="What it is for, added to its prompt.")
@click.option("--role-file", type=click.Path(path_type=Path), help="The same, from a file.")
@click.option("--model", metavar="MODEL", help="The model of its turns.")
@click.option(
    "--mount", "mounts", multiple=True, metavar="SRC:DST[:ro|rw]", help="Show it a folder of this machine; ro if not said."
)
@click.option("--env", multiple=True, metavar="K=V", help="A variable for its programs. It is kept in git: no secrets.")
@click.option("--network", type=click.Choice([one.value for one in Network]), help="What its container reaches: open, or none.")
@click.option("--user", metavar="USER", help="Run it as this user of the machine (root only).")
@click.option("--runtime", metavar="RUNTIME", help="The kind of container: bubblewrap, nspawn, host, or auto.")
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
    with operate.interruptible():
        made = spawning.spawn(
            hive,
            name,
            flavor=Flavor.MANAGER if manager else Flavor.WORKER,
            config=config if asked else None,
            runtime=runtime,
            user=user,
            start=not no_start,
            by=OPERATOR,
            say=screen.talk if as_json else carrying.line,
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
    agent = wishes.set_model(hive, name, model) if model is not None or unset else roster.get(hive, name)
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
