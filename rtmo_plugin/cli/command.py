"""Commands, and how they run as ``rtmo NAME`` or ``python tools/NAME.py``."""

from __future__ import annotations

import argparse
import atexit
import gc
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

from rtmo_plugin.errors import EXIT_USER_ERROR, InterruptedRun, explain_missing_packages, report_user_errors
from rtmo_plugin.option_names import find_near_name


class _CommandParser(argparse.ArgumentParser):
    """A parser that refuses wrong arguments in one sentence; also used for commands within a command."""

    def error(self, message: str) -> NoReturn:
        """Print a sentence, with the option that was probably meant, and exit; the usage is for ``--help``."""
        prefix, _, given = message.partition("unrecognized arguments: ")
        if not prefix and given.startswith("--"):
            known = {option[2:].replace("-", "_"): option for option in self._option_string_actions}
            near = find_near_name(given.split()[0].partition("=")[0][2:].replace("-", "_"), list(known))
            message += f": did you mean {known[near]}?" if near else ""
        self.exit(EXIT_USER_ERROR, f"{self.prog}: error: {message} (see {self.prog} --help)\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if value == "":
            raise argparse.ArgumentError(action, "the value is empty")
        super()._check_value(action, value)


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Adds the default to the help text of each option that has one, and keeps the line breaks of examples."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text, value = action.help or "", action.default
        has_default = action.option_strings and action.nargs != 0 and value not in (None, (), argparse.SUPPRESS)
        if not has_default or "default: " in text:
            return text
        return f"{text} (default: {' '.join(map(str, value)) if isinstance(value, tuple) else '%(default)s'})"


@dataclass(frozen=True)
class Command:
    """A command.

    Attributes:
        summary: Purpose of the command, for the list of commands.
        examples: Lines for a shell; ``{command}`` stands for the command as it was called.
        add_arguments: Function that adds the arguments of the command to a parser.
        run: Function that takes the arguments by name and returns the exit code; None is 0.
        notes: Text of ``--help`` after the examples.
        list_resuming_arguments: Function that turns the arguments of an interrupted run into those that resume it.
    """

    summary: str
    examples: Sequence[str]
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[..., int | None]
    notes: str = ""
    list_resuming_arguments: Callable[[Sequence[str]], list[str]] | None = None

    def make_parser(self, called: str) -> argparse.ArgumentParser:
        """Return the parser of a command.

        Args:
            called: Command as it was called, such as ``rtmo train``, for examples and messages.
        """
        lines = [f"  {example.format(command=called)}" for example in self.examples]
        title = "examples:" if len(lines) > 1 else "example:"
        parser = _CommandParser(
            prog=called,
            description=f"{self.summary[0].upper()}{self.summary[1:]}.",
            epilog="\n".join([title, *lines, *(["", self.notes] if self.notes else [])]),
            formatter_class=HelpFormatter,
        )
        self.add_arguments(parser)
        return parser


def add_subcommand(
    commands: Any, name: str, summary: str, example: str, description: str | None = None
) -> argparse.ArgumentParser:
    """Add a command within a command.

    Args:
        commands: Result of ``add_subparsers``.
        name: Name of the new command.
        summary: Purpose of the command, for the list of commands.
        example: Arguments of an example.
        description: Purpose of the command, for its own help. Default: the summary.

    Returns:
        The parser of the new command.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=description or f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"example:\n  %(prog)s {example}",
        formatter_class=HelpFormatter,
    )
    return parser


@contextmanager
def raise_when_terminated() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise ``SystemExit`` with a shell's exit code, so that files are closed properly."""

    def leave(number: int, _: Any) -> None:
        raise SystemExit(128 + number)

    is_main = threading.current_thread() is threading.main_thread()  # other threads cannot set handlers
    names = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if is_main and hasattr(signal, name)]
    before = {name: signal.getsignal(name) for name in names}
    caught = [name for name in names if before[name] is signal.SIG_DFL]  # nohup ignores SIGHUP
    for name in caught:
        signal.signal(name, leave)
    try:
        yield
    finally:
        for name in caught:
            signal.signal(name, before[name])


def run_tool(command: Command, tool: str) -> None:
    """Run a command for ``python tools/TOOL.py``, and exit with its exit code."""
    run_command(command, f"python tools/{tool}.py")


def run_command(command: Command, called: str, arguments: Sequence[str] | None = None) -> None:
    """Read the arguments and run a command.

    Args:
        command: The command.
        called: Command as it was called, for examples and messages.
        arguments: Command-line arguments. Default: those of this process.

    Raises:
        SystemExit: With the exit code, unless it is 0.
    """
    atexit.register(gc.freeze)  # else the exit searches all that was imported for garbage: with OpenMMLab, for 2 s
    with report_user_errors(), explain_missing_packages():
        try:
            values = vars(command.make_parser(called).parse_args(arguments))
            if "local_rank" in values:  # launchers pass an argument, and MMEngine reads a variable
                os.environ.setdefault("LOCAL_RANK", str(values.pop("local_rank")))
            code = command.run(**values)
        except InterruptedRun as error:
            if command.list_resuming_arguments is None:
                raise
            resuming = command.list_resuming_arguments(sys.argv[1:] if arguments is None else arguments)
            is_launched = any(argument.startswith("--launcher") for argument in resuming)
            again = "start the processes again with the arguments" if is_launched else called
            raise InterruptedRun(f"{error}\nto go on: {again} {shlex.join(resuming)}", error.signal_number) from None
    if code:
        raise SystemExit(code)
