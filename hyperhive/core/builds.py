"""What each deployment of an agent was made of."""

import os
from pathlib import Path

from hyperhive.core import agent_config, beneath
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.errors import Conflict, HyperhiveError, Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName


def write_build(hive: Hive, name: AgentName, number: int, config: AgentConfig) -> Path:
    """Write the `agent.json` of deployment `number`, whole or not at all. The only writer of that file.

    Raises `Unavailable` when the disk does not take it.
    """
    folder = hive.paths.build(name, number)
    file = folder / "agent.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(file, agent_config.encode(config))
    except OSError as error:
        raise Unavailable(f"{file} cannot be written: {error.strerror}", hint=f"df -h {folder.parent}") from None
    return file


def config_of(hive: Hive, name: AgentName, number: int | None) -> tuple[AgentConfig, list[str]]:
    """The configuration of a deployment, with warnings about what of it is not used.

    What cannot be read means the same as what is damaged: the agent lives, with the least.
    """
    if number is None:
        return AgentConfig(), []
    return agent_config.decode(_read(hive, name, number))


def model_of(hive: Hive, name: AgentName, number: int | None) -> str | None:
    """The model that a deployment's configuration names."""
    return None if number is None else agent_config.model_in(_read(hive, name, number))


def is_there(hive: Hive, name: AgentName, number: int | None) -> bool:
    """What a deployment was built into is still kept; so it is for one that nothing was ever deployed to."""
    return number is None or os.path.exists(hive.paths.build(name, number) / "agent.json")


def made_in(hive: Hive, name: AgentName, number: int | None) -> Path | None:
    """What the agent sees at /opt/agent: what its deployment was built into, else its files; None for what has no files."""
    if number is None:
        return None
    folder = hive.paths.build(name, number)
    return next((found for found in (folder / "out", folder / "tree") if found.is_dir()), None)


def kept_config(hive: Hive, name: AgentName, number: int) -> AgentConfig:
    """The configuration of a deployment, which a new one is to take over. Raises `Conflict` when it cannot be read."""
    try:
        return agent_config.parse((hive.paths.build(name, number) / "agent.json").read_bytes())
    except (OSError, HyperhiveError) as error:
        raise Conflict(
            f"the configuration that is kept of {name} cannot be read: {error}",
            hint=f'give it a new one (hyperhive spawn {name} --role "…"), or `hyperhive purge {name}` first',
        ) from None


def purge(hive: Hive, name: AgentName) -> None:
    """Remove all that was ever built for an agent. Its container must be gone. Raises `Unavailable`."""
    folder = hive.paths.builds(name)
    if folder.parent.is_dir():
        beneath.remove(folder.parent, folder.name)


def write_whole(file: Path, data: bytes, *, mode: int = 0o600, gid: int | None = None) -> None:
    """Put `data` into a file of the host's own so that a reader, or a power cut, sees all of it or none.

    `gid` is the group that it belongs to from the beginning, where that is not this process' own.
    """
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(fd, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        if gid is not None:
            os.chown(temporary, -1, gid)
        temporary.chmod(mode)
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_changed(file: Path, data: bytes, *, mode: int, gid: int | None = None) -> None:
    """The same where the file is not so already."""
    try:
        if file.read_bytes() == data:
            return
    except OSError:
        pass
    write_whole(file, data, mode=mode, gid=gid)


def _read(hive: Hive, name: AgentName, number: int) -> bytes:
    try:
        return (hive.paths.build(name, number) / "agent.json").read_bytes()
    except OSError:
        return b""
