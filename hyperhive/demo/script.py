"""What the scripted model says, as the manager and as the worker of the demo."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from hyperhive.core.model import OPERATOR
from hyperhive.demo import toolsmith
from hyperhive.demo.conversation import Conversation, Letter, lines_in, read
from hyperhive.demo.reply import Message, Reply, fail, say, use
from hyperhive.demo.request import Request

AGENTS: Final = "mcp__hyperhive__agents"
SEND: Final = toolsmith.SEND
# All that this model knows about spelling.
SPELLING: Final[Mapping[str, str]] = {"Helo": "Hello", "wrold": "world"}
_FILE: Final = re.compile(r"/workspace/[\w./-]*\w")
_QUOTED: Final = re.compile(r"`([^`]+)`")


def play(request: Request) -> Reply:
    """Answer as the agent who asks, from nothing but what it has been told and what its tools gave back."""
    told = read(request)
    letter = told.newest()
    part = PARTS.get(told.me or "")
    if part is None or letter is None:
        return fail(400, "invalid_request_error", f"the script has no part for {told.me or 'this question'}")
    if told.failed is not None and told.failed.result is not None:
        return say(f"I stop: {told.failed.tool} failed with: {told.failed.result.text}")
    return part(told, letter)


def manage(told: Conversation, letter: Letter) -> Reply:
    """The manager passes the operator's task to a worker, and the worker's answer to the operator; or it makes a tool."""
    if letter.is_notice:
        return toolsmith.hear(told, letter)
    if toolsmith.is_wanted(letter):
        return toolsmith.ask(told)
    if letter.sender == OPERATOR:
        return _pass_on(told, letter)
    if told.newest(OPERATOR) is None:
        return say("I have no task from the operator, so I do nothing.")
    if told.result(SEND) is not None:
        return say("The operator has the answer.")
    return say("I tell the operator.") + use(SEND, to=OPERATOR, body=f"{letter.sender} has answered:\n{letter.text}")


def work(told: Conversation, letter: Letter) -> Reply:
    """The worker looks at the file, corrects it, runs it, and reports; or it counts."""
    if toolsmith.is_count(letter):
        return toolsmith.count(told, letter)
    file = _FILE.search(letter.text)
    if file is None:
        return say("This names no file, so I do nothing.")
    path = file[0]
    known = told.result("Read", file_path=path)
    if known is None:
        return say("I look at the file first.") + use("Read", file_path=path) + _where(letter)
    if told.result(SEND) is not None:
        return say("The answer is sent.")
    edited = told.result("Edit", file_path=path)
    printed = told.result("Bash", command=f"python3 {path}")
    wrong, right = _mistake(known)
    if edited is None and wrong == right:
        return say("I see no mistake.") + use(SEND, to=letter.sender, body=f"I see no mistake in {path}.")
    if edited is None:
        return say("I correct it.") + use("Edit", file_path=path, old_string=wrong, new_string=right)
    if printed is None:
        return say("I try it.") + use("Bash", command=f"python3 {path}", description="Run the corrected program")
    return say("I report.") + use(SEND, to=letter.sender, body=f"{path} is corrected. It prints: {printed.strip()}")


PARTS: Final[Mapping[str, Callable[[Conversation, Letter], Reply]]] = {"boss": manage, "ada": work}
"""Who plays what."""


def _pass_on(told: Conversation, task: Letter) -> Reply:
    listing = told.result(AGENTS)
    if listing is None:
        return say("I look who is here.") + use(AGENTS) + _where(task)
    worker = next((line.split(",")[0] for line in listing.splitlines() if ", worker, " in line), None)
    file = _FILE.search(task.text)
    if worker is None or file is None:
        return say("There is no worker, or the task names no file, so I do nothing.")
    if told.result(SEND) is not None:
        return say(f"{worker} has the task. I end my turn: the answer will wake me.")
    body = f"Please correct the spelling in {file[0]}, run it, and tell me what it prints."
    if command := _QUOTED.search(task.text):
        body += f" Also run `{command[1]}` once."
    return say(f"{worker} is a worker: I pass it on.") + use(SEND, to=worker, body=body)


def _where(letter: Letter) -> Message:
    """The command that a letter quotes: the demo learns from its output where it ran."""
    command = _QUOTED.search(letter.text)
    return use("Bash", command=command[1], description="Say where this runs") if command else Message(())


def _mistake(shown: str) -> tuple[str, str]:
    """The first line with a mistake, and what it should be; twice the same when there is none."""
    for line in lines_in(shown):
        right = re.sub(r"\w+", lambda word: SPELLING.get(word[0], word[0]), line)
        if right != line:
            return line, right
    return "", ""
