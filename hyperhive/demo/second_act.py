"""The second act: the worker is given a tool that the manager makes, the operator allows, and takes away again."""

from typing import Final

from hyperhive.core import (
    approvals,
    building,
    builds,
    deploying,
    deployments,
    doorbell,
    messages,
    questions,
    reviews,
    roster,
)
from hyperhive.core.approvals import Approval
from hyperhive.core.deployments import Deployment
from hyperhive.core.model import OPERATOR, ApprovalKind, DeploymentOutcome, EventKind, MessageState
from hyperhive.core.questions import Question
from hyperhive.demo import toolsmith
from hyperhive.demo.audience import Audience
from hyperhive.demo.cast import ADA, BOSS
from hyperhive.demo.screen import Screen
from hyperhive.demo.stage import Stage
from hyperhive.demo.steps import Steps

TEXT: Final = "Hello, honey bees of the hive!"
LETTER: Final = "h"
TASK: Final = (
    f"Give {ADA} a tool that counts letters: an MCP server in her configuration. Ask me first what is mine to decide. "
    f"Then let her count the {LETTER} in `{TEXT}`, and tell me how many there are."
)
# The operator's answer, by its number; with the other one there would be fewer.
CHOICE: Final = 1
FOUND: Final = TEXT.lower().count(LETTER)


