"""How often a fault is tried, at which instants: both are printed, so that a failure can be repeated.

`ROUNDS=50` tries everything fifty times as often, which takes longer than a test normally may (`--timeout=0`); `SEED=N`
chooses the same instants again.
"""

import os
import random
import secrets


def rounds(few: int) -> int:
    """How often to try: a few times, or as many times more as ROUNDS says."""
    return few * int(os.environ.get("ROUNDS", "1"))


def instants(what: str) -> random.Random:
    """The chance that chooses the instants of one test."""
    seed = int(os.environ.get("SEED") or secrets.randbits(32))
    print(f"{what}: SEED={seed}")
    return random.Random(seed)
