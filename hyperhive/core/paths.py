"""Where everything of a hive lies."""

import os
from pathlib import Path
from typing import Final

import msgspec

from hyperhive.core.errors import Invalid, Unavailable
from hyperhive.core.model import AgentName

# sockaddr_un.sun_path holds 108 bytes with its NUL (unix(7)).
SOCKET_PATH_MOST: Final = 107
_LONGEST_NAME: Final = "n" * 31
SYSTEM_STATE: Final = Path("/var/lib/hyperhive")
SYSTEM_CONFIG: Final = Path("/etc/hyperhive")


class Paths(msgspec.Struct, frozen=True):
    """Every file and folder of one hive, from its two roots."""

    config: Path
    state: Path

    @property
    def is_machines(self) -> bool:
        """This is the machine's own hive, and not one of a HYPERHIVE_HOME or of an ordinary user."""
        return self.state == SYSTEM_STATE

    @property
    def settings(self) -> Path:
        """The operator's settings."""
        return self.config / "hive.toml"

    @property
    def database(self) -> Path:
        """Agents, messages, turns, operations."""
        return self.state / "hive.sqlite"

    @property
    def reserve(self) -> Path:
        """Room that is kept for a full disk."""
        return self.state / "reserve"

    @property
    def changed(self) -> Path:
        """Touched after every commit, for those who follow."""
        return self.state / "changed"

    @property
    def wake(self) -> Path:
        """The doorbells."""
        return self.state / "wake"

    @property
    def locks(self) -> Path:
        """Lock files, which are never unlinked."""
        return self.state / "locks"

    @property
    def groups(self) -> Path:
        """Links to the control groups that were made."""
        return self.state / "groups"

    @property
    def run(self) -> Path:
        """Sockets."""
        return self.state / "run"

    @property
    def hub_socket(self) -> Path:
        """Where harnesses meet the hub."""
        return self.run / "hub.sock"

    @property
    def log(self) -> Path:
        """The logs of the hub and of bugs."""
        return self.state / "log"

    @property
    def programs(self) -> Path:
        """Copies of programs that other users must be able to reach."""
        return self.state / "programs"

    @property
    def agents(self) -> Path:
        """A folder for each agent."""
        return self.state / "agents"

    def lock(self, name: str) -> Path:
        """The lock file of that name."""
        return self.locks / name

    def harness_lock(self, name: AgentName) -> Path:
        """The lock that says that a harness of this agent lives."""
        return self.lock(f"{name}.harness")

    def operation_lock(self, name: AgentName) -> Path:
        """The lock of the one operation that may run on an agent."""
        return self.lock(f"{name}.operation")

    def container_lock(self, name: AgentName) -> Path:
        """The lock of the one process that starts or ends the agent's container."""
        return self.lock(f"{name}.container")

    def proposed_lock(self, manager: AgentName) -> Path:
        """The lock of the one process that puts repositories into a manager's folder."""
        return self.lock(f"{manager}.proposed")

    def agent_run(self, name: AgentName) -> Path:
        """The folder of the agent's socket: /run/hyperhive in its container."""
        return self.run / "agents" / name

    def agent_socket(self, name: AgentName) -> Path:
        """The agent's own socket, by which it is known."""
        return self.agent_run(name) / "mcp.sock"

    def agent(self, name: AgentName) -> Path:
        """All that is kept of an agent."""
        return self.agents / name

    def agent_state(self, name: AgentName) -> Path:
        """/state in the container: the agent's own notes."""
        return self.agent(name) / "state"

    def agent_workspace(self, name: AgentName) -> Path:
        """/workspace in the container: its working directory."""
        return self.agent(name) / "workspace"

    def agent_claude(self, name: AgentName) -> Path:
        """/claude in the container: the agent CLI's own folder."""
        return self.agent(name) / "claude"

    def agent_container(self, name: AgentName) -> Path:
        """What a container that is booted stands on: its root, which the host makes, and its own /var."""
        return self.agent(name) / "container"

    def agent_events(self, name: AgentName) -> Path:
        """The agent's event store, which its container never sees."""
        return self.agent(name) / "events.sqlite"

    def agent_token(self, name: AgentName) -> Path:
        """The agent's login token, where it was given one."""
        return self.agent(name) / "token"

    def agent_log(self, name: AgentName) -> Path:
        """The agent's journal."""
        return self.agent(name) / "log"

    @property
    def builds_folder(self) -> Path:
        """A folder for each agent's builds."""
        return self.state / "builds"

    def build(self, name: AgentName, number: int) -> Path:
        """What deployment `number` was made of."""
        return self.builds(name) / str(number)

    def builds(self, name: AgentName) -> Path:
        """All that was ever deployed for the agent and is still kept."""
        return self.builds_folder / name

    @property
    def applied_folder(self) -> Path:
        """/applied in a manager's container: every agent's configuration as it was accepted, in git, the host's own."""
        return self.state / "applied"

    def applied(self, name: AgentName) -> Path:
        """The host's own repository of one agent's configuration."""
        return self.applied_folder / f"{name}.git"

    @property
    def proposed_folder(self) -> Path:
        """A folder for each manager's proposals."""
        return self.state / "proposed"

    def proposed(self, manager: AgentName) -> Path:
        """/config in the manager's container: its own repositories, in which the host never runs git."""
        return self.proposed_folder / manager

    @property
    def meta(self) -> Path:
        """The repository that holds the history of the whole swarm."""
        return self.state / "meta"

    def check_socket_length(self) -> None:
        """Refuse a state folder in which a socket's path would be too long. Raises `Invalid`."""
        longest = self.agent_socket(AgentName(_LONGEST_NAME))
        over = len(os.fsencode(longest)) - SOCKET_PATH_MOST
        if over > 0:
            raise Invalid(
                f"the folder {self.state} is too deep: a socket's path may hold {SOCKET_PATH_MOST} bytes",
                hint=f"choose a HYPERHIVE_HOME that is at least {over} characters shorter",
            )


def find_paths(environment: "os._Environ[str] | dict[str, str]") -> Paths:
    """The paths of the hive that this process is to use.

    HYPERHIVE_HOME puts everything under one folder; root uses the machine's folders; anybody else their own. Raises
    `Unavailable` for an ordinary user of a machine where root runs a hive, rather than giving a silent second one.
    """
    home = environment.get("HYPERHIVE_HOME")
    if home:
        root = Path(home).expanduser().absolute()
        paths = Paths(config=root, state=root / "state")
    elif os.geteuid() == 0:
        paths = Paths(config=SYSTEM_CONFIG, state=SYSTEM_STATE)
    else:
        if SYSTEM_STATE.exists():
            raise Unavailable(
                "root runs a hive on this machine, and you are not root",
                hint="`sudo hyperhive …` for that one, or HYPERHIVE_HOME=DIR for one of your own",
            )
        import platformdirs

        paths = Paths(
            config=Path(platformdirs.user_config_dir("hyperhive")), state=Path(platformdirs.user_state_dir("hyperhive"))
        )
    paths.check_socket_length()
    return paths
