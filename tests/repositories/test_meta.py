"""The swarm's history is written once, grows only, and is read back as it was written."""

import json
import os
import stat
from datetime import timedelta
from itertools import count

import pytest

from hyperhive.core import git_objects, meta
from hyperhive.core.errors import Invalid
from hyperhive.core.hive import Hive
from hyperhive.core.meta import Entry, MetaEntry
from hyperhive.core.model import AgentName
from tests.repositories import hand
from tests.repositories.hand import ADA, AT, MONA

COMMIT = "a1" * 20


def entry(number: int, what: str = "deploy", *, agent: str = ADA, **more: object) -> Entry:
    fields = {"number": number, "agent": agent, "what": what, "by": "operator", "at": AT + timedelta(seconds=number), **more}
    return Entry(**fields)  # type: ignore[arg-type]  # the fields are named one by one above


def tree(hive: Hive) -> dict[str, object]:
    names = hand.git(hive.paths.meta, "ls-tree", "-r", "--name-only", "main").split()
    return {name: json.loads(hand.git(hive.paths.meta, "show", f"main:{name}")) for name in names}


def test_a_deployment_is_a_commit_that_an_operator_can_read(hive: Hive) -> None:
    meta.record(hive, entry(12, deployment=12, commit=COMMIT, base="b1", subject="Say hello"))
    assert hand.git(hive.paths.meta, "log", "--format=%an %cn %at%n%B") == (
        f"operator hyperhive {int(AT.timestamp()) + 12}\ndeploy ada 12: Say hello\n\nAgent: ada\nWhat: deploy\nDeployment: 12\n"
        f"Commit: {COMMIT}\nBase: b1\nApproved-by: operator\nEntry: 12\n"
    )
    assert hand.git(hive.paths.meta, "log", "--format=%(trailers:key=Approved-by,valueonly)").strip() == "operator"
    assert hand.git(hive.paths.meta, "show", "main:agents/ada.json") == (
        f'{{\n  "agent": "ada",\n  "approved_by": "operator",\n  "base": "b1",\n  "commit": "{COMMIT}",\n  "deployment": 12\n}}'
    )
    assert stat.S_IMODE(hive.paths.meta.stat().st_mode) == 0o700


def test_the_tree_holds_who_lives(hive: Hive) -> None:
    numbers = count(1)
    for what, agent in (("spawn", ADA), ("spawn", MONA), ("deploy", MONA), ("destroy", ADA)):
        meta.record(hive, entry(next(numbers), what, agent=agent, deployment=7))
    assert list(tree(hive)) == ["agents/mona.json"]
    meta.record(hive, entry(next(numbers), "purge"))
    meta.record(hive, entry(next(numbers), "destroy", agent=MONA))
    assert tree(hive) == {}
    assert [one.what for one in meta.log(hive)] == ["destroy", "purge", "destroy", "deploy", "spawn", "spawn"]
    hand.git(hive.paths.meta, "fsck", "--strict")


def test_an_update_is_no_approval(hive: Hive) -> None:
    meta.record(hive, entry(1, deployment=1, base="old", commit=COMMIT))
    meta.record(hive, entry(2, "update", deployment=1, base="new", commit=COMMIT, by="mona"))
    assert tree(hive)["agents/ada.json"] == {
        "agent": "ada", "approved_by": "operator", "base": "new", "commit": COMMIT, "deployment": 1,
    }  # fmt: skip
    assert "Approved-by" not in hand.git(hive.paths.meta, "show", "-s", "--format=%B")
    assert meta.log(hive)[0].by == "mona"


def test_what_is_recorded_already_is_not_recorded_again(hive: Hive) -> None:
    assert meta.last(hive) == 0
    for number in (1, 5, 5, 3, 1, 6, 6):
        meta.record(hive, entry(number))
    assert meta.last(hive) == 6
    assert [one.number for one in meta.log(hive)] == [6, 5, 1]


def test_history_is_read_back_as_it_was_written(hive: Hive) -> None:
    written = [
        entry(1, "spawn", deployment=1, commit=COMMIT, base="b", subject="Begin: at once"),
        entry(2, "rollback", agent=MONA, deployment=2, by="mona"),
        entry(3, "purge"),
    ]
    for one in written:
        meta.record(hive, one)
    read = meta.log(hive)
    ids = hand.git(hive.paths.meta, "rev-list", "main").split()
    fields = dict.fromkeys(Entry.__struct_fields__)
    assert read == [
        MetaEntry(id=commit, **{name: getattr(one, name) for name in fields})
        for commit, one in zip(ids, reversed(written), strict=True)
    ]
    assert [one.number for one in meta.log(hive, limit=2)] == [3, 2]
    assert [one.number for one in meta.log(hive, name=ADA)] == [3, 1]
    assert meta.log(hive, name=AgentName("ad")) == []


@pytest.mark.parametrize(
    "subject",
    ["Entry: 99", "x\n\nEntry: 99\nAgent: mona", "x\x1b[2J\u2028Entry: 99", "x\0y", "x" * 5000, "\udcff", "\r\nEntry: 99", ": "],
)
def test_an_agents_words_forge_nothing(hive: Hive, subject: str) -> None:
    meta.record(hive, entry(1, deployment=1, subject=subject))
    assert meta.last(hive) == 1
    assert [(one.agent, one.number) for one in meta.log(hive)] == [("ada", 1)]
    assert meta.log(hive, name=MONA) == []
    assert len(hand.git(hive.paths.meta, "show", "-s", "--format=%s")) < 250


def test_commits_of_an_operator_are_passed_over(hive: Hive) -> None:
    meta.record(hive, entry(4))
    head = hand.git(hive.paths.meta, "rev-parse", "main")
    own = git_objects.write_commit(
        hive.paths.meta,
        hand.git(hive.paths.meta, "rev-parse", "main^{tree}"),
        parent=head,
        message="A note\n\nof mine",
        author="me",
        at=AT,
    )
    hand.git(hive.paths.meta, "update-ref", "refs/heads/main", own)
    assert meta.last(hive) == 4
    meta.record(hive, entry(5))
    assert [one.number for one in meta.log(hive)] == [5, 4]


@pytest.mark.parametrize("torn", ["refs/heads/main.lock", "HEAD.lock", "scratch-x/index.lock"])
def test_one_that_was_killed_is_no_hindrance(hive: Hive, torn: str) -> None:
    meta.record(hive, entry(1))
    (hive.paths.meta / torn).parent.mkdir(exist_ok=True)
    (hive.paths.meta / torn).write_bytes(b"")
    meta.record(hive, entry(2))
    assert meta.last(hive) == 2
    assert "scratch-x" not in os.listdir(hive.paths.meta)


def test_another_word_is_refused(hive: Hive) -> None:
    with pytest.raises(Invalid, match="'reboot'"):
        meta.record(hive, entry(1, "reboot"))
    assert meta.log(hive) == []
