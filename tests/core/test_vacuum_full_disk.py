"""On a full disk the sweep frees what needs no room, says why it leaves the rest, and does it when there is room."""

from pathlib import Path

import pytest

from tests.core.hives import program
from tests.core.test_full_disk import SMALL_DISK, lacks_small_disk

STORY = """
from datetime import timedelta
from hyperhive.core import vacuum
from tests.core.hives import add_agent, send

def say(swept):
    full = [f"the disk that holds {hive.paths.state} is full: nothing was changed"]
    print(swept.logs, swept.messages, swept.events, [one.message for one in swept.troubles] == full, flush=True)

add_agent(hive, ADA)
hive.paths.agent(ADA).mkdir()
ago = hive.now() - timedelta(days=40)
log = events.EventLog(hive, ADA)
for _ in range(230):
    log.add(EventKind.TEXT, {"text": "x" * 1000}, at=ago)
log.close()
with hive.db.write():
    for _ in range(1000):
        MessageRow.create(sender=OPERATOR, recipient=ADA, kind=MessageKind.TEXT, body="x" * 1000, state=MessageState.DEAD,
                          sent_at=ago, ended_at=ago)
old = hive.paths.log / "bug-1.txt"
old.write_text("x")
os.utime(old, (ago.timestamp(), ago.timestamp()))
hive.close()
filler = hive.paths.config / "filler"
try:
    with filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
except OSError as error:
    print(error.strerror, flush=True)
say(vacuum.run(hive))
print([one.number for one in messages.inbox(hive, ADA, everything=True, limit=1)], flush=True)
hive.close()
filler.unlink()
say(vacuum.run(hive))
print(hive.db.check(), send(hive).number, hive.paths.reserve.exists(), flush=True)
"""


@pytest.mark.root
def test_it_leaves_the_room_for_what_ends_turns_and_does_the_rest_when_there_is_more(home: Path) -> None:
    if lacks_small_disk(home):
        pytest.skip("cannot mount a small disk here")
    with program(home, STORY, within=(*SMALL_DISK, str(home))) as story:
        said = []
        while line := story.heard():
            said.append(line)
        assert story.wait() == 0
    assert said == ["No space left on device", "1 0 0 True", "[1000]", "0 1000 30 False", "ok 1001 True"]