class SecondAct:
    """Its steps, in order."""

    def __init__(self, stage: Stage, screen: Screen, audience: Audience, steps: Steps) -> None:
        self._hive = stage.hive
        self._screen = screen
        self._audience = audience
        self._steps = steps

    def tell(self) -> None:
        """Play it. Raises `Missed` and `HyperhiveError` for the first step that does not happen."""
        self._screen.gap()
        self._screen.title("The second act")
        self._screen.say(
            "The manager makes a tool for the worker, and you decide about it. The program's words are a part of the model's "
            "script; that it is written, proposed, built and run is real."
        )
        question = self._be_asked()
        proposal = self._answer(question)
        self._approve(proposal)
        self._use_tool()
        self._go_back()

    def _be_asked(self) -> Question:
        self._steps.begin("You want a tool for the worker; the manager has a question")
        self._steps.do(["send", BOSS, TASK])
        question = self._audience.until(self._question, what=f"{BOSS} asks you something")
        self._audience.until(self._audience.is_quiet, what=f"{BOSS} ends its turn")
        self._steps.do(["questions"])
        self._steps.expect(question.asker == BOSS and question.choices == toolsmith.CHOICES, "it is another question")
        self._steps.check(f"question {question.number} waits for you; {BOSS} has ended its turn")
        return question

    def _answer(self, question: Question) -> Approval:
        self._steps.begin("Your answer wakes the manager, who makes the tool")
        self._steps.do(["answer", str(question.number), "--choice", str(CHOICE)])
        answered = questions.get(self._hive, question.number)
        self._steps.expect(answered.answer == question.choices[CHOICE - 1], f"it was answered with {answered.answer!r}")
        self._steps.check(f"question {question.number} is answered: {answered.answer}")
        proposal = self._audience.until(self._proposal, what=f"{BOSS} asks you to approve what it has made")
        self._steps.expect(
            any(questions.ANSWERED in str(event.data.get("text")) for event in self._audience.of(BOSS, EventKind.PROMPT)),
            f"{BOSS} was not told the answer",
        )
        self._steps.check(f"proposal {proposal.number}, {BOSS}'s commit {(proposal.commit or '')[:12]}, waits for you")
        self._audience.until(self._audience.is_quiet, what=f"{BOSS} ends its turn")
        now, _ = builds.config_of(self._hive, ADA, roster.get(self._hive, ADA).deployed)
        self._steps.expect(not now.mcp_servers and not now.build, f"{ADA} has it already")
        self._steps.check(f"nothing of {ADA} has changed yet")
        return proposal

    def _approve(self, proposal: Approval) -> None:
        self._steps.begin("You see what it changes, and approve it; it is built")
        self._steps.look_at(["pending"])
        number = proposal.number
        self._screen.command(["hyperhive", "approve", str(number)])
        shown = reviews.review(self._hive, number)
        self._screen.proposal(shown)
        keys = {change.key for change in shown.comparison.changes or ()}
        self._steps.expect(keys == {f"mcp_servers.{toolsmith.SERVER}", "build"}, f"it changes {', '.join(sorted(keys))}")
        self._screen.output(f"Deploy this to {ADA}? [y/N]: y")
        # The very commit that was looked at, over the very one that it was compared with.
        approvals.approve(self._hive, number, by=OPERATOR, commit=shown.commit.id, compared_with=shown.against)
        doorbell.ring_hive(self._hive.paths)
        done = self._deployed(number)
        self._steps.expect(done.commit == shown.commit.id, "another commit was deployed than was shown")
        built = [str(event.data.get("line")) for event in self._audience.of(ADA, EventKind.BUILD)]
        missing = [command for command in toolsmith.BUILD if f"$ {command}" not in built]
        self._steps.expect(not missing, f"these build commands did not run: {missing}")
        self._steps.check(f"it was built in a container of its own, and {ADA} runs deployment {number}")
        made = builds.made_in(self._hive, ADA, number)
        self._steps.expect(made is not None and (made / toolsmith.PLACE).is_file(), "the program is not where it was to be")
        self._steps.check(f"the program is in {ADA}'s /opt/agent/{toolsmith.PLACE}")

    def _use_tool(self) -> None:
        self._steps.begin("The worker counts with its new tool, and reports")
        self._screen.command(["hyperhive", "events", ADA, "-f"])
        mail = self._audience.until(
            lambda: self._audience.mail(BOSS, OPERATOR, saying=f"counts {FOUND} {LETTER}"), what=f"{BOSS} tells you the number"
        )
        self._audience.until(self._audience.is_quiet, what="both end their turns")
        said = [str(result.data.get("text")).strip() for _, result in self._audience.results(ADA, toolsmith.COUNT)]
        self._steps.expect(said == [str(FOUND)], f"{ADA}'s tool was used {len(said)} times and said {said}, not {FOUND}")
        self._steps.check(f"{ADA} has used {toolsmith.COUNT}, which said {FOUND}")
        self._steps.do(["read", "--all"])
        state = messages.get(self._hive, mail.number).state
        self._steps.expect(state is MessageState.ACKNOWLEDGED, f"message {mail.number} is {state}")
        self._steps.check(f"message {mail.number}, {BOSS} to you, says {FOUND}")

    def _go_back(self) -> None:
        self._steps.begin("You take it back")
        before = deployments.history(self._hive, ADA)
        self._screen.command(["hyperhive", "rollback", ADA])
        number, _ = deploying.roll_back(self._hive, ADA, by=OPERATOR)
        doorbell.ring_hive(self._hive.paths)
        done = self._deployed(number)
        self._audience.until(self._audience.is_quiet, what=f"{BOSS} has heard of it")
        now, _ = builds.config_of(self._hive, ADA, roster.get(self._hive, ADA).deployed)
        first = building.config_in(self._hive, ADA, before[0].commit or "")[0]
        self._steps.expect(now == first and not now.mcp_servers, f"{ADA} still has {', '.join(now.mcp_servers) or 'it'}")
        self._steps.check(f"{ADA} runs deployment {done.number}: the MCP server is gone")
        self._steps.look_at(["history", ADA])
        after = deployments.history(self._hive, ADA)
        self._steps.expect(after[: len(before)] == before and after[len(before) :] == [done], "its history was rewritten")
        self._steps.check("its history has only grown: made, changed, back as it was")

    def _deployed(self, number: int) -> Deployment:
        """Wait until a deployment has ended well, while its build says what it does."""
        done = self._audience.until(
            lambda: one if (one := deployments.get(self._hive, number)).outcome else None, what=f"deployment {number} is done"
        )
        self._steps.expect(done.outcome is DeploymentOutcome.DEPLOYED, f"deployment {number} has failed: {done.error}")
        self._steps.expect(roster.get(self._hive, ADA).deployed == number, f"{ADA} runs another deployment than {number}")
        return done

    def _question(self) -> Question | None:
        return next(iter(questions.listed(self._hive)), None)

    def _proposal(self) -> Approval | None:
        found = approvals.listed(self._hive, asker=BOSS, kinds=(ApprovalKind.CONFIG,))
        return found[0] if found else None
