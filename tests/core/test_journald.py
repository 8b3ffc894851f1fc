"""What journalctl prints becomes lines with their times, whatever is in it."""

import os
import select
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hyperhive.core.errors import CommandFailed, Denied, Unavailable
from hyperhive.core.journald import Entries

# As journalctl 252 printed them with --output=json, but for the values.
MACHINE = (
    '"_BOOT_ID":"b34e1d7b54c84c7c8b4b2e5e3f0c3f4e","__MONOTONIC_TIMESTAMP":"1234","__CURSOR":"s=1f;i=%s;b=b34;m=1;t=2;x=3",'
    '"__REALTIME_TIMESTAMP":"17698608%s123456"'
)


def entry(number: int, message: str, program: str = "cron", more: str = '"_PID":"42"') -> str:
    parts = [MACHINE % (number, f"{number:02}"), f'"SYSLOG_IDENTIFIER":"{program}"', *([more] if more else [])]
    return "{" + ",".join([*parts, f'"MESSAGE":{message}']) + "}"


def journalctl(*printed: str, errors: str = "", code: int = 0, after: str = "") -> list[str]:
    """A program that prints this in place of journalctl, and `after` when it is to follow."""
    say = " ".join(["printf '%s\\n'", *map(shlex.quote, printed)]) if printed else ":"
    wait = f"case $* in *--follow*) {after}; exec sleep 1000;; esac" if after else ":"
    return ["sh", "-c", f"{wait}; {say}; echo {shlex.quote(errors)} >&2; exit {code}", "journalctl"]


def newest(words: list[str], *, who: str = "nobody") -> list[tuple[datetime | None, str]]:
    return [(one.at, one.text) for one in Entries(words, who=who, lines=100).newest()]


def texts(*printed: str, who: str = "nobody") -> list[str]:
    return [text for _, text in newest(journalctl(*printed), who=who)]


def test_the_newest_come_first_and_are_given_last() -> None:
    found = newest(journalctl(entry(2, '"b"'), entry(1, '"a"')))
    assert found == [
        (datetime(2026, 1, 31, 12, 0, 1, 123000, UTC), "cron[42]: a"),
        (datetime(2026, 1, 31, 12, 0, 2, 123000, UTC), "cron[42]: b"),
    ]


def test_what_is_asked_for_are_words_of_their_own() -> None:
    echo = ["sh", "-c", 'printf \'{"MESSAGE":"%s"}\\n\' "$*"', "journalctl", "--unit=x"]
    at = datetime(2026, 1, 31, 12, tzinfo=UTC)
    (line,) = Entries(echo, who="x", lines=7, since=at).newest()
    asked = "--output-fields=MESSAGE,SYSLOG_IDENTIFIER,_COMM,_PID"
    assert line.text == (
        f"--unit=x --output=json --all --no-pager {asked} --reverse --lines=7 --boot --since=@{at.timestamp():.0f}.000"
    )
    (line,) = Entries(echo, who="x", lines=7, this_boot=False).newest()
    assert line.text.endswith(" --reverse --lines=7")


def test_a_process_of_our_own_is_not_named_and_others_are() -> None:
    lines = [
        entry(1, '"harness of ada: epoch 1 begins"', "hyperhive"),
        entry(2, '"ada.service: killed"', "systemd", '"_PID":"1"'),
        entry(3, '"no pid"', "kernel", ""),
    ]
    assert texts(*reversed(lines), who="harness of ada") == [
        "epoch 1 begins",
        "systemd[1]: ada.service: killed",
        "kernel: no pid",
    ]


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ('"a\\nb\\n"', ["cron[42]: a", "b"]),
        ("[27,91,50,74,255,97]", ["cron[42]: \x1b[2J\ufffda"]),
        ('["first","second"]', ["cron[42]: first"]),
        ("[[97,98],[99]]", ["cron[42]: ab"]),
        ("null", ["cron[42]: "]),
        ("[]", ["cron[42]: "]),
        ("{}", ["cron[42]: "]),
        ("[300]", ["cron[42]: "]),
        ("7", ["cron[42]: "]),
    ],
)
def test_a_message_of_any_kind_is_text(message: str, shown: list[str]) -> None:
    assert texts(entry(1, message)) == shown


