"""The demo with a model that misbehaves: `python -m tests.demo.play PART`."""

import sys
from collections.abc import Callable

from hyperhive.demo import acts, script, story
from hyperhive.demo.conversation import Conversation, Letter, read
from hyperhive.demo.reply import Message, Reply, say, unauthorised, use
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


WORKERS: dict[str, Callable[[Conversation, Letter], Message]] = {"idle": idle, "lie": lie, "stumble": stumble}


def main(part: str) -> int:
    """Play with that worker, or with an API that refuses every key."""

    def brain(request: Request) -> Reply:
        if part == "refused":
            return unauthorised("no such key")
        told = read(request)
        letter = told.newest()
        return WORKERS[part](told, letter) if told.me == "ada" and letter is not None else script.play(request)

    return story.run(brain=brain, patience=PATIENCE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
