"""The hub asks again for what did not come about, without asking for ever the same."""

import itertools

from hyperhive.core.hub_operations import SETTLE, SETTLE_MOST, Patience
from tests.core.hives import ADA, BOB


def tries(patience: Patience, *, seconds: float) -> list[float]:
    """When ada is tried, where nothing of it ever succeeds and somebody looks once a second."""
    found = []
    for now in map(float, range(int(seconds))):
        if due := patience.due([ADA], now):
            patience.tried(due, now)
            found.append(now)
    return found


def test_what_never_succeeds_is_tried_ever_more_rarely() -> None:
    tried = tries(Patience(), seconds=48 * 3600)
    pauses = [later - earlier for earlier, later in itertools.pairwise(tried)]
    assert pauses[:3] == [SETTLE, 2 * SETTLE, 4 * SETTLE]
    assert pauses == sorted(pauses)
    assert set(pauses[7:]) == {SETTLE_MOST}


def test_what_succeeded_meanwhile_begins_anew_and_nobody_waits_for_another() -> None:
    patience = Patience()
    tried = tries(patience, seconds=1000)
    assert patience.due([ADA, BOB], tried[-1] + 1) == [BOB]
    later = tried[-1] + 24 * 3600
    assert patience.due([ADA], later) == [ADA]
    patience.tried([ADA], later)
    assert patience.due([ADA], later + SETTLE) == [ADA]
