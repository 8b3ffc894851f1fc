"""The prompts that the project ships promise what there is, name what is told, and stay short."""

import ast
import re
from pathlib import Path

import pytest
from mcp_types import Tool

import hyperhive
from hyperhive import prompts
from hyperhive.core.model import OPERATOR, Flavor
from hyperhive.mcp import server, worker

CORE = Path(hyperhive.__file__).parent / "core"
# What stands in backquotes and is no tool.
OTHER_WORDS = {OPERATOR, "sleep", "key", "hyperhive"}
# English needs more characters a token than this: the estimate errs on the side of caution.
CHARACTERS_A_TOKEN = 3.5
TOKENS_MOST = 1500


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
    tools = {tool.name for tool in worker.TOOLS}
    assert tools <= named
    assert named <= tools | OTHER_WORDS


@pytest.mark.parametrize("flavor", Flavor)
def test_the_form_of_a_message_is_the_one_that_is_described(flavor: Flavor) -> None:
    assert "`message 12 from ada, 2026-01-31 09:00:00 UTC:`" in prompts.text(flavor)
    assert "`| `" in prompts.text(flavor)


def test_a_manager_is_told_all_that_a_worker_is() -> None:
    assert prompts.text(Flavor.MANAGER).startswith(prompts.text(Flavor.WORKER))


def test_what_a_worker_is_told_is_short() -> None:
    tools = "".join(
        Tool(
            name=tool.name, description=tool.description, input_schema=tool.parameters, annotations=tool.annotations
        ).model_dump_json(by_alias=True, exclude_none=True)
        for tool in worker.TOOLS
    )
    told = prompts.text(Flavor.WORKER) + server.INSTRUCTIONS + tools
    assert len(told) / CHARACTERS_A_TOKEN <= TOKENS_MOST
