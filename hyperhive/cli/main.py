"""The command `hyperhive`: finds the sub-command, and turns every way to fail into two lines with an exit code."""

import gc
import io
import os
import select
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final, NoReturn

import click
from click.exceptions import NoArgsIsHelpError, NoSuchCommand, NoSuchOption

from hyperhive import __version__
from hyperhive.cli.commands import COMMANDS, SECTIONS
from hyperhive.core.errors import HyperhiveError
from hyperhive.core.overrides import override

# What a shell says of a program that Ctrl-C, or a closed pipe, ended.
INTERRUPTED: Final = 130
PIPE_CLOSED: Final = 141


class LazyGroup(click.Group):
    """Imports a sub-command when it is called, or asked for its help, and not before."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.place.partition(":")
        # What is imported stays: the collector need not look at it, neither while it comes nor when the process ends.
        gc.disable()
        command: click.Command = getattr(import_module(f"hyperhive.cli.{module}"), attribute)
        gc.freeze()
        gc.enable()
        return command

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, entry.help) for name, entry in commands.items()], col_max=12)

    @override
    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Run, and leave the process with the exit code that says how it went."""
        try:
            ended = super().main(args, prog_name or "hyperhive", complete_var, standalone_mode=False, **extra)
            sys.stdout.flush()
            code = ended if isinstance(ended, int) else 0
        except Exception as error:
            code = _explain(error)
        except KeyboardInterrupt:
            code = INTERRUPTED
        except SystemExit:
            # So click leaves when nobody reads the help; an exit that a command asked for stays as it is.
            if not _nobody_reads():
                raise
            code = PIPE_CLOSED
        _let_go_of_output()
        sys.exit(code)

    @override
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            # click would leave quietly for any closed pipe; only a closed standard output is nobody's fault.
            raise _Pipe from error
        except click.UsageError as error:
            if error.ctx is None and ctx.invoked_subcommand:
                # What is wrong with an option is found before its command has a context.
                found = self.get_command(ctx, ctx.invoked_subcommand)
                error.ctx = click.Context(found, ctx, ctx.invoked_subcommand) if found else None
            raise


class _Pipe(Exception):
    """Something was written to a pipe that nobody reads."""


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    options_metavar="[--help] [--version]",
    subcommand_metavar="COMMAND …",
)
@click.version_option(__version__, prog_name="hyperhive", message="%(prog)s %(version)s")
def hyperhive() -> None:
    """Run a swarm of AI coding agents, each in a container of its own.

    Begin with `hyperhive up` in one terminal, and `hyperhive spawn NAME` in another.
    """


def main() -> NoReturn:
    """The entry point."""
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A character that the terminal's encoding lacks becomes a question mark, not an error.
            stream.reconfigure(errors="replace")
    hyperhive.main()


def _open_what_is_closed() -> None:
    """Give a closed standard descriptor to nobody: else the next file that is opened, the database, would get its number."""
    for fd, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(fd)
        except OSError:
            # The lowest free number is taken.
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(fd, mode, closefd=False))


def _explain(error: Exception) -> int:
    """Say on standard error what went wrong. Gives back the exit code."""
    from hyperhive.cli import complaints

    match error:
        case HyperhiveError():
            if error.exit_code == HyperhiveError.exit_code:
                return complaints.bug(error)
            complaints.say(error)
            return error.exit_code
        case NoArgsIsHelpError(ctx=ctx):
            print(ctx.get_help(), file=sys.stderr)
            return error.exit_code
        case click.Abort():
            return INTERRUPTED
        case NoSuchCommand() | NoSuchOption():
            known = list(COMMANDS) if isinstance(error, NoSuchCommand) else error.possibilities or []
            wanted = error.command_name if isinstance(error, NoSuchCommand) else error.option_name
            complaints.usage(error, near=complaints.nearest(wanted, known))
            return error.exit_code
        case click.ClickException():
            complaints.usage(error, near=None)
            return 2
        case _Pipe() | BrokenPipeError() if _nobody_reads():
            return PIPE_CLOSED
        case _:
            return complaints.bug(error)


def _let_go_of_output() -> None:
    """What could not be written must not be tried again, with a traceback, when the interpreter ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _nobody_reads() -> bool:
    """The reader of standard output has gone."""
    poll = select.poll()
    poll.register(1, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
