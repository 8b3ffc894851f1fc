"""The host's own repositories: what is written, read, refused, published and removed in them."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hyperhive.core import applied, git
from hyperhive.core.errors import CommandFailed, Conflict, Invalid, NotFound, Unavailable
from hyperhive.core.git_trees import Entry
from hyperhive.core.hive import Hive
from tests.repositories import hand
from tests.repositories.hand import ADA, AT


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def modes(folder: Path) -> set[tuple[bool, int]]:
    return {(path.is_dir(), stat.S_IMODE(path.lstat().st_mode)) for path in (folder, *folder.rglob("*"))}


def test_a_repository_can_be_read_by_every_user_whatever_the_umask_is(home: Path, hive: Hive) -> None:
    applied.purge(hive, ADA)
    with umask(0o077):
        applied.create(hive, ADA)
        first = hand.write(hive, {"agent.toml": b"x", "deep/er/file": b"y"})
        applied.publish(hive, ADA, {"refs/heads/main": first, "refs/tags/deployed/7": first})
    assert {mode for is_folder, mode in modes(hive.paths.applied(ADA)) if is_folder} <= {0o755, 0o2755}
    assert {mode for is_folder, mode in modes(hive.paths.applied(ADA)) if not is_folder} == {0o444, 0o644}
    assert (hive.paths.applied(ADA) / "HEAD").read_text() == "ref: refs/heads/main\n"


def test_a_half_made_repository_never_counts(hive: Hive) -> None:
    applied.purge(hive, ADA)
    half = hive.paths.applied_folder / ".ada.git.new"
    half.mkdir()
    (half / "HEAD").write_text("rubbish")
    with pytest.raises(NotFound):
        applied.references(hive, ADA)
    applied.create(hive, ADA)
    applied.create(hive, ADA)
    assert applied.references(hive, ADA) == {}
    assert os.listdir(hive.paths.applied_folder) == ["ada.git"]


def test_a_commit_replaces_files_and_keeps_the_others_byte_by_byte(hive: Hive) -> None:
    first = hand.write(hive, {"agent.toml": b"one\r\n", "a/b/c": bytes(range(256)), "ü ñ": b""})
    second = hand.write(hive, {"agent.toml": b"two", "a/d": b"new"}, parent=first, message="Say two\n\nAt length.\n")
    read = {entry.path: applied.read(hive, ADA, second, entry.path, most=1000) for entry in applied.entries(hive, ADA, second)}
    assert read == {"agent.toml": b"two", "a/b/c": bytes(range(256)), "a/d": b"new", "ü ñ": b""}
    commit = applied.commit_of(hive, ADA, second)
    assert (commit.parents, commit.author, commit.email, commit.at) == ((first,), "mona", "mona@hyperhive.invalid", AT)
    assert (commit.subject, commit.message) == ("Say two", "Say two\n\nAt length.\n")
    assert hand.git(hive.paths.applied(ADA), "show", "-s", "--format=%cn %ce %T", second) == (
        f"hyperhive hyperhive@hyperhive.invalid {commit.tree}"
    )
    assert applied.references(hive, ADA) == {}
    hand.git(hive.paths.applied(ADA), "fsck", "--strict")


def test_the_same_words_give_the_same_commit_and_leave_nothing_else(hive: Hive) -> None:
    first = hand.write(hive, {"a": b"1"})
    before = sorted(hive.paths.applied(ADA).rglob("*"))
    assert hand.write(hive, {"a": b"1"}) == first
    assert sorted(hive.paths.applied(ADA).rglob("*")) == before


def test_a_file_may_take_the_place_of_a_folder(hive: Hive) -> None:
    first = hand.write(hive, {"a/b": b"1", "c": b"2"})
    second = hand.write(hive, {"a": b"3", "c/d": b"4"}, parent=first)
    assert [entry.path for entry in applied.entries(hive, ADA, second)] == ["a", "c/d"]


def test_going_back_is_the_old_tree_on_top(hive: Hive) -> None:
    first = hand.write(hive, {"a": b"1"})
    second = hand.write(hive, {"a": b"2", "b": b"2"}, parent=first)
    third = applied.rewrite(hive, ADA, first, parent=second, message="Go back", author="operator", at=AT)
    commit = applied.commit_of(hive, ADA, third)
    assert commit.tree == applied.commit_of(hive, ADA, first).tree
    assert (commit.parents, commit.author) == ((second,), "operator")


@pytest.mark.parametrize(
    "path", ["", "/a", "a//b", "../a", "a/..", ".git/config", "a/.GIT", "a\nb", "a\0b", "a" * 1001, "x/" * 20 + "y", "\udcff"]
)
def test_a_path_that_is_none_is_not_written(hive: Hive, path: str) -> None:
    with pytest.raises(Invalid, match="path"):
        hand.write(hive, {path: b"x"})


@pytest.mark.parametrize(
    "text", ["", "HEAD", "-x", "main", "abcdef1", "--output=/tmp/x", "a" * 41, "../x", "a\n", "A" * 300, "\u202e"]
)
def test_only_a_whole_id_is_a_commit(hive: Hive, text: str) -> None:
    with pytest.raises(Invalid, match="commit's id") as refused:
        applied.commit_of(hive, ADA, text)
    assert "git rev-parse HEAD" in (refused.value.hint or "")


def test_what_is_not_a_commit_is_not_found(hive: Hive) -> None:
    commit = applied.commit_of(hive, ADA, hand.write(hive, {"a": b"1"}))
    for unknown in ("0" * 40, "1" * 64, commit.tree):
        with pytest.raises(NotFound, match=unknown):
            applied.commit_of(hive, ADA, unknown)
    with pytest.raises(NotFound):
        hand.write(hive, {"a": b"1"}, parent="0" * 40)


def test_a_commit_with_odd_words_is_read_all_the_same(hive: Hive) -> None:
    repository = hive.paths.applied(ADA)
    tree = hand.put_tree(repository)
    odd = hand.put_commit(
        repository, tree, message=b"\xff\x1b[2J" + b"x" * 50_000 + b"\nEntry: 7\n", who=b"\xfe <> 99999999999999999 +0000"
    )
    commit = applied.commit_of(hive, ADA, odd)
    assert len(commit.subject) == 200
    assert len(commit.message) == 16 * 1024 + 1
    assert commit.at.year == 1970
    nobody = applied.commit_of(hive, ADA, hand.put_commit(repository, tree, who=b"no person at all"))
    assert (nobody.author, nobody.email) == ("", "")
    long = hand.put_commit(repository, tree, message=b"x" * 300_000)
    with pytest.raises(Invalid, match="bytes"):
        applied.commit_of(hive, ADA, long)


def test_a_file_is_read_only_as_a_file_and_up_to_a_limit(hive: Hive) -> None:
    repository = hive.paths.applied(ADA)
    blob = hand.put(repository, "blob", b"hello")
    tree = hand.put_tree(
        repository, ("40000", b"folder", hand.put_tree(repository, ("100755", b"run", blob))), ("120000", b"link", blob)
    )
    commit = hand.put_commit(repository, tree)
    assert applied.read(hive, ADA, commit, "folder/run", most=5) == b"hello"
    assert applied.read(hive, ADA, commit, "folder", most=5) is None
    assert applied.read(hive, ADA, commit, "fold*", most=5) is None
    assert applied.read(hive, ADA, commit, "nothing", most=5) is None
    with pytest.raises(Invalid, match="holds 5 bytes"):
        applied.read(hive, ADA, commit, "folder/run", most=4)
    with pytest.raises(Invalid, match="is a link"):
        applied.read(hive, ADA, commit, "link", most=5)


def odd_tree(repository: Path, what: str) -> str:
    """A tree that the host does not take."""
    blob = hand.put(repository, "blob", b"x")
    folder = hand.put_tree(repository, ("100644", b"f", blob))

    def link(target: bytes, name: bytes = b"link", *more: tuple[str, bytes, str]) -> str:
        return hand.put_tree(repository, *more, ("120000", name, hand.put(repository, "blob", target)))

    def deep(levels: int) -> str:
        tree = folder
        for _ in range(levels):
            tree = hand.put_tree(repository, ("40000", b"d", tree))
        return tree

    def bomb() -> str:
        tree = folder
        for _ in range(9):
            tree = hand.put_tree(repository, *(("40000", b"%d" % number, tree) for number in range(10)))
        return tree

    def big() -> str:
        ones = [hand.put(repository, "blob", bytes([number]) * (1024**2)) for number in range(17)]
        return hand.put_tree(repository, *(("100644", b"%02d" % number, one) for number, one in enumerate(ones)))

    match what:
        case "submodule":
            return hand.put_tree(repository, ("160000", b"sub", "1" * 40))
        case "device":
            return hand.put_tree(repository, ("20600", b"x", blob))
        case "git":
            return hand.put_tree(repository, ("40000", b".gIt", folder))
        case "dots":
            return hand.put_tree(repository, ("40000", b"..", folder))
        case "slash":
            return hand.put_tree(repository, ("100644", b"/etc/passwd", blob))
        case "control":
            return hand.put_tree(repository, ("100644", b"a\x1b[2J", blob))
        case "utf-8":
            return hand.put_tree(repository, ("100644", b"a\xff", blob))
        case "long":
            return hand.put_tree(repository, ("100644", b"a" * 1001, blob))
        case "deep":
            return deep(20)
        case "very deep":
            return deep(4000)
        case "many":
            return hand.put_tree(repository, *(("100644", b"%05d" % number, blob) for number in range(2001)))
        case "bomb":
            return bomb()
        case "big":
            return big()
        case "missing":
            return hand.put_tree(repository, ("100644", b"gone", "2" * 40))
        case "missing tree":
            return hand.put_tree(repository, ("40000", b"gone", "2" * 40))
        case "twice":
            return hand.put_tree(repository, ("100644", b"a", blob), ("100644", b"a", blob))
        case "file and folder":
            return hand.put_tree(repository, ("120000", b"a", hand.put(repository, "blob", b"b")), ("100644", b"a/x", blob))
        case "absolute link":
            return link(b"/etc/passwd")
        case "climbing link":
            return link(b"a/../../b")
        case "link by a link":
            below = link(b"../up/../x", b"out")
            return link(b".", b"up", ("40000", b"d", below))
        case "link loop":
            return link(b"link")
        case "empty link":
            return link(b"")
        case "NUL in a link":
            return link(b"a\0b")
        case "long link":
            return link(b"a/" * 3000)
        case other:
            raise AssertionError(other)


@pytest.mark.parametrize(
    ("what", "wrong"),
    [
        ("submodule", "sub is no file"),
        ("device", "x is no file"),
        ("git", ".gIt"),
        ("dots", "no plain path"),
        ("slash", "no plain path"),
        ("control", "control character"),
        ("utf-8", "UTF-8"),
        ("long", "1000 bytes"),
        ("deep", "deeper than 20"),
        ("very deep", "more than 1000 bytes|cannot be listed|deeper than 20"),
        ("many", "2001 files"),
        ("bomb", "more than 2000 files"),
        ("big", "17825792 bytes"),
        ("missing", "gone is missing"),
        ("missing tree", "cannot be listed"),
        ("twice", "a is there twice"),
        ("file and folder", "a is a file and a folder"),
        ("absolute link", "out of the tree"),
        ("climbing link", "out of the tree"),
        ("link by a link", "d/out leads out"),
        ("link loop", "out of the tree"),
        ("empty link", "out of the tree"),
        ("NUL in a link", "out of the tree"),
        ("long link", "longer than 4096"),
    ],
)
def test_a_tree_that_is_refused_says_why_and_exports_nothing(hive: Hive, outside: Path, what: str, wrong: str) -> None:
    commit = hand.put_commit(hive.paths.applied(ADA), odd_tree(hive.paths.applied(ADA), what))
    with pytest.raises(Invalid, match=wrong) as refused:
        applied.export(hive, ADA, commit, outside / "tree")
    assert refused.value.hint
    assert os.listdir(outside) == []


def test_a_tree_is_exported_as_it_is(hive: Hive, outside: Path) -> None:
    repository = hive.paths.applied(ADA)
    script, attributes = (
        hand.put(repository, "blob", b"#!/bin/sh\r\n$Id$\n"),
        hand.put(repository, "blob", b"* export-ignore ident text filter=x\n"),
    )
    back = hand.put(repository, "blob", b"../sub")
    sub = hand.put_tree(repository, ("120000", b"back", back), ("100755", b"run", script))
    tree = hand.put_tree(
        repository, ("100644", b".gitattributes", attributes), ("120000", b"here", hand.put(repository, "blob", b"sub/run")),
        ("120000", b"nowhere", hand.put(repository, "blob", b"not/there")),
        ("40000", b"sub", sub),
    )  # fmt: skip
    commit = hand.put_commit(repository, tree)
    with umask(0o077):
        applied.export(hive, ADA, commit, outside / "tree")
    there = outside / "tree"
    assert (there / "here").read_bytes() == b"#!/bin/sh\r\n$Id$\n"
    assert (os.readlink(there / "nowhere"), os.readlink(there / "sub/back")) == ("not/there", "../sub")
    assert stat.S_IMODE((there / "sub/run").stat().st_mode) == 0o755
    assert stat.S_IMODE((there / ".gitattributes").stat().st_mode) == 0o644
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in (there, there / "sub")} == {0o755}
    assert os.listdir(outside) == ["tree"]
    assert applied.entries(hive, ADA, commit)[-1] == Entry("sub/run", "100755", script, 16)
    with pytest.raises(Conflict, match="there already"):
        applied.export(hive, ADA, commit, there)


def test_an_export_that_was_cut_short_is_made_anew(hive: Hive, outside: Path) -> None:
    (outside / ".tree.new").mkdir()
    (outside / ".tree.new/half").write_text("old")
    applied.export(hive, ADA, hand.write(hive, {"a": b"1"}), outside / "tree")
    assert [path.name for path in outside.rglob("*")] == ["tree", "a"]


def test_an_export_where_it_cannot_be_written_is_unavailable(hive: Hive, outside: Path) -> None:
    (outside / "file").touch()
    with pytest.raises(Unavailable):
        applied.export(hive, ADA, hand.write(hive, {"a": b"1"}), outside / "file/tree")


def test_a_difference_shows_what_changed_and_from_nothing_all(hive: Hive) -> None:
    first = hand.write(hive, {"a": b"1\n", "ü": b"x\n"})
    second = hand.write(hive, {"a": b"2\n"}, parent=first)
    changed = applied.diff(hive, ADA, first, second, most=10_000)
    assert "--- a/a\n+++ b/a\n@@ -1 +1 @@\n-1\n+2\n" in changed
    assert "+++ b/ü\n" in applied.diff(hive, ADA, None, second, most=10_000)
    assert applied.diff(hive, ADA, second, second, most=10_000) == ""
    assert applied.changed_files(hive, ADA, first, second) == ["a"]
    assert applied.changed_files(hive, ADA, None, second) == ["a", "ü"]


def test_attributes_of_a_tree_hide_nothing_in_a_difference(hive: Hive) -> None:
    attributes = b"* -diff\n*.toml -text -diff\n"
    first = hand.write(hive, {".gitattributes": attributes, "agent.toml": b"good\n"})
    second = hand.write(hive, {"agent.toml": b"evil\n"}, parent=first)
    # HEAD is where newer gits look for the attributes of a bare repository.
    applied.publish(hive, ADA, {"refs/heads/main": first})
    assert "-good\n+evil\n" in applied.diff(hive, ADA, first, second, most=10_000)
    # The control: with these attributes git itself hides it.
    (hive.paths.applied(ADA) / "info").mkdir(exist_ok=True)
    (hive.paths.applied(ADA) / "info/attributes").write_bytes(attributes)
    assert "Binary files" in hand.git(hive.paths.applied(ADA), "diff", first, second)


def test_a_long_difference_is_cut_at_a_line_and_says_how_much_is_left_out(hive: Hive) -> None:
    first = hand.write(hive, {"a": b"".join(b"line %d\n" % number for number in range(1000))})
    whole = applied.diff(hive, ADA, None, first, most=100_000)
    cut = applied.diff(hive, ADA, None, first, most=1000)
    kept, _, said = cut.removesuffix("\n").rpartition("\n")
    assert whole.startswith(f"{kept}\n")
    assert len(kept) <= 1000
    assert said == f"… {len(whole) - len(kept) - 1} bytes of the difference are left out"


def test_references_become_exactly_what_is_wanted(hive: Hive) -> None:
    first = hand.write(hive, {"a": b"1"})
    second = hand.write(hive, {"a": b"2"}, parent=first)
    repository = hive.paths.applied(ADA)
    hand.git(repository, "update-ref", "refs/incoming/4", first)
    hand.git(repository, "update-ref", "refs/tags/odd", first)
    for wanted in (
        {"refs/tags/proposal/4": second},
        {"refs/heads/main": first, "refs/tags/proposal/4": second, "refs/tags/building/4": second},
        {"refs/heads/main": second, "refs/tags/proposal/4": second, "refs/tags/deployed/4": second},
        {},
    ):
        applied.publish(hive, ADA, wanted)
        assert applied.references(hive, ADA) == wanted
    assert hand.git(repository, "for-each-ref", "--format=%(refname)") == "refs/incoming/4"
    assert (repository / "HEAD").read_text() == "ref: refs/heads/main\n"


def test_publishing_what_is_so_writes_nothing(hive: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    first = hand.write(hive, {"a": b"1"})
    applied.publish(hive, ADA, {"refs/heads/main": first})
    monkeypatch.setattr(applied, "_update", None)
    applied.publish(hive, ADA, {"refs/heads/main": first.upper()})


@pytest.mark.parametrize(
    "reference", ["HEAD", "refs/heads/other", "refs/tags/x/0", "refs/tags/-x/1", "refs/tags/a/1\n", "refs/tags/a/1 b"]
)
def test_no_other_reference_is_published(hive: Hive, reference: str) -> None:
    with pytest.raises(Invalid, match="no reference"):
        applied.publish(hive, ADA, {reference: hand.write(hive, {"a": b"1"})})


def test_a_reference_to_what_is_not_there_moves_none(hive: Hive) -> None:
    first = hand.write(hive, {"a": b"1"})
    with pytest.raises(CommandFailed):
        applied.publish(hive, ADA, {"refs/heads/main": first, "refs/tags/proposal/1": "1" * 40})
    assert applied.references(hive, ADA) == {}


@pytest.mark.parametrize("torn", ["refs/heads/main", "refs/heads/main.lock", "HEAD.lock", "packed-refs.lock"])
def test_what_a_killed_publish_left_is_no_hindrance(hive: Hive, torn: str) -> None:
    first = hand.write(hive, {"a": b"1"})
    (hive.paths.applied(ADA) / torn).write_bytes(b"")
    wanted = {"refs/heads/main": first, "refs/tags/proposal/1": first}
    applied.publish(hive, ADA, wanted)
    assert applied.references(hive, ADA) == wanted


def test_what_was_cut_short_is_forgotten_and_nothing_else(hive: Hive) -> None:
    repository = hive.paths.applied(ADA)
    first = hand.write(hive, {"a": b"1"})
    applied.publish(hive, ADA, {"refs/heads/main": first})
    before = sorted(repository.rglob("*"))
    hand.git(repository, "update-ref", "refs/incoming/9", first)
    for folder in ("objects/tmp_objdir-9/pack", "scratch-x"):
        (repository / folder).mkdir(parents=True)
        (repository / folder / "tmp_pack_x").write_bytes(b"half")
    for file in ("objects/pack/tmp_pack_y", "objects/pack/pack-1.keep", "refs/heads/main.lock", "objects/00/tmp_obj_z"):
        (repository / file).parent.mkdir(exist_ok=True)
        (repository / file).write_bytes(b"half")
    applied.forget_incoming(hive, ADA)
    applied.forget_incoming(hive, ADA)
    gone = {repository / "refs/incoming", repository / "objects/00"}
    assert [path for path in sorted(repository.rglob("*")) if path not in gone] == before
    assert hand.git(repository, "for-each-ref", "--format=%(refname)") == "refs/heads/main"


def test_a_purged_repository_is_gone_and_can_be_purged_again(hive: Hive) -> None:
    applied.purge(hive, ADA)
    applied.purge(hive, ADA)
    assert os.listdir(hive.paths.applied_folder) == []
    applied.forget_incoming(hive, ADA)
    with pytest.raises(NotFound):
        applied.commit_of(hive, ADA, "1" * 40)


def test_settings_of_the_machine_and_of_the_user_count_for_nothing(
    hive: Hive, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = outside / "gitconfig"
    settings.write_text(
        "[user]\n\tname = Somebody\n[diff]\n\tnoprefix = true\n[commit]\n\tgpgSign = true\n[core]\n\tbare = false\n"
    )
    for name, value in {
        "GIT_CONFIG_GLOBAL": str(settings),
        "HOME": str(outside),
        "GIT_DIR": "/nowhere",
        "GIT_AUTHOR_NAME": "Eve",
    }.items():
        monkeypatch.setenv(name, value)
    first = hand.write(hive, {"a": b"1"})
    assert "+++ b/a" in applied.diff(hive, ADA, None, first, most=1000)
    assert applied.commit_of(hive, ADA, first).author == "mona"


def test_git_that_says_too_much_is_ended(hive: Hive) -> None:
    first = hand.write(hive, {"a": b"x" * 1000})
    with pytest.raises(Invalid, match="more to say than 10 bytes"):
        git.run(hive.paths.applied(ADA), ["cat-file", "-p", f"{first}:a"], most=10)
