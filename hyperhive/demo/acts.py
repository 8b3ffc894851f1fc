"""The steps of the demo, each with what must be true after it."""

import os
import re
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import Final

from hyperhive.core import messages, roster, turns
from hyperhive.core.agent_view import Agent
from hyperhive.core.errors import HyperhiveError
from hyperhive.core.identity import identity
from hyperhive.core.locks import is_held
from hyperhive.core.model import OPERATOR, AgentName, Flavor, MessageKind, MessageState, Outcome
from hyperhive.demo import script
from hyperhive.demo.audience import Audience, Missed
from hyperhive.demo.cast import ADA, BOSS
from hyperhive.demo.screen import Screen
from hyperhive.demo.second_act import SecondAct
from hyperhive.demo.stage import Stage
from hyperhive.demo.steps import Steps

FILE: Final = "/workspace/greeting.py"
WRONG: Final = 'print("Helo, wrold!")'
PRINTS: Final = "Hello, world!"
# Says which container it runs in: its name, and the kernel's number of its view of the files.
WHERE: Final = "uname -n; readlink /proc/self/ns/mnt"
TASK: Final = (
    f"Ask {ADA} to correct the spelling in her {FILE} and to run it, then tell me what it prints. "
    f"Both of you: run `{WHERE}` once, as one command."
)
_PLACE: Final = re.compile(r"^([a-z0-9-]+)\n(mnt:\[\d+\])$", re.MULTILINE)
# After so many seconds in which nobody may do anything, nothing more comes: with the script, with a real model.
QUIET: Final = 1.0
QUIET_LIVE: Final = 20.0


