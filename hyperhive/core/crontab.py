"""The lines of a crontab that keep a hive up where no systemd runs."""

import shlex
import sys
from collections.abc import Collection, Mapping
from typing import Final

# cron looks once a minute, which is too seldom to watch: one pass after another until it looks again.
_EVERY: Final = 10
_FOR: Final = 55


def lines(commands: Collection[str], variables: Mapping[str, str]) -> list[str]:
    """One line for each thing to be run (crontab(5)); `commands` are those that this version has."""
    wanted = [
        ("@reboot", "hub", ["--unless-up"]),
        ("* * * * *", "hub", ["--unless-up"]),
        ("* * * * *", "crash-watch", ["--every", str(_EVERY), "--for", str(_FOR)]),
        ("@reboot", "vacuum", []),
        ("@hourly", "vacuum", []),
    ]
    before = [f"{key}={shlex.quote(value)}" for key, value in sorted(variables.items())]
    program = [shlex.quote(sys.executable), "-P", "-m", "hyperhive"]
    # A percent ends the command for cron.
    return [
        f"{when} {' '.join([*before, *program, command, *words])}".replace("%", "\\%")
        for when, command, words in wanted
        if command in commands
    ]
