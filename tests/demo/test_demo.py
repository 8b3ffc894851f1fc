"""The whole demo happens, step by step; what does not happen is found, named, and leaves nothing behind."""

import fcntl
import os
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from pathlib import Path

import pytest

from hyperhive.demo import script
from hyperhive.demo.model_api import ModelApi

pytestmark = [pytest.mark.claude, pytest.mark.box]

ROOT = Path(__file__).parents[2]
DEMO = (sys.executable, "-m", "hyperhive", "demo")
FIRST_ACT = (
    "The hive starts",
    "A manager and a worker are made, each in a container",
    "A program with two mistakes is put into ada's container",
    "You write to the manager",
    "The manager reads it, and passes it on",
    "The worker does it, and reports",
    "The answer lands in your inbox",
    "What they say is checked",
)
SECOND_ACT = (
    "You want a tool for the worker; the manager has a question",
    "Your answer wakes the manager, who makes the tool",
    "You see what it changes, and approve it; it is built",
    "The worker counts with its new tool, and reports",
    "You take it back",
)
END = ("What it took", "The hive ends")
STEPS = (*FIRST_ACT, *SECOND_ACT, *END)
LAST = ["hyperhive up", "hyperhive spawn ada && hyperhive login ada", 'hyperhive send ada "Write a haiku into haiku.txt"']


def environment(**more: str) -> dict[str, str]:
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR")}
    return {**kept, "LANG": "C.UTF-8", **more}


