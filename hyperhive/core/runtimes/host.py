"""No container at all: the agent runs as this user and sees all that this user sees."""

import sys
from collections.abc import Collection, Sequence
from typing import Final

from hyperhive.core import process
from hyperhive.core.errors import Invalid, Unavailable
from hyperhive.core.model import Network
from hyperhive.core.runtimes import Inside, Listing, Place

# For one who leads its session already; setsid would fork there, and lose the signal that ended the command.
_TAKE_TERMINAL: Final = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)


class Host:
    """The agent is an ordinary program of this machine."""

    name: Final = "host"
    separates_users: Final = False
    listing: Listing | None = None
    booted: Final = None
    isolation: Final = "none: an agent can read and change whatever this user can"

    def inside(self, place: Place) -> Inside:
        return Inside(
            home=str(place.state),
            state=str(place.state),
            workspace=str(place.workspace),
            claude=str(place.claude),
            tmp=str(place.tmp),
            run=str(place.run),
            socket=f"{place.run}/mcp.sock",
            program=str(place.program) if place.program else None,
            # Not socat: the comma or colon of a host's path would be its syntax.
            relay=(sys.executable, "-S", "-E", "-I", f"{place.run}/relay.py", f"{place.run}/mcp.sock"),
            terminal=(sys.executable, "-S", "-E", "-I", "-c", _TAKE_TERMINAL),
            path=process.PATH,
            config=str(place.config) if place.config else None,
            applied=str(place.applied) if place.applied else None,
            gitconfig=f"{place.run}/gitconfig",
        )

    def wrap(
        self,
        place: Place,
        command: Sequence[str],
        *,
        cwd: str | None = None,
        env: Collection[str] = (),
        unit: str | None = None,
    ) -> list[str]:
        if place.uid is not None:
            raise Invalid("the runtime host gives an agent no user of its own", hint="use the runtime bubblewrap")
        if place.network is Network.NONE:
            raise Invalid("the runtime host cannot take the network away", hint="use the runtime bubblewrap")
        if place.mounts:
            raise Invalid(
                "the runtime host mounts nothing",
                hint=f"make a link in its workspace: ln -s {place.mounts[0].source} {place.workspace}",
            )
        return [*process.with_parent(), "env", f"--chdir={cwd or place.workspace}", "--", *command]

    def probe(self) -> list[str]:
        return ["env", "--chdir=/", "--", "true"]

    def explain(self, output: str) -> Unavailable:
        return Unavailable(f"programs cannot be started here: {output.strip()}", hint="install coreutils")
