"""What the scripted model says while the worker is given a tool, as the manager who makes it, as the worker who uses it."""

import re
import shlex
from pathlib import Path
from typing import Final

from hyperhive.core.agent_config import OWN_SERVER
from hyperhive.core.model import OPERATOR
from hyperhive.demo.conversation import Conversation, Letter, lines_in
from hyperhive.demo.reply import Message, say, use

ASK: Final = f"mcp__{OWN_SERVER}__ask_operator"
PROPOSE: Final = f"mcp__{OWN_SERVER}__request_apply_commit"
SEND: Final = f"mcp__{OWN_SERVER}__send"
SERVER: Final = "letters"
PROGRAM: Final = f"{SERVER}.py"
COUNT: Final = f"mcp__{SERVER}__count"
SEARCH: Final = "ToolSearch"
QUESTION: Final = "Does a capital letter count as the small one?"
CHOICES: Final = ("yes, H counts as h", "no, only h counts as h")
# Where the program ends up in the worker's container, below what its configuration is built into.
PLACE: Final = f"bin/{PROGRAM}"
BUILD: Final = (f"python3 {PROGRAM} --check", f"install -D {PROGRAM} {PLACE}", "ls -l bin")
_WHO: Final = re.compile(r"Give ([a-z0-9-]+) a tool")
_COUNT: Final = re.compile(r"count the (\w) in `([^`]+)`")
_COMMIT: Final = re.compile(r"\b[0-9a-f]{40}\b")


def is_wanted(letter: Letter) -> bool:
    """The operator wants somebody to have a tool."""
    return letter.sender == OPERATOR and _WHO.search(letter.text) is not None


def ask(told: Conversation) -> Message:
    """The manager asks what the operator has to decide."""
    if told.result(ASK) is not None:
        return say("I end my turn: the answer will wake me.")
    return say("That is for you to decide.") + use(ASK, text=QUESTION, choices=list(CHOICES), choices_only=True)


def hear(told: Conversation, notice: Letter) -> Message:
    """The manager goes on when a notice says that what it waits for is there."""
    task = next((letter for letter in reversed(told.letters) if is_wanted(letter)), None)
    who = _WHO.search(task.text) if task is not None else None
    if task is None or who is None:
        return say("I know it now.")
    match notice.text.partition(":")[0]:
        case "operator_answered":
            return _make(told, who[1], notice)
        case "deployed" if (asked := told.ever(PROPOSE)) is not None and str(asked.input.get("commit")) in notice.text:
            return _give(told, who[1], task)
        case "approval_resolved":
            return say(f"It is decided: I wait until {who[1]} has it.")
        case _:
            return say("I know it now.")


def is_count(letter: Letter) -> bool:
    """Somebody wants letters counted."""
    return _COUNT.search(letter.text) is not None


def count(told: Conversation, letter: Letter) -> Message:
    """The worker counts with the tool that it has, if it has one."""
    wanted = _COUNT.search(letter.text)
    assert wanted is not None
    if told.result(SEND) is not None:
        return say("The answer is sent.")
    if COUNT not in told.hidden:
        return say("I have no tool for that.") + use(SEND, to=letter.sender, body="I have no tool that counts letters.")
    if told.ever(SEARCH) is None:
        return say("I have a tool for that: I look how it is used.") + use(SEARCH, query=f"select:{COUNT}")
    found = told.result(COUNT)
    if found is None:
        return say("I count.") + use(COUNT, letter=wanted[1], text=wanted[2])
    return say("I report.") + use(SEND, to=letter.sender, body=f"My tool counts {found.strip()} {wanted[1]} in it.")


def program(answer: str) -> str:
    """The text of the server, as the operator wants it."""
    text = Path(__file__).with_name(PROGRAM).read_text(encoding="utf-8")
    return text if CHOICES[0] in answer.splitlines()[-1] else text.replace("SAME = True", "SAME = False")


def _make(told: Conversation, who: str, notice: Letter) -> Message:
    """The manager writes the tool into its repository of the worker's configuration, and proposes it."""
    folder = f"/config/{who}"
    file = f"{folder}/agent.toml"
    newest = f"git -C {folder} fetch -q applied --tags && git -C {folder} rebase applied/main"
    if told.result("Bash", command=newest) is None:
        return say("I begin with what is applied now.") + use("Bash", command=newest, description="Fetch what is applied")
    known = told.result("Read", file_path=file)
    if known is None:
        return say("I look at what she was given.") + use("Read", file_path=file)
    if told.result(PROPOSE) is not None:
        return say("I end my turn: the decision will wake me.")
    example = next((line for line in lines_in(known) if line.startswith("# build")), None)
    if example is None:
        return say(f"I find no place for a build in {file}, so I do nothing.")
    if told.result("Edit", file_path=file) is None:
        build = "build = [\n" + "".join(f'    "{command}",\n' for command in BUILD) + "]"
        return (
            say("I write the tool, and how it is built.")
            + use("Write", file_path=f"{folder}/{PROGRAM}", content=program(notice.text))
            + use("Edit", file_path=file, old_string=example, new_string=build)
        )
    commit = _commit(folder)
    done = told.result("Bash", command=commit)
    if done is None:
        return say("I name the server, and commit.") + use("Bash", command=commit, description="Commit it")
    made = _COMMIT.findall(done)
    if not made:
        return say(f"There is no commit in {done!r}, so I do nothing.")
    return say("I ask for it.") + use(PROPOSE, name=who, commit=made[-1], reason=f"{who} is to count letters")


def _commit(folder: str) -> str:
    server = f'\n\n[mcp_servers.{SERVER}]\ncommand = "python3"\nargs = ["/opt/agent/{PLACE}"]\nallowed_tools = ["count"]\n'
    message = shlex.quote("Give her a tool that counts letters")
    return (
        f"cat >> {folder}/agent.toml <<'END' &&{server}END\n"
        f"git -C {folder} add -A && git -C {folder} commit -q -m {message} && git -C {folder} rev-parse HEAD"
    )


def _give(told: Conversation, who: str, task: Letter) -> Message:
    """The manager gives the worker what the tool is for."""
    wanted = _COUNT.search(task.text)
    if told.result(SEND) is not None or wanted is None:
        return say(f"{who} has the task. I end my turn: the answer will wake me.")
    body = f"Please count the {wanted[1]} in `{wanted[2]}` with your new tool, and tell me how many there are."
    return say("She has it: I give her the task.") + use(SEND, to=who, body=body)
