"""The words in the project's files: what opens a module, what may not be written at all."""

import ast
import io
import re
import subprocess
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Letters in brackets keep these patterns from finding themselves.
FORBIDDEN = {
    "a note to oneself": re.compile(r"\b(?:T[O]DO|F[I]XME|X[X]X)\b"),
    "somebody's home folder": re.compile(r"/home/(?!me\b)[a-z]|/U[s]ers/"),
    "the folder of this clone": re.compile(rf"{re.escape(str(ROOT))}(?![\w-])"),
    "what is beside the clone": re.compile(r"(?<![\w./])\.\./s[h]ared"),
}
IGNORE = re.compile(r"#\s*(?:type:\s*ignore|noqa)")
IGNORE_WITH_REASON = re.compile(r"#\s*(?:type: ignore\[[a-z, -]+\]|noqa: [A-Z]+[0-9]+(?:, [A-Z]+[0-9]+)*)\s+#\s+\S.{4,}")


def tracked() -> list[Path]:
    """Every file that is in git, or would be with the next commit."""
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def modules() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".py"]


def opening(source: str) -> str | None:
    """What is wrong with how a module opens, or None."""
    tree = ast.parse(source)
    docstring = ast.get_docstring(tree)
    if docstring is None:
        return None if not tree.body else "has no docstring"
    first = docstring.splitlines()[0]
    if not source.startswith('"""'):
        return "does not open with its docstring"
    if not re.fullmatch(r"\S.* .*[.?!]", first):
        return f"does not open with one sentence on one line: {first!r}"
    return None


def bare_ignores(source: str) -> list[str]:
    """Comments that silence a check without its code and a reason."""
    comments = [
        token.string for token in tokenize.generate_tokens(io.StringIO(source).readline) if token.type == tokenize.COMMENT
    ]
    return [comment for comment in comments if IGNORE.search(comment) and not IGNORE_WITH_REASON.search(comment)]


def forbidden_in(text: str) -> list[str]:
    return [f"{what}: {found.group()!r}" for what, pattern in FORBIDDEN.items() if (found := pattern.search(text))]


def test_every_module_opens_with_a_sentence() -> None:
    wrong = {str(path.relative_to(ROOT)): fault for path in modules() if (fault := opening(path.read_text()))}
    assert not wrong


def test_every_silenced_check_names_its_code_and_its_reason() -> None:
    wrong = {str(path.relative_to(ROOT)): bare for path in modules() if (bare := bare_ignores(path.read_text()))}
    assert not wrong


def test_no_file_speaks_of_where_or_how_it_was_written() -> None:
    wrong = {}
    for path in tracked():
        try:
            found = forbidden_in(path.read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            continue  # a picture has no words
        if found:
            wrong[str(path.relative_to(ROOT))] = found
    assert not wrong


@pytest.mark.parametrize("source", ["import os", '"""nothing"""', '"""Two\nlines."""', '# a comment\n"""A sentence."""'])
def test_a_bad_opening_is_found(source: str) -> None:
    assert opening(source)


@pytest.mark.parametrize("comment", ["type: ignore", "type: ignore[misc]", "noqa", "noqa: E501", "noqa: E501  # x"])
def test_a_bare_ignore_is_found(comment: str) -> None:
    assert bare_ignores(f"x = 1  # {comment}\n")


def test_an_ignore_with_its_reason_is_none() -> None:
    assert not bare_ignores("x = 1  # type: ignore[misc]  # the stubs say otherwise\ny = 2  # noqa: S310  # loopback only\n")


@pytest.mark.parametrize("text", ["T" + "ODO: later", "/home/" + "somebody/x", f"{ROOT}/hyperhive"])
def test_a_forbidden_word_is_found(text: str) -> None:
    assert forbidden_in(text)
