"""Commands that send, show and take messages."""

import re
from collections.abc import Iterable

import click

from hyperhive.cli import notes, render, screen, standard_input, words
from hyperhive.cli.params import NAME, as_json, pass_hive
from hyperhive.core import follow, roster
from hyperhive.core import messages as core
from hyperhive.core.errors import HyperhiveError, Invalid
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, AgentName, Message, MessageKind, MessageState

# How much of a message the flow between all shows, in lines.
_FLOW_LINES = 6
# The word that a notice begins with, by which agents tell one kind from another.
_WORD = re.compile(r"([a-z]+(?:_[a-z]+)*): ")
_COLOURS = {
    MessageState.PENDING: "yellow",
    MessageState.DELIVERED: "green",
    MessageState.DEAD: "red",
    MessageState.CANCELLED: "red",
    MessageState.EXPIRED: "red",
}


class NotDone(HyperhiveError):
    """A message that was waited for ended without being done."""

    exit_code = 8
    http_status = 502


@click.command()
@click.argument("name", type=NAME)
@click.argument("text")
@click.option("--key", metavar="K", help="The same key again gives back the first message instead of sending a second.")
@click.option("--wait", is_flag=True, help="Wait until it is done, and show what the agent writes to you meanwhile.")
@as_json
@pass_hive
def send(hive: Hive, name: AgentName, text: str, key: str | None, wait: bool, as_json: bool) -> None:
    """Send a message to an agent.

    TEXT of - is read from standard input. The message is on disk when this returns; the agent reads it at its next turn.
    """
    body = standard_input.text(hive.settings.limits.message_bytes) if text == "-" else text
    sent = core.send(hive, sender=OPERATOR, to=name, body=body, key=key)
    if not sent.state.is_final:
        notes.waits(hive, roster.get(hive, name))
    if not wait:
        if as_json:
            render.json({"number": sent.number})
        else:
            screen.line(f"sent as message {sent.number}")
        return
    screen.talk(f"sent as message {sent.number}; waiting until {name} has done it")
    answers: list[Message] = []
    done = sent
    for one in follow.answers(hive, sent):
        if one.number == sent.number:
            done = one
            continue
        answers.append(one)
        if not as_json:
            show(hive, one)
    if as_json:
        render.json({"number": done.number, "state": done.state, "reason": done.reason, "answers": answers})
    if done.state is not MessageState.ACKNOWLEDGED:
        raise NotDone(
            f"message {done.number} is {done.state}: {done.reason or 'no reason was given'}", hint=f"hyperhive events {name}"
        )


@click.command()
@click.argument("name", type=NAME, required=False)
@click.option("--follow", "follows", is_flag=True, help="Go on with what comes.")
@click.option("--all", "everything", is_flag=True, help="Also what was read.")
@as_json
@pass_hive
def inbox(hive: Hive, name: AgentName | None, follows: bool, everything: bool, as_json: bool) -> None:
    """Show what waits for you, or for an agent.

    It stays there until you take it with `hyperhive read`; an agent takes its own with its next turn. With --follow,
    --json prints one object a line.
    """
    if follows:
        for found in follow.inbox(hive, name or OPERATOR, everything=everything):
            _print(hive, found, as_json)
        return
    found = core.inbox(hive, name or OPERATOR, everything=everything)
    if as_json:
        render.json(found)
    elif found:
        _print(hive, found, as_json=False)
    else:
        screen.talk(f"nothing waits for {name or 'you'}" if not everything else "there is no message")


@click.command()
@click.argument("numbers", type=click.IntRange(min=1, max=2**62), nargs=-1, metavar="N…")
@click.option("--all", "everything", is_flag=True, help="All that waits for you.")
@as_json
@pass_hive
def read(hive: Hive, numbers: tuple[int, ...], everything: bool, as_json: bool) -> None:
    """Take messages out of your inbox.

    They are shown once more, and are done.
    """
    if bool(numbers) == everything:
        raise Invalid("say which messages, or --all", hint="hyperhive read --all")
    taken = core.read(hive, None if everything else numbers)
    if as_json:
        render.json(taken)
    else:
        _print(hive, taken, as_json=False)
        screen.talk(f"{words.count(len(taken), 'message')} read")


@click.command("messages")
@click.option("--follow", "follows", is_flag=True, help="Go on with what comes, and with how far each message comes.")
@as_json
@pass_hive
def flow(hive: Hive, follows: bool, as_json: bool) -> None:
    """Show the messages between all.

    The newest hundred, the start of each. With --follow, --json prints one object a line, again for each step of a message.
    """
    if not follows:
        found = core.flow(hive)
        if as_json:
            render.json(found)
        elif not found:
            screen.talk('there is no message yet: `hyperhive send NAME "…"`')
        else:
            for one in found:
                show(hive, one, most=_FLOW_LINES)
        return
    shown: set[int] = set()
    for found in follow.flow(hive):
        for one in found:
            if as_json:
                render.json_line(one)
            else:
                show(hive, one, most=0 if one.number in shown else _FLOW_LINES)
            shown.add(one.number)


def _print(hive: Hive, found: Iterable[Message], as_json: bool) -> None:
    for one in found:
        if as_json:
            render.json_line(one)
        else:
            show(hive, one)


def show(hive: Hive, one: Message, *, most: int | None = None) -> None:
    """A line about a message, then its words behind the gutter; `most` of 0 leaves them out."""
    age = f"{words.age(one.sent_at, hive.now())} ago"
    word = _WORD.match(one.body) if one.kind is MessageKind.NOTICE else None
    about = f": {word[1].replace('_', ' ')}" if word else ""
    state = one.state.value + (f", {one.attempt} failed attempts" if one.attempt else "")
    screen.line(
        (f"{one.number}", "bold"),
        "  ",
        (one.sender, "bold"),
        " → ",
        (one.recipient, "bold"),
        "  ",
        (age if one.kind is MessageKind.TEXT else f"{age}, notice{about}", "dim"),
        "  ",
        (state, _COLOURS.get(one.state, "dim")),
    )
    if one.reason and one.state.is_final:
        screen.line("   " + screen.cut(f"because: {one.reason}", used=3))
    if most != 0:
        screen.quote(one.body[word.end() :] if word else one.body, most=most)