def test_what_is_no_entry_is_told_or_left_out(tmp_path: Path) -> None:
    left_out = "(an entry that is longer than 1024 KiB, or none at all, is left out)"
    odd = '{"MESSAGE":"when?","__REALTIME_TIMESTAMP":"99999999999999999999"}'
    assert texts("-- No entries --", "", "[1]", '{"MESSAGE":', odd) == ["when?", left_out]
    printed = tmp_path / "printed"
    printed.write_text(entry(2, f'"{"x" * 2_000_000}"') + "\n" + entry(1, '"old"') + "\n")
    assert [text for _, text in newest(["sh", "-c", f"cat {printed}", "journalctl"])] == ["cron[42]: old", left_out]


def test_of_too_much_the_newest_is_read(tmp_path: Path) -> None:
    printed = tmp_path / "printed"
    with printed.open("w") as file:
        for number in range(99, 0, -1):
            file.write(entry(number, f'"{number} {"x" * 400_000}"') + "\n")
    found = [text.split()[1] for _, text in newest(["sh", "-c", f"cat {printed}", "journalctl"])]
    assert found == [str(number) for number in range(100 - len(found), 100)]
    assert 10 < len(found) < 50


def test_who_may_not_read_is_told_what_helps() -> None:
    with pytest.raises(Denied, match="group systemd-journal") as refused:
        newest(journalctl(errors="No journal files were opened due to insufficient permissions.", code=1))
    assert "usermod -aG systemd-journal" in (refused.value.hint or "")


def test_a_hint_is_no_refusal_and_a_failure_is_shown_whole() -> None:
    hint = "Hint: You are currently not seeing messages from other users and the system."
    assert len(newest(journalctl(entry(1, '"mine"'), errors=hint))) == 1
    assert newest(journalctl("-- No entries --", errors=hint)) == []
    with pytest.raises(CommandFailed, match="failed with code 1") as failed:
        newest(journalctl(errors="No machine 'x' known", code=1))
    assert failed.value.output == "No machine 'x' known\n"


def test_what_comes_is_read_from_where_it_was_left() -> None:
    words = journalctl(entry(1, '"old"'), after='printf \'{"MESSAGE":"%s"}\\n\' "$*"')
    entries = Entries(words, who="x", lines=10)
    try:
        assert [one.text for one in entries.newest()] == ["cron[42]: old"]
        entries.follow()
        fd = entries.fileno()
        assert fd is not None
        assert select.select([fd], [], [], 30)[0]
        (line,) = entries.more()
        assert line.text.endswith(" --follow --no-tail --after-cursor=s=1f;i=1;b=b34;m=1;t=2;x=3")
        assert entries.more() == []
    finally:
        entries.close()
    assert not os.path.exists(f"/proc/{os.getpid()}/fd/{fd}")


def test_a_reader_that_ends_says_why() -> None:
    for ends, error in (("echo gone >&2; exit 1", CommandFailed), ("exit 0", Unavailable)):
        entries = Entries(["sh", "-c", f"case $* in *--follow*) {ends};; esac", "journalctl"], who="x", lines=1)
        try:
            assert entries.newest() == []
            entries.follow()
            fd = entries.fileno()
            assert fd is not None
            assert select.select([fd], [], [], 30)[0]
            with pytest.raises(error):
                entries.more()
        finally:
            entries.close()


def test_a_journal_that_an_agent_has_spoilt_says_so_and_hides_nothing_else() -> None:
    gone = Entries(journalctl(errors="Failed to open /x: No such file", code=1), who="x", lines=1, is_foreign=True)
    (line,) = gone.newest()
    assert line.text == "(its own journal cannot be read: Failed to open /x: No such file)"
    gone.follow()
    assert (gone.fileno(), gone.more()) == (None, [])
    ends = Entries(["sh", "-c", "case $* in *--follow*) exit 0;; esac", "journalctl"], who="x", lines=1, is_foreign=True)
    try:
        assert ends.newest() == []
        ends.follow()
        fd = ends.fileno()
        assert fd is not None
        assert select.select([fd], [], [], 30)[0]
        assert [one.text for one in ends.more()] == ["(its own journal cannot be read: journalctl has ended)"]
        assert (ends.fileno(), ends.more()) == (None, [])
    finally:
        ends.close()
