"""What a `send` takes while old messages are being removed, beside one that nothing holds up."""

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

from hyperhive.core import messages
from hyperhive.core.columns import to_milliseconds
from hyperhive.core.hive import Hive, open_hive
from hyperhive.core.model import OPERATOR
from tests.bench.figures import Aim, Figure, Sample
from tests.bench.ground import folder

# How many old messages of how many characters: many short ones, and the longest that there are.
KINDS: Final = ((200_000, 200), (5_000, 65_536))
QUIET: Final = 500
_FILL: Final = """
    WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?)
    INSERT INTO message (sender, recipient, kind, body, state, confirmed, attempt, sent_at, ended_at)
    SELECT 'operator', 'ada', 'text', ?, 'acknowledged', 1, 1, ?, ? FROM number
"""


def measure(base: Path) -> Iterator[Figure]:
    """The real command sweeps in a process of its own; the operator sends to itself, as fast as it can."""
    for count, length in KINDS:
        home = folder(base, f"sweeping-{length}")
        hive = open_hive({"HYPERHIVE_HOME": str(home)})
        ago = to_milliseconds(hive.now() - timedelta(days=40))
        with hive.db.write():
            hive.db.ask(_FILL, count, "x" * length, ago, ago)
        quiet = [_send(hive) for _ in range(QUIET)]
        found = []
        with subprocess.Popen(
            [sys.executable, "-m", "hyperhive", "vacuum"],
            env={"HYPERHIVE_HOME": str(home), "PATH": "/usr/bin:/bin"}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        ) as sweeps:  # fmt: skip
            while sweeps.poll() is None:
                found.append(_send(hive))
            assert sweeps.stdout is not None
            assert sweeps.stdout.read() == f"removed {count} messages\n".encode()
        hive.close()
        yield Figure(
            f"sweeping.{count}",
            Sample(f"send, while {count:,} messages of {length:,} characters are removed", tuple(found)),
            beside=Sample("send, while nothing else happens", tuple(quiet)),
            aim=Aim(worst=0.250),
        )


def _send(hive: Hive) -> float:
    began = time.perf_counter()
    messages.send(hive, sender=OPERATOR, to=OPERATOR, body="good morning")
    seconds = time.perf_counter() - began
    # The inbox holds a thousand.
    messages.read(hive, None)
    return seconds
