"""On a full disk nothing new is accepted, and what was accepted is still read and brought to its end."""

import os
import subprocess
from pathlib import Path

import pytest

from hyperhive.core import messages
from hyperhive.core.errors import Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.model import Outcome
from hyperhive.core.reserve import FULL, SIZE, Reserve
from tests.core.hives import ADA, one_turn, program, send

# A disk of its own, which goes with the program that it is made for.
SMALL_DISK = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=16m hyperhive-test "$0" && exec "$@"')
STORY = """
from tests.core.hives import add_agent, begin, end, send
from hyperhive.core.errors import Unavailable
from hyperhive.core import wishes

def refused(act):
    try:
        act()
    except Unavailable as error:
        return error.message.startswith("the disk that holds ") and error.message.endswith(" is full: nothing was changed")
    return False

hive.paths.settings.write_text('runtime = "host"')
spawning.spawn(hive, ADA, by=OPERATOR)
kept = send(hive, "kept")
for_me = send(hive, "for the operator", to=OPERATOR, sender=ADA)
if "closed" in sys.argv:
    hive.close()
filler = hive.paths.config / "filler"
try:
    with filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
except OSError as error:
    print(error.strerror, flush=True)
print("inbox", [message.body for message in messages.inbox(hive, ADA)], flush=True)
print("send is refused", refused(lambda: [send(hive, "new") for _ in range(3000)]), flush=True)
print("spawn is refused", refused(lambda: spawning.spawn(hive, BOB, by=OPERATOR)), flush=True)
before = [message.body for message in messages.inbox(hive, ADA) if message.body != "new"]
epoch, begun = begin(hive)
end(hive, epoch, begun.number, Outcome.OK)
turns.end_epoch(hive, ADA, epoch=epoch)
print("turn", messages.get(hive, kept.number).state, flush=True)
print("read", messages.read(hive, [for_me.number])[0].state, flush=True)
print("stop", agents.stop(hive, ADA, by=OPERATOR).wanted, flush=True)
hive.close()
filler.unlink()
print("room", send(hive, "after").state, hive.db.check(), hive.paths.reserve.exists(), flush=True)
agents.start(hive, ADA, by=OPERATOR)
print("spawn", spawning.spawn(hive, BOB, by=OPERATOR).agent.wanted, flush=True)
"""


def lacks_small_disk(home: Path) -> bool:
    return subprocess.run([*SMALL_DISK, str(home), "true"], capture_output=True, check=False).returncode != 0


@pytest.mark.root
@pytest.mark.parametrize("before", ["open", "closed"])
def test_what_was_accepted_is_read_and_ends_and_all_is_well_when_there_is_room(home: Path, before: str) -> None:
    if lacks_small_disk(home):
        pytest.skip("cannot mount a small disk here")
    with program(home, STORY, before, within=(*SMALL_DISK, str(home))) as story:
        said = []
        while line := story.heard():
            said.append(line)
        assert story.wait() == 0
    assert said == [
        "No space left on device",
        "inbox ['kept']",
        "send is refused True",
        "spawn is refused True",
        "turn acknowledged",
        "read acknowledged",
        "stop stopped",
        "room pending ok True",
        "spawn started",
    ]


def test_room_is_kept_once_and_given_up_only_on_a_full_disk(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "reserve")
    assert reserve.keep()
    assert reserve.keep()
    assert (tmp_path / "reserve").stat().st_blocks * 512 >= SIZE
    assert not reserve.give_up()
    assert [path.name for path in tmp_path.iterdir()] == ["reserve"]


def test_where_nothing_is_left_but_the_reserve_nothing_new_is_accepted(hive: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    send(hive, "kept")

    def full(_: object) -> os.statvfs_result:
        return os.statvfs_result((4096, 4096, 1000, free, free, 0, 0, 0, 0, 255))

    free = FULL // 4096 - 1
    monkeypatch.setattr(os, "statvfs", full)
    assert [message.body for message in one_turn(hive, Outcome.OK)] == ["kept"]
    assert not hive.paths.reserve.exists()
    free = FULL // 4096
    with pytest.raises(Unavailable, match="is full: nothing was changed"):
        send(hive)
    free = (FULL + SIZE) // 4096
    send(hive)
    assert hive.paths.reserve.exists()
    assert messages.inbox(hive, ADA)[0].number == 2


def test_a_disk_that_cannot_keep_room_is_no_full_one(tmp_path: Path) -> None:
    assert Reserve(tmp_path / "gone" / "reserve").keep()
    assert not Reserve(tmp_path / "gone" / "reserve").give_up()
