"""The real agent CLI reads each rule about a tool as a rule of its own, and no more than it says."""

from pathlib import Path

import pytest

from hyperhive.core.agent_config import AgentConfig, Tools
from hyperhive.core.claude import arguments
from hyperhive.core.runtimes import Inside
from hyperhive.demo.model_api import ModelApi
from hyperhive.demo.reply import Reply, say, use
from hyperhive.demo.request import Request
from tests.claude.bare import Claude

pytestmark = pytest.mark.claude


def tried(home: Path, tools: Tools, *commands: str) -> list[str]:
    """Which of these commands the agent CLI runs, of those that are given these rules."""
    inside = Inside("", "", "", "", "", "", "", None, ("x",), (), "", None, None)
    words = arguments(inside, AgentConfig(tools=tools), conversation="x", resume=False, model=None)
    rules = words[words.index("--allowedTools") : words.index("--session-id")]
    todo = list(commands)

    def brain(request: Request) -> Reply:
        return use("Bash", command=todo.pop(0)) if todo else say("done")

    flags = ["--setting-sources", "", "--permission-prompts", "none", *rules]
    with ModelApi(brain) as api, Claude(home, api.url, *flags, "--model", "opus") as claude:
        claude.prompt("go")
        refused = [denial["tool_input"]["command"] for denial in claude.result()["permission_denials"]]
    return [command for command in commands if command not in refused]


def test_a_comma_in_a_rule_is_a_part_of_it(home: Path) -> None:
    tools = Tools(allow=("Bash(touch a,b)", "Bash(touch c)"))
    assert tried(home, tools, "touch a,b", "touch b", "touch c") == ["touch a,b", "touch c"]


def test_an_unfinished_rule_takes_none_of_the_next_with_it(home: Path) -> None:
    assert tried(home, Tools(allow=("Bash(touch a", "Bash(touch c)")), "touch a", "touch c") == ["touch c"]


def test_each_denied_rule_is_denied(home: Path) -> None:
    tools = Tools(allow=("Bash",), deny=("Bash(touch a,b)", "Bash(touch c)"))
    assert tried(home, tools, "touch a,b", "touch c", "touch d") == ["touch d"]
