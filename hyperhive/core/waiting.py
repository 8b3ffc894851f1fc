"""Looks until something is so."""

import time
from collections.abc import Callable
from typing import Final

# How often a wait looks, in seconds.
LOOK: Final = 0.02


def until(condition: Callable[[], bool], timeout: float) -> bool:
    """Look until something is so, at most `timeout` seconds. Says whether it became so."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK)
    return True