def play(*command: str, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Run it in a pipe, with nothing to read; give its exit code and what it said, after a look at what it left."""
    done = subprocess.run(
        command, env=env or environment(), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=100, check=False,
    )  # fmt: skip
    check_nothing_left(done.stdout)
    return done.returncode, done.stdout


def check_nothing_left(said: str) -> None:
    """The folder that the demo named is gone, and no process belongs to its hive."""
    found = re.search(r"/\S*/hyperhive-demo-\w+", said)
    assert found, said
    assert not Path(found[0]).exists()
    left = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "environ").read_bytes()
            except OSError:
                continue
            left += [entry.name] * (found[0].encode() in words)
    assert not left


def happened(said: str) -> list[str]:
    return re.findall(r"^ ?\d+  (.+)$", said, re.MULTILINE)


def test_every_step_happens_and_is_checked() -> None:
    code, said = play(*DEMO)
    assert code == 0, said
    assert happened(said) == list(STEPS)
    for part in re.split(r"^ ?\d+  .+$", said, flags=re.MULTILINE)[1:]:
        assert "    ✓ " in part
    assert "✗" not in said
    assert "\x1b" not in said
    assert "Only their model is scripted" in " ".join(said.split())
    for line in (
        'ada   Edit /workspace/greeting.py · -1 +1\n          │ - print("Helo, wrold!")\n          │ + print("Hello, world!")',
        "✓ boss and ada each ran in a container of their own",
        "✓ all 4 messages are acknowledged, and 1 notice of the hive's",
        "│ │ 1. yes, H counts as h",
        "│ it may do more:\n    │ ! MCP server letters: python3 /opt/agent/bin/letters.py (tools count)\n    │ ! runs ",
        "│ letters.py:\n    │ + ",
        "ada   │ $ python3 letters.py --check\n    ada   │ 2 l in Hello: right\n",
        "ada   mcp__letters__count h, Hello, honey bees of the hive!\n    ada   │ 4\n",
        "✓ ada has used mcp__letters__count, which said 4",
        "✓ its history has only grown: made, changed, back as it was",
        "✓ nothing of it runs any more",
    ):
        assert line in said
    assert re.findall(r"│ ([* ]) +\d+  (spawn|deploy|rollback) +deployed ", said) == [
        (" ", "spawn"), (" ", "deploy"), ("*", "rollback"),
    ]  # fmt: skip
    commands = re.findall(r"^ +\$ (.+)$", said, re.MULTILINE)
    assert [command for command in commands if not command.startswith("export ")][-3:] == LAST


@pytest.mark.parametrize(
    ("part", "step", "why"),
    [
        ("idle", 6, "waited until ada reports to boss: nobody works, and nothing waits any more"),
        ("lie", 8, "the program prints 'Helo, wrold!'"),
        ("stumble", 6, "a tool of ada failed: File does not exist"),
        ("refused", 5, "a turn of boss ended as login: "),
        ("silent", 9, "waited until boss asks you something: nobody works, and nothing waits any more"),
        ("shy", 10, "waited until boss asks you to approve what it has made: nobody works, and nothing waits any more"),
        ("greedy", 11, "it changes build, mcp_servers.letters, role"),
        ("wrong", 11, "deployment 7 has failed: the build failed: a command ended with code 1"),
        ("guess", 12, "ada's tool was used 0 times and said [], not 4"),
        ("stay", 13, "ada still has letters"),
    ],
)
def test_a_step_that_does_not_happen_is_named(part: str, step: int, why: str) -> None:
    code, said = play(sys.executable, "-m", "tests.demo.play", part)
    assert code == 1, said
    assert happened(said) == list(STEPS[:step]), said
    words = " ".join(said.split())
    assert f"✗ step {step} ({STEPS[step - 1]}) failed: {why}" in words
    assert "the end of state/agents/boss/log/harness.log:" in words


@pytest.mark.parametrize(
    ("number", "code", "when"),
    [(signal.SIGINT, 130, "boss  reads message"), (signal.SIGTERM, 143, "ada   │ $ python3 letters.py")],
    ids=["turn", "build"],
)
def test_an_interrupt_in_the_middle_leaves_nothing(number: signal.Signals, code: int, when: str) -> None:
    with subprocess.Popen(
        DEMO, env=environment(PYTHONUNBUFFERED="1"), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    ) as demo:  # fmt: skip
        assert demo.stdout is not None
        said = ""
        while when not in said:
            line = demo.stdout.readline()
            assert line, said
            said += line
        demo.send_signal(number)
        said += demo.stdout.read()
        assert demo.wait(60) == code, said
    check_nothing_left(said)


def test_a_live_demo_gives_each_agent_the_operators_login() -> None:
    token = "sk-ant-oat01-made-up"
    with ModelApi(script.play) as api:
        code, said = play(*DEMO, "--live", env=environment(ANTHROPIC_BASE_URL=api.url, CLAUDE_CODE_OAUTH_TOKEN=token))
        assert code == 0, said
        assert happened(said) == [*FIRST_ACT, *END]
        assert "The second act is left out: " in said
        assert '$ echo "$CLAUDE_CODE_OAUTH_TOKEN" | hyperhive login ada --token' in said
        assert token not in said
        assert {request.headers.get("authorization") for request in api.requests} == {f"Bearer {token}"}


def test_a_live_demo_without_a_login_and_without_a_terminal_says_what_to_do() -> None:
    done = subprocess.run(
        [*DEMO, "--live"], env=environment(), cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert done.returncode == 7
    assert "hint: ANTHROPIC_API_KEY=" in done.stderr
    assert not done.stdout


def test_a_narrow_terminal_without_colours_reads_well() -> None:
    code, said = on_terminal(60, environment(NO_COLOR="1", TERM="xterm-256color"))
    assert code == 0, said
    assert "\x1b" not in said
    # A command is left to the terminal, so that it can be copied.
    assert not [line for line in said.splitlines() if len(line) > 60 and "$ " not in line]


def test_a_terminal_is_drawn_on_in_colours() -> None:
    code, said = on_terminal(100, environment(TERM="xterm-256color"))
    assert code == 0, said
    assert "\x1b[1;32m✓ " in said
    assert "waiting: " in said
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said)
    assert "✓ nothing of it runs any more" in plain


def on_terminal(columns: int, env: dict[str, str]) -> tuple[int, str]:
    """Run it on a terminal of its own; give its exit code and all that it wrote there."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    demo = subprocess.Popen(DEMO, env=env, cwd=ROOT, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    said = b""
    try:
        while data := _read(master):
            said += data
        code = demo.wait(60)
    finally:
        demo.kill()
        demo.wait()
        os.close(master)
    text = said.decode().replace("\r\n", "\n")
    check_nothing_left(text)
    return code, text


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # how a terminal without programs ends on Linux
        return b""
