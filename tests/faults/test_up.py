"""`hyperhive up` watches agents and keeps its hub, and nothing of it lives on when it is killed."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from hyperhive.core import crash_watch, messages
from hyperhive.core.locks import holder, is_held
from hyperhive.core.model import OPERATOR
from tests.core.hives import ADA, add_agent, set_row
from tests.faults.aftermath import end, held_locks, processes_of, tracebacks
from tests.faults.wrecks import Wreck
from tests.support.swarm import PATIENCE


@contextmanager
def up(hive: Wreck, said: list[str]) -> Iterator[subprocess.Popen[str]]:
    """`hyperhive up`, killed if it lives at the end; what it says comes as it does."""
    command = [sys.executable, "-m", "hyperhive", "up"]
    with subprocess.Popen(command, env=hive.environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        reader = Thread(target=said.extend, args=(child.stderr,))
        reader.start()
        try:
            yield child
        finally:
            child.kill()
            child.wait()
            reader.join(PATIENCE)


def test_it_tells_of_crashes_and_keeps_its_hub_and_nothing_of_it_lives_on(home: Path) -> None:
    said: list[str] = []
    with Wreck(home, mode="good", up=False) as hive:
        add_agent(hive.hive, ADA)
        crash_watch.run(hive.hive)
        set_row(hive.hive, ADA, epoch=1, boot=hive.hive.boot())
        with up(hive, said) as child:
            hive.until(lambda: crashes(hive) == 1, "it looks at once")
            hub = hive.until(lambda: hub_of(hive), "its hub lives")
            set_row(hive.hive, ADA, epoch=2)
            assert end(hub)
            hive.until(lambda: hub_of(hive) not in (None, hub), "another hub lives")
            # Within fifteen seconds.
            hive.until(lambda: crashes(hive) == 2, "it looks again", patience=15)
            hive.until(lambda: len(of_crashes(said)) == 2, "it says so")
            child.kill()
            child.wait()
            hive.until(lambda: not processes_of(home), f"nothing runs on: {processes_of(home)}")
            assert not held_locks(hive.hive)
        assert not tracebacks(home)
    assert of_crashes(said) == [
        f"container_crash: ada died in its epoch {epoch}, and nobody had asked for it. `hyperhive logs ada` tells more.\n"
        for epoch in (1, 2)
    ]
    assert [line for line in said if line.startswith("the hub was ended by signal 9; it is started again in 0.2 s")]


def of_crashes(said: list[str]) -> list[str]:
    """The lines that tell of crashes."""
    return [line for line in said if line.startswith("container_crash: ")]


def crashes(hive: Wreck) -> int:
    """How many crashes the operator was told of."""
    return sum(message.body.startswith("container_crash: ") for message in messages.inbox(hive.hive, OPERATOR))


def hub_of(hive: Wreck) -> int | None:
    """The process of the hub, if it lives."""
    lock = hive.hive.paths.lock("hub")
    words = holder(lock).split() if is_held(lock) else []
    return int(words[1]) if words[:1] == ["pid"] else None
