"""How what an agent was allowed once becomes a rule of its configuration."""

from typing import Final

import msgspec

from hyperhive.core import agent_toml, applied, building, proposals, reviews
from hyperhive.core.agent_config import check_rule
from hyperhive.core.approvals import Approval, approval_from
from hyperhive.core.errors import Invalid
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, AgentName, ApprovalKind, ApprovalState
from hyperhive.core.tables import ApprovalRow

SHELL: Final = "Bash"


def rule_for(asked: Approval) -> str:
    """The rule that allows no more than what was asked for, as far as a rule can say it: a command, or else a tool.

    Raises `Invalid` for a command that no rule says exactly: all commands are far more than one.
    """
    tool = asked.tool or ""
    if tool != SHELL:
        check_rule(tool)
        return tool
    try:
        given = msgspec.json.decode(asked.input or "{}")
    except msgspec.DecodeError:
        given = None
    command = given.get("command") if isinstance(given, dict) else None
    rule = f"{SHELL}({command})"
    try:
        # A star stands for anything.
        if not isinstance(command, str) or "*" in command or command != command.strip():
            raise Invalid("no rule")
        check_rule(rule)
    except Invalid:
        raise Invalid(
            "that command cannot be a rule: one line of at most 200 characters, without parentheses and stars",
            hint=f"`hyperhive approve {asked.number}` allows it this once; `hyperhive config {asked.agent} --edit` writes a rule",
        ) from None
    return rule


def propose(hive: Hive, asked: Approval) -> Approval | None:
    """Put before the operator that an agent needs not ask for this any more; None when it needs not already.

    What the operator has proposed for the agent so and not decided yet stays in it. Runs git. Raises `Invalid`,
    `NotFound`, `Conflict`.
    """
    name, rule = AgentName(asked.agent), rule_for(asked)
    now = reviews.current(hive, name).commit
    with hive.db.read():
        row = ApprovalRow.get_or_none(
            ApprovalRow.agent == name,
            ApprovalRow.kind == ApprovalKind.CONFIG,
            ApprovalRow.asker == OPERATOR,
            ApprovalRow.state == ApprovalState.PENDING,
            ApprovalRow.compared_with == now,
        )
        waiting = None if row is None else approval_from(row)
    source = now if waiting is None or waiting.commit is None else waiting.commit
    data = applied.read(hive, name, source, building.FILE, most=building.FILE_MOST) or b""
    changed = agent_toml.allow_tool(data, rule)
    if changed == data:
        return waiting
    return proposals.by_operator(hive, name, {building.FILE: changed}, message=f"Allow {rule} without asking", onto=now)