class Story:
    """The steps, in order."""

    def __init__(self, stage: Stage, screen: Screen, *, live: bool, keep: bool, patience: float) -> None:
        self._stage = stage
        self._screen = screen
        self._live = live
        self._keep = keep
        self._audience = Audience(
            stage, screen, (BOSS, ADA), patience=patience, quiet=QUIET_LIVE if live else QUIET, strict=not live
        )
        self._steps = Steps(stage, screen)

    def tell(self) -> int:
        """Play it all; the first step that does not happen ends it."""
        began = time.monotonic()
        self._introduce()
        try:
            self._start_hive()
            self._make_agents()
            self._put_file()
            self._give_task()
            self._watch_manager()
            self._watch_worker()
            self._receive_answer()
            self._check_work()
            if not self._live:
                SecondAct(self._stage, self._screen, self._audience, self._steps).tell()
            self._count()
            self._end_hive()
        except (Missed, HyperhiveError) as error:
            self._steps.explain(error, keep=self._keep)
            return 1
        self._screen.gap()
        self._screen.say(f"All of it happened, in {time.monotonic() - began:.0f} seconds.")
        self._say_how_to_go_on()
        return 0

    def _introduce(self) -> None:
        model = (
            "Their model is a real one, with your login; what it costs is shown at the end."
            if self._live
            else "Only their model is scripted, by a small server on this machine: no account, no internet, no costs. "
            "Everything else is real: the agent program claude, the containers, the mail, the hive."
        )
        self._screen.title("hyperhive demo")
        self._screen.gap()
        then = "" if self._live else "; then the manager makes a tool for the worker, and you decide about it"
        self._screen.say(f"A manager and a worker do a small job together, each in a container of its own{then}. {model}")
        if self._live:
            self._screen.say(
                "The second act is left out: there the manager makes a tool for the worker, step by step as its script says, and "
                "a real model has its own way. `hyperhive demo` plays both."
            )
        self._screen.say(f"The hive is in {self._stage.home}; behind each $ is what you would type.")

    def _start_hive(self) -> None:
        self._steps.begin("The hive starts")
        self._screen.command(["hyperhive", "up"])
        self._stage.up()
        paths = self._stage.hive.paths
        self._audience.until(lambda: (is_held(paths.lock("hub")) and paths.hub_socket.exists()) or None, what="the hub listens")
        self._steps.check("the hub listens")

    def _make_agents(self) -> None:
        self._steps.begin("A manager and a worker are made, each in a container")
        for name in (BOSS, ADA):
            self._make_agent(name, Flavor.MANAGER if name == BOSS else Flavor.WORKER)
            if self._live:
                # At once: a manager is told of the next agent, and begins a turn with that.
                self._log_in(name)

    def _make_agent(self, name: AgentName, flavor: Flavor) -> None:
        self._steps.do(["spawn", name, *(["--manager"] if flavor is Flavor.MANAGER else [])])
        agent = self._audience.until(lambda: self._made(name, flavor), what=f"{name} has a mailbox")
        user = identity(agent.uid, agent.user)[0]
        self._steps.check(f"{name}: {agent.flavor}, {agent.runtime}" + ("" if user is None else f", as user {user}"))

    def _put_file(self) -> None:
        self._steps.begin(f"A program with two mistakes is put into {ADA}'s container")
        words = ["exec", ADA, "--", "tee", "greeting.py"]
        self._screen.command([], shown=f"echo {shlex.quote(WRONG)} | {shlex.join(['hyperhive', *words])}")
        self._steps.expect(self._stage.run(words, stdin=f"{WRONG}\n").strip() == WRONG, f"{FILE} is not what was put there")
        self._steps.check(f"it is in {ADA}'s {FILE}")
        seen = self._steps.do(["exec", BOSS, "--", "ls", "-A", "/workspace"])
        self._steps.expect("greeting.py" not in seen, f"{BOSS} sees {ADA}'s file")
        self._steps.check(f"{BOSS}'s /workspace is another one: the file is not there")

    def _give_task(self) -> None:
        self._steps.begin("You write to the manager")
        self._steps.do(["send", BOSS, TASK])
        mail = self._audience.until(lambda: self._audience.mail(OPERATOR, BOSS), what="the message is on disk")
        self._steps.expect(mail.body == TASK, "the message says something else")
        self._steps.check(f"message {mail.number} is on disk")

    def _watch_manager(self) -> None:
        self._steps.begin("The manager reads it, and passes it on")
        self._screen.command(["hyperhive", "events", BOSS, "-f"])
        mail = self._audience.until(lambda: self._audience.mail(BOSS, ADA), what=f"{BOSS} writes to {ADA}")
        if not self._live:
            self._steps.expect(self._audience.results(BOSS, script.AGENTS), f"{BOSS} did not ask who is there")
        self._steps.check(f"message {mail.number}, {BOSS} to {ADA}")

    def _watch_worker(self) -> None:
        self._steps.begin("The worker does it, and reports")
        self._screen.command(["hyperhive", "events", ADA, "-f"])
        mail = self._audience.until(lambda: self._audience.mail(ADA, BOSS), what=f"{ADA} reports to {BOSS}")
        self._steps.check(f"message {mail.number}, {ADA} to {BOSS}")

    def _receive_answer(self) -> None:
        self._steps.begin("The answer lands in your inbox")
        mail = self._audience.until(
            lambda: self._audience.mail(BOSS, OPERATOR, saying=PRINTS), what=f"{BOSS} tells you that it prints {PRINTS!r}"
        )
        self._steps.do(["inbox"])
        self._steps.check(f"message {mail.number}, {BOSS} to you, says {PRINTS!r}")

    def _check_work(self) -> None:
        self._steps.begin("What they say is checked")
        self._audience.until(self._audience.is_quiet, what="both end their turns")
        printed = self._steps.do(["exec", ADA, "--", "python3", FILE]).strip()
        self._steps.expect(printed == PRINTS, f"the program prints {printed!r}")
        self._steps.check("the program is corrected")
        edited = [name for name in (BOSS, ADA) if self._has_changed_file(name)]
        self._steps.expect(ADA in edited, f"{ADA} did not change it")
        self._steps.expect(self._live or BOSS not in edited, f"{BOSS} changed a file itself")
        self._steps.check(f"it was {ADA} who changed it")
        self._check_containers()
        self._steps.do(["read", "--all"])
        mail = messages.flow(self._stage.hive, limit=1000)
        open_ones = [str(one.number) for one in mail if one.state is not MessageState.ACKNOWLEDGED]
        self._steps.expect(not open_ones, f"not acknowledged: message {', '.join(open_ones)}")
        written = sum(one.kind is MessageKind.TEXT for one in mail)
        told = len(mail) - written
        self._steps.check(f"all {written} messages are acknowledged, and {told} notice{'' if told == 1 else 's'} of the hive's")

    def _check_containers(self) -> None:
        """Each agent's own words for where it ran, as the agent program recorded them: no model makes these up."""
        views = {os.readlink("/proc/self/ns/mnt")}
        for name in (BOSS, ADA):
            outputs = (str(result.data.get("text")) for _, result in self._audience.results(name, "Bash"))
            found = next((view[2] for text in outputs if (view := _PLACE.search(text)) and view[1] == name), None)
            self._steps.expect(found is not None, f"{name} did not run `{WHERE}` in a container of its name")
            self._steps.expect(found not in views, f"{name} ran in somebody else's container, or in none")
            views.add(str(found))
        self._steps.check(f"{BOSS} and {ADA} each ran in a container of their own")

    def _count(self) -> None:
        self._steps.begin("What it took")
        listed = turns.listed(self._stage.hive)
        for turn in listed:
            seconds = 0.0 if turn.ended_at is None else (turn.ended_at - turn.started_at).total_seconds()
            tokens = turn.input_tokens + turn.cache_read_tokens + turn.cache_write_tokens + turn.output_tokens
            how = f"{turn.outcome or 'open'}  {seconds:.1f} s  ${turn.cost_usd:.2f}  {tokens} tokens"
            self._screen.output(f"turn {turn.number:<2}  {turn.agent:<4}  {how}")
        bad = [str(turn.number) for turn in listed if turn.outcome is not Outcome.OK]
        self._steps.expect(self._live or not bad, f"these turns did not end well: {', '.join(bad)}")
        total = sum(turn.cost_usd for turn in listed)
        note = "" if self._live else " at the list price of the real model; nothing was paid"
        self._steps.check(f"{len(listed)} turns, ${total:.2f}{note}")
        self._screen.say("`hyperhive turns` and `hyperhive cost` show this at any time.", indent=4)

    def _end_hive(self) -> None:
        self._steps.begin("The hive ends")
        self._screen.say("As Ctrl-C does in the terminal of `hyperhive up`.", indent=4)
        killed = self._stage.end()
        self._steps.expect(not killed, f"{killed} processes did not end by themselves")
        self._steps.check("nothing of it runs any more")
        self._screen.say(f"{self._stage.home} {'stays' if self._keep else 'is removed'}.", indent=4)

    def _say_how_to_go_on(self) -> None:
        self._screen.gap()
        self._screen.say("With a real model, in one terminal:")
        found = shutil.which("hyperhive")
        if found is None:
            folder = Path(sys.executable).parent
            self._screen.command([], shown=f"export PATH={shlex.quote(str(folder))}:$PATH", indent=2)
        self._screen.command(["hyperhive", "up"], indent=2)
        self._screen.say("and in another:")
        self._screen.command([], shown="hyperhive spawn ada && hyperhive login ada", indent=2)
        self._screen.command([], shown='hyperhive send ada "Write a haiku into haiku.txt"', indent=2)

    # ---- what the steps are made of ----

    def _made(self, name: AgentName, flavor: Flavor) -> Agent | None:
        agent = roster.get(self._stage.hive, name)
        return agent if agent.flavor is flavor and self._stage.hive.paths.agent_socket(name).exists() else None

    def _has_changed_file(self, name: AgentName) -> bool:
        """The agent used a tool that changes files on the file; a real model may have taken the shell."""
        calls = [
            call.data.get("input")
            for tool in ("Edit", "Write", *(("Bash",) if self._live else ()))
            for call, _ in self._audience.results(name, tool)
        ]
        return any(Path(FILE).name in str(given) for given in calls)

    def _log_in(self, name: AgentName) -> None:
        variable = token_variable()
        if variable is not None:
            self._screen.command([], shown=f'echo "${variable}" | hyperhive login {name} --token')
            self._screen.output(self._stage.run(["login", name, "--token"], stdin=os.environ[variable]).rstrip())
        else:
            self._screen.command(["hyperhive", "login", name])
            self._stage.attach(["login", name])
        self._steps.expect(roster.get(self._stage.hive, name).logged_in, f"{name} is not logged in")
        self._steps.check(f"{name} is logged in")


def token_variable() -> str | None:
    """The variable that holds the operator's own login, if there is one."""
    return next((name for name in ("ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN") if os.environ.get(name)), None)
