"""Commands that decide about what agents ask for."""

import re
from functools import partial
from typing import Final

import click

from hyperhive.cli import asking, carrying, reviews, screen
from hyperhive.cli.each import each
from hyperhive.cli.main import INTERRUPTED
from hyperhive.cli.params import APPROVAL, pass_hive
from hyperhive.core import approvals as core
from hyperhive.core import operate, tool_rules
from hyperhive.core import reviews as proposals
from hyperhive.core.approvals import Approval
from hyperhive.core.errors import Conflict, Invalid
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, AgentName, ApprovalKind
from hyperhive.core.numbers import named
from hyperhive.core.questions import Question

_COMMIT: Final = re.compile(r"[0-9a-f]{7,64}")

_numbers = click.argument("numbers", type=APPROVAL, nargs=-1, required=True, metavar="N…")


@click.command()
@_numbers
@click.option("--yes", is_flag=True, help="Do not ask. What is applied must be what it was asked for.")
@click.option("--commit", metavar="SHA", help="Approve this commit and no other; 7 digits are enough.")
@click.option("--detach", is_flag=True, help="Leave the deployment to the hive.")
@click.option("--always", is_flag=True, help="For a tool: also propose that it need not be asked about any more.")
@pass_hive
def approve(hive: Hive, numbers: tuple[int, ...], yes: bool, commit: str | None, detach: bool, always: bool) -> None:
    """Approve what an agent asked for, and deploy it.

    Shows what `hyperhive show N` shows and asks. A configuration is built at once, line by line on the screen; when that
    fails, nothing has changed.
    """
    if commit is not None and (len(numbers) > 1 or not _COMMIT.fullmatch(commit)):
        raise Invalid("--commit is of one proposal, and at least 7 hexadecimal digits", hint=f"hyperhive show {numbers[0]}")
    each(numbers, partial(_approve, hive, yes=yes, commit=commit, detach=detach, always=always))


@click.command()
@_numbers
@click.option("--note", metavar="TEXT", default="", help="Why: it reaches the one who asked.")
@pass_hive
def deny(hive: Hive, numbers: tuple[int, ...], note: str) -> None:
    """Deny what an agent asked for."""
    each(numbers, partial(_deny, hive, note=note))


def _approve(hive: Hive, number: int, *, yes: bool, commit: str | None, detach: bool, always: bool) -> int | None:
    asked = _waiting(hive, number, question=f'hyperhive answer {number} "…"')
    if not yes:
        asking.check_somebody_is_there()
    if asked.kind is ApprovalKind.TOOL:
        return _approve_tool(hive, asked, yes=yes, commit=commit, always=always)
    if always:
        raise Invalid(f"{number} is no use of a tool, and --always is for these", hint=f"hyperhive approve {number}")
    return propose(hive, number, yes=yes, commit=commit, detach=detach)


def propose(hive: Hive, number: int, *, yes: bool, commit: str | None = None, detach: bool = False) -> int | None:
    """Show a proposal, ask, approve, deploy. Gives back an exit code, or None."""
    shown = proposals.review(hive, number)
    asked = shown.approval
    if commit is not None and not shown.commit.id.startswith(commit):
        raise Conflict(f"approval {number} is about the commit {shown.commit.id}", hint=f"`hyperhive show {number}`")
    reviews.show(hive, shown)
    what = f"Make {asked.agent}" if asked.kind is ApprovalKind.SPAWN else f"Deploy this to {asked.agent}"
    if not yes and not asking.agrees(f"{what}?"):
        return _still_waits(number)
    # Where nobody looked, what it is compared with has to be what it was asked for.
    over = None if yes else shown.against
    done = core.approve(hive, number, by=OPERATOR, commit=shown.commit.id, compared_with=over)
    screen.line(f"{number} is approved")
    assert done.operation is not None
    carrying.deploy(hive, AgentName(asked.agent), number, done.operation, detach=detach)
    return None


def _approve_tool(hive: Hive, asked: Approval, *, yes: bool, commit: str | None, always: bool) -> int | None:
    if commit is not None:
        raise Invalid(f"{asked.number} is the use of a tool, and has no commit", hint=f"hyperhive approve {asked.number}")
    rule = tool_rules.rule_for(asked) if always else None
    reviews.show_tool(hive, asked)
    if not yes and not asking.agrees(f"Let {asked.agent} do this?"):
        return _still_waits(asked.number)
    core.approve(hive, asked.number, by=OPERATOR)
    screen.line(f"{asked.number} is approved")
    if rule is not None:
        made = tool_rules.propose(hive, asked)
        screen.line(
            f"{asked.agent} need not ask for this already"
            if made is None
            else f"proposal {made.number} waits, so that {asked.agent} need not ask any more: `hyperhive approve {made.number}`"
        )
    return None


def _deny(hive: Hive, number: int, *, note: str) -> None:
    asked = _waiting(hive, number, question=f"hyperhive cancel-question {number}")
    core.deny(hive, number, by=OPERATOR, note=note)
    screen.line(f"{number} is denied")
    if asked.kind is not ApprovalKind.TOOL:
        operate.publish(hive, AgentName(asked.agent))


def _waiting(hive: Hive, number: int, *, question: str) -> Approval:
    """What is to be decided. Raises `Invalid` for a question, `NotFound`, and `Conflict` for what was decided already."""
    if isinstance(named(hive, number), Question):
        raise Invalid(f"{number} is a question", hint=question)
    return core.waiting(hive, number)


def _still_waits(number: int) -> int:
    screen.talk(f'{number} still waits: `hyperhive deny {number} --note "…"` denies it')
    return INTERRUPTED
