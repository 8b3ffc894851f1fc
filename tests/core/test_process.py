"""Programs get what they are given, end when they are told to, and fail in words."""

import os
import select
import sys
from pathlib import Path

import pytest

from hyperhive.core import process
from hyperhive.core.errors import CommandFailed, Expired, Invalid, Unavailable
from hyperhive.core.log import MOST, Log


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_program_has_the_environment_that_it_was_given_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    assert sorted(process.run(["env"], env={"A": "b"}).text().splitlines()) == ["A=b", f"PATH={process.PATH}"]


def test_a_program_reads_nothing_unless_it_is_given_something() -> None:
    assert process.run(["cat"]).stdout == b""
    assert process.run(["cat"], stdin=b"given").stdout == b"given"


def test_a_program_that_failed_is_shown_whole() -> None:
    with pytest.raises(CommandFailed) as failed:
        process.run(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (failed.value.code, failed.value.output, failed.value.argv[0]) == (3, "out\nerr\n", "sh")
    with pytest.raises(CommandFailed, match="was ended by signal 9"):
        process.run(["sh", "-c", "kill -9 $$"])
    assert process.run(["false"], check=False).stdout == b""


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(Unavailable, match="the program no-such is not here"):
        process.run(["no-such"])
    with pytest.raises(Unavailable, match="cannot be started: Permission denied"):
        process.run(["/etc"])


@pytest.mark.parametrize(("argv", "env"), [(["echo", "a\0b"], {}), (["echo"], {"A": "a\0b"})])
def test_a_nul_is_refused_in_words(argv: list[str], env: dict[str, str]) -> None:
    with pytest.raises(Invalid, match="cannot be run"):
        process.run(argv, env=env)


def test_a_program_that_takes_too_long_is_ended_with_all_its_group() -> None:
    with pytest.raises(Expired, match=r"took longer than 0\.2 seconds"):
        process.run(["sh", "-c", "sleep 600 & sleep 600"], timeout=0.2)


def test_those_of_a_group_whose_leader_has_ended_are_ended_too() -> None:
    child = process.start(
        python("import os\nif os.fork():\n  os._exit(0)\nprint(os.getpid(), flush=True)\nimport time; time.sleep(600)")
    )
    assert child.stdout is not None
    left = os.pidfd_open(int(child.stdout.readline()))
    # The leader is a zombie by now, or soon.
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    process.end_group(child)
    assert select.select([left], [], [], 30)[0]
    os.close(left)


def test_when_a_process_began_tells_it_from_a_later_one_of_its_number() -> None:
    began = process.born(os.getpid())
    assert began is not None
    assert began == process.born(os.getpid())
    assert process.born(2**22 + 1) is None


def test_whoever_carries_a_mark_is_ended_and_nobody_else() -> None:
    marked = process.start(["sleep", "600"], env={"HYPERHIVE_TEST_MARK": "/a"})
    other = process.start(["sleep", "600"], env={"HYPERHIVE_TEST_MARK": "/ab"})
    assert process.end_marked("HYPERHIVE_TEST_MARK", "/a") == 1
    assert marked.wait() == -9
    assert other.poll() is None
    for child in (marked, other):
        process.end_group(child)
    assert process.end_marked("HYPERHIVE_TEST_MARK", "/a") == 0


# ---- the log ----


def test_a_log_takes_any_text_and_any_disk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = Log("me", tmp_path / "log")
    log("a \ud800 b")
    Log("me", tmp_path / "gone" / "log")("unheard")
    assert (tmp_path / "log").read_text(encoding="utf-8").endswith(" me: a \\ud800 b\n")
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_log_says_an_exception_whole(tmp_path: Path) -> None:
    log = Log("me", tmp_path / "log", quiet=True)
    try:
        raise KeyError("x")
    except KeyError:
        log.exception("it broke")
    text = (tmp_path / "log").read_text(encoding="utf-8")
    assert "me: it broke\n  Traceback" in text
    assert text.endswith("\n  KeyError: 'x'\n")


def test_a_log_that_grew_long_is_begun_anew_and_its_last_part_kept(tmp_path: Path) -> None:
    file = tmp_path / "hub.log"
    file.write_bytes(b"x" * (MOST + 1))
    Log("me", file, quiet=True)("new")
    assert file.stat().st_size < 100
    assert (tmp_path / "hub.1").stat().st_size == MOST + 1


def test_a_log_whose_standard_error_is_closed_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "err").open("w", encoding="utf-8") as closed:
        pass
    monkeypatch.setattr(sys, "stderr", closed)
    Log("me", tmp_path / "log")("heard")
    assert "heard" in (tmp_path / "log").read_text(encoding="utf-8")


LEAVES = """
import subprocess, sys
left = subprocess.Popen(["sh", "-c", sys.argv[1]], start_new_session=sys.argv[2] == "alone")
print(left.pid, flush=True)
"""


@pytest.mark.parametrize("busy", ["sleep 100", "while true; do echo more; done"])
@pytest.mark.parametrize("where", ["alone", "in its group"])
def test_what_a_program_leaves_running_is_not_waited_for(busy: str, where: str) -> None:
    found = process.lines([*python(LEAVES), busy, where], timeout=20.0)
    pid = next(line for line in found if line and line.isdigit())
    try:
        assert {line.strip(b"more") for line in found if line} <= {b""}
    finally:
        if where == "alone":
            os.killpg(int(pid), 9)


def test_how_a_program_ended_is_told_also_when_it_closed_what_it_prints_on() -> None:
    with pytest.raises(CommandFailed) as failed:
        list(process.lines(["sh", "-c", "echo said; exec >&- 2>&-; sleep 0.1; exit 7"], timeout=20.0))
    assert failed.value.code == 7
    with pytest.raises(Expired):
        list(process.lines(["sh", "-c", "exec >&- 2>&-; sleep 100"], timeout=0.2))


def test_all_that_a_program_printed_is_read_also_after_its_end() -> None:
    script = "import os; os.write(1, b'a' * 60_000 + b'\\nb')"
    lines = process.lines(python(script), timeout=20.0)
    assert [len(line or b"") for line in lines] == [60_000, 1]
