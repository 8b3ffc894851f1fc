"""The prompts that the project ships promise what there is, name what is told, and stay short."""

import ast
import re
from pathlib import Path

import pytest
from mcp_types import Tool

import hyperhive
from hyperhive import prompts
from hyperhive.core import building
from hyperhive.core.model import OPERATOR, Flavor
from hyperhive.core.proposals import PROTECTED
from hyperhive.core.runtimes.bubblewrap import APPLIED, CONFIG
from hyperhive.mcp import manager, server, worker

CORE = Path(hyperhive.__file__).parent / "core"
# What stands in backquotes and is no tool.
OTHER_WORDS = {OPERATOR, "sleep", "key", "hyperhive"}
# English needs more characters a token than this: the estimate errs on the side of caution.
CHARACTERS_A_TOKEN = 3.5
TOKENS_MOST = 1500
MANAGERS_TOKENS_MOST = 3000
TOOLS = {Flavor.WORKER: worker.TOOLS, Flavor.MANAGER: (*worker.TOOLS, *manager.TOOLS)}


def opening(node: ast.expr, module: ast.Module) -> set[str]:
    """What a text may begin with, as far as the module says it."""
    match node:
        case ast.Constant(value=str(text)):
            return {text}
        case ast.JoinedStr(values=[first, *_]):
            return opening(first, module)
        case ast.FormattedValue(value=value):
            return opening(value, module)
        case ast.Name(id=name):
            return set().union(*(opening(value, module) for value in assigned(name, module)))
        case ast.Constant(value=None):
            return set()
        case _:
            raise AssertionError(f"cannot tell what this notice begins with: {ast.unparse(node)}")


def assigned(name: str, module: ast.Module) -> list[ast.expr]:
    """All that a name is given, anywhere in the module, also in tuples."""
    found = []
    for node in ast.walk(module):
        match node:
            case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                found.append(value)
            case ast.AnnAssign(target=ast.Name(id=target), value=ast.expr() as value) if target == name:
                found.append(value)
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
                found += [value for at, value in zip(targets, values, strict=True) if isinstance(at, ast.Name) and at.id == name]
            case _:
                pass
    return found


def notices() -> set[str]:
    """The first word of every notice that the core sends."""
    words = set()
    for path in CORE.rglob("*.py"):
        module = ast.parse(path.read_text())
        for node in ast.walk(module):
            match node:
                case ast.Call(func=ast.Name(id="notify") | ast.Attribute(attr="notify"), args=[_, _, body]):
                    for text in opening(body, module):
                        word = re.match(r"[a-z_]+: ", text)
                        assert word, f"{path.name}: a notice that does not say in a word what it is: {text!r}"
                        words.add(word.group().strip())
                case _:
                    pass
    return words


def test_a_manager_is_told_of_every_notice_and_of_no_other() -> None:
    named = set(re.findall(r"^- `([a-z_]+:)` ", prompts.text(Flavor.MANAGER), re.MULTILINE))
    assert named == notices()
    assert "message_dead:" in named


def test_a_notice_without_a_word_is_found() -> None:
    module = ast.parse("notice = None\nnotice = f'x {y}'\na, notice = 1, 'crashed: z'")
    assert opening(ast.Name(id="notice"), module) == {"x ", "crashed: z"}


@pytest.mark.parametrize("flavor", Flavor)
def test_no_tool_is_promised_that_does_not_exist(flavor: Flavor) -> None:
    named = set(re.findall(r"`([a-z_]+)`", prompts.text(flavor)))
    tools = {tool.name for tool in TOOLS[flavor]}
    assert tools <= named
    assert named <= tools | OTHER_WORDS


@pytest.mark.parametrize("flavor", Flavor)
def test_the_form_of_a_message_is_the_one_that_is_described(flavor: Flavor) -> None:
    assert "`message 12 from ada, 2026-01-31 09:00:00 UTC:`" in prompts.text(flavor)
    assert "`| `" in prompts.text(flavor)


def test_a_manager_is_told_all_that_a_worker_is() -> None:
    assert prompts.text(Flavor.MANAGER).startswith(prompts.text(Flavor.WORKER))


@pytest.mark.parametrize(("flavor", "most"), [(Flavor.WORKER, TOKENS_MOST), (Flavor.MANAGER, MANAGERS_TOKENS_MOST)])
def test_what_an_agent_is_told_is_short(flavor: Flavor, most: int) -> None:
    # Without the annotations, which the agent CLI keeps to itself (test_claude.py).
    tools = "".join(
        Tool(name=tool.name, description=tool.description, input_schema=tool.parameters).model_dump_json(
            by_alias=True, exclude_none=True
        )
        for tool in TOOLS[flavor]
    )
    told = prompts.text(flavor) + server.INSTRUCTIONS + tools
    assert len(told) / CHARACTERS_A_TOKEN <= most


def test_the_tags_that_a_manager_is_told_of_are_the_ones_that_there_are() -> None:
    named = set(re.findall(r"`([a-z]+)/N`", prompts.text(Flavor.MANAGER)))
    module = ast.parse((CORE / "publishing.py").read_text())
    made = {
        word
        for node in ast.walk(module)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "tag"
        for word in tag_words(node.args[0], module)
    }
    assert named == made == {"proposal", "approved", "denied", "building", "deployed", "failed"}


def tag_words(node: ast.expr, module: ast.Module) -> set[str]:
    """The words that the first part of a tag may be."""
    match node:
        case ast.Subscript(value=ast.Name(id=table)):
            (words,) = assigned(table, module)
            assert isinstance(words, ast.Dict)
            return {value for one in words.values for value in opening(one, module)}
        case _:
            return opening(node, module)


def test_a_manager_is_told_what_is_protected_and_where_things_are() -> None:
    told = prompts.text(Flavor.MANAGER)
    assert all(path in told for path in PROTECTED)
    assert f"`{CONFIG}/NAME`" in told
    assert f"`{APPLIED}/NAME.git`" in told
    assert f"`{building.FILE}`" in told


def test_no_tool_decides() -> None:
    names = {tool.name for tool in TOOLS[Flavor.MANAGER]}
    assert names == {
        "send", "recv", "inbox", "whoami", "agents", "ask_operator", "request_spawn", "request_apply_commit", "start", "stop",
        "restart", "update", "approvals", "logs",
    }  # fmt: skip
