"""A turn that hangs is ended at its limit with everything that it has started, and its messages come back."""

from pathlib import Path

import pytest

from hyperhive.core.model import EventKind, MessageState, Outcome
from hyperhive.demo.reply import Reply, say, stall, use
from hyperhive.demo.request import Request
from tests.faults.aftermath import processes_of, tracebacks
from tests.faults.wrecks import Wreck

pytestmark = [pytest.mark.box, pytest.mark.claude]

# Each outlives the shell that starts it, in another way.
WAYS = (
    "setsid sleep 7001 >/dev/null 2>&1 & echo started",
    "(nohup sleep 7002 >/dev/null 2>&1 &) ; echo started",
    "(trap '' TERM INT HUP; setsid sh -c 'trap \"\" TERM; sleep 7003; true' >/dev/null 2>&1 &) ; echo started",
    "env -i /usr/bin/setsid -f /usr/bin/sleep 7004 ; echo started",
)
LAST = "sleep 7005"


def leftovers(home: Path) -> list[str]:
    """What the turn has started and still runs, also where it has forgotten its environment."""
    everything = {**processes_of(home), **processes_of(Path("sleep"))}
    return sorted(words for words in everything.values() if "sleep 700" in words and "claude" not in words)


def test_a_turn_that_hangs_is_ended_with_all_its_children(home: Path) -> None:
    def brain(request: Request) -> Reply:
        if "handed out before" in request.prompt:
            return say("now it works")
        if len(request.all_results) <= len(WAYS):
            commands = [*WAYS, LAST]
            command = commands[len(request.all_results)]
            return use("Bash", command=command, description="start", run_in_background=command == LAST)
        return stall("still thinking")

    with Wreck(home, brain) as hive:
        hive.spawn("ada", turn_seconds=6.0)
        sent = hive.send("ada", "work")
        hive.until(lambda: len(hive.events(kind=EventKind.RESULT)) == len(WAYS) + 1, "all are started")
        # The control: they do live as long as the turn does.
        hive.until(lambda: {words[-4:] for words in leftovers(home)} >= {"7001", "7002", "7004"}, "they run")
        turn = hive.turn_ended()
        assert turn.outcome is Outcome.FAILED
        assert "the turn took longer than 0.1 minutes" in (turn.error or "")
        assert not leftovers(home)
        done = hive.ended(sent.number)
        assert (done.state, done.attempt) == (MessageState.ACKNOWLEDGED, 1)
        assert not tracebacks(home)
