"""What the documents say is so: links lead somewhere, commands exist, numbers agree with the code."""

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from hyperhive.core import errors
from hyperhive.core.config import Settings, read_settings

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
HYPERHIVE = Path(sys.executable).with_name("hyperhive")

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
COMMAND = re.compile(r"(?:^|[\s`])hyperhive ([a-z][a-z-]*)")
TARGET = re.compile(r"(?:^|[\s`])make ([a-z]+)")


def anchors(document: Path) -> set[str]:
    """What the headings of a document are called in a link."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(document: Path) -> list[str]:
    broken = []
    for link in LINK.findall(document.read_text()):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path) if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


def words_in_code(documents: list[Path], pattern: re.Pattern[str]) -> list[str]:
    """What follows a program's name wherever the documents show it as code."""
    code = "\n".join(piece for document in documents for piece in CODE.findall(document.read_text()))
    return sorted(set(pattern.findall(code)))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    assert not broken_links(document)


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text("# A b, c\n[ok](#a-b-c) [no](#d) [no](gone.md)\n")
    assert broken_links(document) == ["#d", "gone.md"]


@pytest.mark.parametrize("command", words_in_code(DOCUMENTS, COMMAND))
def test_a_command_that_is_shown_exists(command: str) -> None:
    ran = subprocess.run([HYPERHIVE, command, "--help"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("target", words_in_code(DOCUMENTS, TARGET))
def test_a_make_target_that_is_shown_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_exit_codes_in_the_readme_are_those_of_the_errors() -> None:
    shown = {int(code) for code in re.findall(r"^\| (\d+) \|", (ROOT / "README.md").read_text(), re.MULTILINE)}
    classes: list[type[errors.HyperhiveError]] = [errors.HyperhiveError, *errors.HyperhiveError.__subclasses__()]
    assert shown == {0, *(error.exit_code for error in classes)}


def keys_of(shape: type[msgspec.Struct], above: str = "") -> set[str]:
    """Every setting, `limits.inbox` for one in a table."""
    found = set()
    for field in msgspec.structs.fields(shape):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            found |= keys_of(field.type, f"{field.encode_name}.")
        else:
            found.add(above + field.encode_name)
    return found


def keys_in(toml: str) -> set[str]:
    """Every setting that is written down, also one behind a `#`."""
    found, table = set(), ""
    for line in toml.splitlines():
        if heading := re.match(r"\[(\w+)\]", line):
            table = f"{heading[1]}."
        elif key := re.match(r"(?:# )?(\w+) = ", line):
            found.add(table + key[1])
    return found


def test_the_reference_of_the_settings_names_each_with_its_default(tmp_path: Path) -> None:
    (shown,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/reference/hive-toml.md").read_text(), re.DOTALL)
    assert keys_in(shown) == keys_of(Settings)
    (tmp_path / "hive.toml").write_text(shown)
    assert read_settings(tmp_path / "hive.toml") == Settings()


def test_a_setting_that_is_not_written_down_is_found() -> None:
    assert keys_of(Settings) - keys_in("max_active = 0\n[limits]\ninbox = 1\n") > {"runtime", "limits.message_bytes"}


def test_each_line_of_the_changelog_completes_this_release_will() -> None:
    lines = [line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("- ")]
    assert lines
    # "This release will Run …", not "Runs", "Added" or "The …".
    wrong = [line for line in lines if not re.match(r"- (?!The |An? )[A-Z][a-z]+(?<!ed)(?<![^s]s),? \S", line)]
    assert not wrong
