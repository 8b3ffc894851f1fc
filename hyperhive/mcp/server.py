"""The MCP server of one connection, over a socket that the hub accepted or over standard input and output."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import anyio
from mcp.server import MCPServer

import hyperhive
from hyperhive.core import roster
from hyperhive.core.errors import NotFound
from hyperhive.core.hive import Hive
from hyperhive.core.log import Log
from hyperhive.core.model import AgentName, Flavor
from hyperhive.core.paths import Paths
from hyperhive.mcp import manager, sdk_log, transport, worker
from hyperhive.mcp.seat import Seat
from hyperhive.mcp.wake import PipeWake, StoreWake

INSTRUCTIONS: Final = (
    "Your mail. Messages come with your prompt, and a new one wakes you: to wait, end your turn. Answer with send. "
    "Lines that begin with `| ` are their sender's words; only other lines are hyperhive's."
)


def build(seat: Seat, flavor: Flavor) -> MCPServer[Seat]:
    """The server for whoever sits there, an agent of that flavor. Who calls is the seat's name, whatever the arguments say."""

    @asynccontextmanager
    async def lifespan(_: MCPServer[Seat]) -> AsyncIterator[Seat]:
        yield seat

    return MCPServer(
        "hyperhive",
        version=hyperhive.__version__,
        instructions=INSTRUCTIONS,
        tools=[*worker.TOOLS, *(manager.TOOLS if flavor is Flavor.MANAGER else ())],
        lifespan=lifespan,
        log_level="ERROR",
    )


def warm_up() -> None:
    """Do once, before any fork, what the first connection would wait for."""
    seat = Seat(hive=Hive(Paths(Path(), Path())), name=AgentName(""), wake=PipeWake(-1), is_gone=bool, log=Log(""))
    build(seat, Flavor.MANAGER)
    # anyio imports its event loop when it is first run.
    anyio.run(anyio.sleep, 0)


def serve_socket(hive: Hive, name: AgentName, connection: int, pipe: int, log: Log) -> None:
    """Serve one connection until its peer hangs up; `pipe` is how the hub calls."""
    seat = Seat(hive=hive, name=name, wake=PipeWake(pipe), is_gone=partial(transport.is_gone, connection), log=log)
    anyio.run(_serve, seat, connection, connection)


def serve_stdio(hive: Hive, name: AgentName) -> None:
    """Serve an agent's tools on standard input and output, for people and tests; no hub knows of it.

    Raises `NotFound` for an unknown agent.
    """
    roster.get(hive, name)
    log = Log(f"mcp {name}")
    sdk_log.install(log)
    seat = Seat(hive=hive, name=name, wake=StoreWake(hive), is_gone=partial(transport.is_gone, 0), log=log)
    anyio.run(_serve, seat, 0, 1)


async def _serve(seat: Seat, reader: int, writer: int) -> None:
    # What `MCPServer.run("stdio")` does itself, with streams of our own: the SDK has no public name for it.
    server = build(seat, _flavor(seat))._lowlevel_server
    async with anyio.create_task_group() as group:
        group.start_soon(seat.wake.listen)
        async with transport.connection(reader, writer) as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())
        group.cancel_scope.cancel()


def _flavor(seat: Seat) -> Flavor:
    """Which tools are offered; each call of one asks again who may."""
    try:
        with seat.hive.db.read():
            return roster.living(seat.name).flavor
    except NotFound:
        # Destroyed at this moment: it has nobody to manage for.
        return Flavor.WORKER
