"""`python -m tests.bench`: measure, and print the figures below the machine's line."""

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from tests.bench import about, dashboard, deciding, idle, shell, start, sweeping, turn, units, wake
from tests.bench.figures import Figure
from tests.bench.ground import apart, folder, ground
from tests.bench.table import table
from tests.support import machine

Measurement = Callable[[Path], Iterator[Figure]]
MEASUREMENTS: dict[str, tuple[Measurement, tuple[str, ...]]] = {
    "wake": (wake.measure, ()),
    "turn": (turn.measure, ("box", "claude")),
    "start": (start.measure, ("box", "claude")),
    "units": (units.measure, ("systemd", "box")),
    "deciding": (deciding.measure, ("box", "claude")),
    "sweeping": (sweeping.measure, ()),
    "shell": (shell.measure, ()),
    "dashboard": (dashboard.measure, ()),
    "idle": (idle.measure, ()),
}


def main() -> int:
    """Say what was found. A missed aim is a figure, not a failure: only what could not be measured fails."""
    parser = argparse.ArgumentParser(prog="make bench", description="Measure how fast hyperhive is on this machine.")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--only", choices=MEASUREMENTS, action="append", metavar="NAME", help=f"one of {', '.join(MEASUREMENTS)}")
    asked = parser.parse_args()
    failed = False
    with ground() as base, apart(base / "said") as talk:
        here = about.machine(folder(base, "home"))
        if not asked.json:
            print(here.line(), flush=True)
        figures: list[Figure] = []
        for name in asked.only or MEASUREMENTS:
            measure, needs = MEASUREMENTS[name]
            lacks = next((reason for need in needs if (reason := machine.lacks(need))), None)
            if lacks:
                talk.write(f"{name} is not measured: {lacks}\n")
                continue
            began = time.monotonic()
            talk.write(f"{name} … ")
            try:
                figures += measure(base)
                talk.write(f"{time.monotonic() - began:.0f} s\n")
            except Exception:
                failed = True
                talk.write(f"failed\n{traceback.format_exc()}{(base / 'said').read_text(encoding='utf-8')[-4000:]}\n")
    if asked.json:
        document = {"machine": here, "figures": [figure.plain() for figure in figures]}
        print(msgspec.json.format(msgspec.json.encode(document)).decode())
    else:
        print(table(figures))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
