"""Words that are no names are refused at every door, and change nothing."""

import pytest

from hyperhive.core.hive import Hive
from tests.cli import shell

BAD = {
    "option": "-x",
    "long option": "--help",
    "climbs": "../ada",
    "dots": "..",
    "slash": "a/b",
    "NUL": "a\0b",
    "newline": "ada\n",
    "300 bytes": "a" * 300,
    "32 letters": "a" * 32,
    "right to left": "\u202eada",
    "zero width": "a\u200bda",
    "escape": "\x1b[2J",
    "C1": "\x9b2J",
    "surrogate": "a\udcff",
    "empty": "",
    "capital": "Ada",
    "digit first": "1a",
    "dash last": "ada-",
    "dots between": "a.b",
    "space": "a b",
    "full width": "\uff41\uff44\uff41",
    "dotless": "ad\u0131",
    "arabic digit": "a٣",
}
# Every command that takes a name, with what else it needs.
DOORS: dict[str, list[str]] = {
    "spawn": [],
    "show": [],
    "start": [],
    "stop": [],
    "restart": [],
    "kill": [],
    "destroy": ["--yes"],
    "purge": ["--yes"],
    "login": ["--token"],
    "model": [],
    "exec": ["true"],
    "send": ["hello"],
    "inbox": [],
    "events": [],
    "logs": [],
    "turns": [],
    "cost": [],
    "cancel": [],
    "compact": [],
    "config": [],
    "history": [],
    "diff": [],
    "rollback": ["--yes"],
    "update": [],
    "log": [],
    "harness": [],
    "mcp": [],
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_bad_name_is_refused(door: str, bad: str, hive: Hive) -> None:
    options = [word for word in DOORS[door] if word.startswith("-")]
    rest = [word for word in DOORS[door] if not word.startswith("-")]
    error, hint = shell.complaint(door, *options, "--", bad, *rest, code=2)
    shown = error + hint
    assert all(character.isprintable() for character in shown)
    assert len(shown) < 300
    assert not list(hive.paths.agents.iterdir())


@pytest.mark.parametrize("name", ["operator", "hive"])
@pytest.mark.parametrize("door", [door for door in DOORS if door != "spawn"])
def test_hyperhives_own_names_are_no_agents(door: str, name: str) -> None:
    options = [word for word in DOORS[door] if word.startswith("-")]
    rest = [word for word in DOORS[door] if not word.startswith("-")]
    assert shell.complaint(door, *options, name, *rest, code=3)[0] == f"{name} is not an agent"


@pytest.mark.parametrize("name", ["operator", "hive"])
def test_no_agent_gets_one_of_hyperhives_own_names(name: str) -> None:
    assert shell.complaint("spawn", name, code=2)[1] == "choose another name"


@pytest.mark.parametrize("door", [door for door in DOORS if door != "spawn"])
def test_an_agent_that_is_not_there_is_not_found(door: str, hive: Hive) -> None:
    options = [word for word in DOORS[door] if word.startswith("-")]
    rest = [word for word in DOORS[door] if not word.startswith("-")]
    given = "sk-ant-oat01-abcdefgh" if door == "login" else None
    error, _ = shell.complaint(door, *options, "nobody", *rest, code=3, given=given)
    assert error == "there is no agent nobody"


@pytest.mark.parametrize("bad", [BAD[name] for name in ("option", "300 bytes", "right to left", "escape", "surrogate", "empty")])
@pytest.mark.parametrize(
    "words",
    [
        ["spawn", "ada", "--model"],
        ["spawn", "ada", "--user"],
        ["cost", "--since"],
        ["read"],
        ["answer"],
        ["approve"],
        ["deny"],
        ["deploy"],
        ["operate"],
        ["diff", "ada"],
        ["cancel-question"],
        ["nope"],
    ],
    ids=" ".join,
)
def test_other_bad_words_are_refused_without_being_printed_as_they_are(words: list[str], bad: str, hive: Hive) -> None:
    ended = shell.run(*words, bad)
    assert ended.exit_code in (2, 3, 4), ended.output
    assert len(ended.stderr.splitlines()) == 2
    assert all(character.isprintable() or character == "\n" for character in ended.stderr)
