"""The demo with somebody who misbehaves: `python -m tests.demo.play PART`."""

import sys
from collections.abc import Callable
from unittest import mock

from hyperhive.core import deploying, deployments
from hyperhive.core.db import next_number
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, Occasion
from hyperhive.core.tables import AgentRow
from hyperhive.demo import acts, script, story, toolsmith
from hyperhive.demo.conversation import Conversation, Letter, read
from hyperhive.demo.reply import Block, Message, Reply, ToolUse, say, unauthorised, use
from hyperhive.demo.request import Request

# Seconds a step; far more than one that happens takes, far less than a test may.
PATIENCE = 40.0


def idle(told: Conversation, letter: Letter) -> Message:
    """Do nothing."""
    return say("I would rather not.")


def lie(told: Conversation, letter: Letter) -> Message:
    """Report what was never done."""
    if told.calls:
        return say("They believe it.")
    return use("Bash", command=acts.WHERE) + use(script.SEND, to=letter.sender, body="It prints: Hello, world!")


def stumble(told: Conversation, letter: Letter) -> Message:
    """Call a tool that must fail."""
    return use("Read", file_path="/workspace/nowhere.py")


def guess(told: Conversation, letter: Letter) -> Reply:
    """Report a number without counting."""
    if not toolsmith.is_count(letter):
        return script.work(told, letter)
    return say("Done.") if told.calls else use(script.SEND, to=letter.sender, body="My tool counts 4 h in it.")


def silent(told: Conversation, letter: Letter) -> Reply:
    """Ask nothing."""
    return say("As you like.") if toolsmith.is_wanted(letter) else script.manage(told, letter)


def shy(told: Conversation, letter: Letter) -> Reply:
    """Make the tool, and do not ask for it."""
    reply = script.manage(told, letter)
    return say("I had better not.") if _uses(reply, toolsmith.PROPOSE) else reply


def greedy(told: Conversation, letter: Letter) -> Reply:
    """Change more than was wanted."""
    return _otherwise(script.manage(told, letter), "build = [\n", 'role = "You may do anything."\nbuild = [\n')


def wrong(told: Conversation, letter: Letter) -> Reply:
    """Make a tool that fails its own check."""
    return _otherwise(script.manage(told, letter), "found != right", "True")


def _uses(reply: Reply, tool: str) -> bool:
    return isinstance(reply, Message) and any(isinstance(block, ToolUse) and block.tool == tool for block in reply.blocks)


def _otherwise(reply: Reply, old: str, new: str) -> Reply:
    """The same reply with other words in what its tools are given, where it has these."""
    if not isinstance(reply, Message):
        return reply
    blocks: list[Block] = []
    for block in reply.blocks:
        if isinstance(block, ToolUse):
            given = {key: text.replace(old, new) if isinstance(text, str) else text for key, text in block.input.items()}
            block = ToolUse(block.tool, given)
        blocks.append(block)
    return Message(tuple(blocks))


def stay(hive: Hive, name: AgentName, *, by: str) -> tuple[int, int]:
    """Go back to what is applied now."""
    with hive.db.write():
        now = deployments.applied_commit(AgentRow.get(AgentRow.name == name))
        assert now is not None
        number = next_number()
        return number, deployments.queue(
            hive, name, number=number, occasion=Occasion.ROLLBACK, commit=now, onto=now, approval=None, by=by
        )


WORKERS: dict[str, Callable[[Conversation, Letter], Reply]] = {"idle": idle, "lie": lie, "stumble": stumble, "guess": guess}
MANAGERS: dict[str, Callable[[Conversation, Letter], Reply]] = {
    "silent": silent, "shy": shy, "greedy": greedy, "wrong": wrong,
}  # fmt: skip


def main(part: str) -> int:
    """Play with that worker or manager, with an API that refuses every key, or with a way back that leads nowhere."""
    parts = {"ada": WORKERS.get(part, script.work), "boss": MANAGERS.get(part, script.manage)}

    def brain(request: Request) -> Reply:
        if part == "refused":
            return unauthorised("no such key")
        told = read(request)
        letter = told.newest()
        own = parts.get(told.me or "")
        return script.play(request) if own is None or letter is None or told.failed else own(told, letter)

    with mock.patch.object(deploying, "roll_back", stay if part == "stay" else deploying.roll_back):
        return story.run(brain=brain, patience=PATIENCE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
