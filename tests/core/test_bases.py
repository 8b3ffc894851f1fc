"""What an agent stands on is told by its programs' own words, whatever those programs do."""

from pathlib import Path

import pytest

from hyperhive.core import bases
from hyperhive.core.errors import CommandFailed, Expired, Unavailable
from hyperhive.core.hive import Hive


def program(home: Path, text: str) -> Path:
    """An agent CLI that does this."""
    made = home / "claude"
    made.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    made.chmod(0o755)
    (home / "hive.toml").write_text(f'[claude]\ncommand = ["{made}"]\n', encoding="utf-8")
    return made


def test_the_version_is_asked_for_once_and_again_for_another_program(home: Path, hive: Hive) -> None:
    program(home, 'echo asked >>"$0.log"; echo "1.0 (a CLI)"')
    assert [bases.version(hive) for _ in range(3)] == ["1.0 (a CLI)"] * 3
    assert (home / "claude.log").read_text() == "asked\n"
    assert bases.known_base(hive, "host") == bases.base_of(hive, "host")
    program(home, 'echo "2.0 (a CLI)"')
    assert bases.known_base(hive, "host") != bases.base_of(hive, "host")
    assert bases.version(hive) == "2.0 (a CLI)"


def test_a_program_that_never_answers_is_not_waited_for(home: Path, hive: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    made = program(home, "exec sleep 1000")
    with pytest.raises(Expired):
        bases.ask_version(hive, made, seconds=0.2)
    monkeypatch.setattr(bases, "ask_version", lambda *_: bases_expired())
    assert bases.version(hive) == "unknown"


def bases_expired() -> str:
    """What asking ends with."""
    raise Expired("it took too long")


def test_a_program_that_prints_without_end_is_ended(home: Path, hive: Hive) -> None:
    made = program(home, "exec yes")
    with pytest.raises(Unavailable, match="prints without end"):
        bases.ask_version(hive, made)
    assert bases.version(hive) == "unknown"


def test_a_program_that_fails_is_shown(home: Path, hive: Hive) -> None:
    made = program(home, "echo no licence; exit 3")
    with pytest.raises(CommandFailed) as failed:
        bases.ask_version(hive, made)
    assert failed.value.output == "no licence\n"


def test_what_a_program_says_moves_no_cursor(home: Path, hive: Hive) -> None:
    program(home, "printf '1.0 \\033[2J\\nmore\\n'")
    assert bases.version(hive) == "1.0 \u241b[2J"


def test_where_there_is_no_program_there_is_no_version(home: Path, hive: Hive) -> None:
    (home / "hive.toml").write_text('[claude]\ncommand = ["/nowhere/claude"]\n', encoding="utf-8")
    assert bases.version(hive) == "none"
