"""The command ``rtmo``: finds and runs the named command."""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module

from rtmo_plugin import __version__
from rtmo_plugin.cli.command import Command, run_command
from rtmo_plugin.errors import EXIT_FAILURE, EXIT_USER_ERROR

# In the order of first use; each name has the module beside this file whose COMMAND it is.
COMMANDS = {
    "predict": "predict",
    "track": "track",
    "serve": "serve",
    "export": "export",
    "publish": "publish",
    "eval": "evaluate",
    "train": "train",
    "tune": "tune",
    "benchmark": "benchmark",
    "zoo": "zoo",
    "info": "info",
    "analyze": "analyze",
    "dataset": "dataset",
}
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the disk, the quota or the largest file is full
_EXAMPLE = """example, with a published model that is downloaded the first time (40 MB):
  rtmo predict rtmo-s_body7-onnx photo.jpg --out found/"""
_NOTES = """`rtmo COMMAND --help` shows the options of a command, with examples.

exit codes: 0 done; 1 part of the work failed; 2 the input is wrong, and one sentence says what; 130 interrupted"""


def find_command(name: str) -> Command:
    """Return a command by name."""
    command: Command = import_module(f"rtmo_plugin.cli.{COMMANDS[name]}").COMMAND
    return command


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line ``rtmo COMMAND ...``.

    Args:
        arguments: Command-line arguments. Default: those of this process.

    Raises:
        SystemExit: With the exit code, unless it is 0.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the shell (``>&-``)
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  (for the whole run)
    given = _make_parser().parse_args((sys.argv[1:] if arguments is None else arguments) or ["--help"])
    if given.command not in COMMANDS:
        near = get_close_matches(given.command, COMMANDS, 1)
        hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(COMMANDS)}."
        print(f"error: The command {given.command!r} is unknown: {hint}", file=sys.stderr)
        raise SystemExit(EXIT_USER_ERROR)
    called = f"rtmo {given.command}"
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # the terminal's encoding may not have all characters of file names
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            run_command(find_command(given.command), called, given.arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # the reader of the output is gone, as with `head`
        _drop_output()
        raise SystemExit(EXIT_FAILURE) from None
    except OSError as error:
        if error.errno not in _FULL:
            raise
        _drop_output()
        print(
            f"error: {error.filename or 'The output'} cannot be written any further: {error.strerror}.", file=sys.stderr
        )
        raise SystemExit(EXIT_USER_ERROR) from None


def _drop_output() -> None:
    """Discard pending output, so that nothing fails at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _make_parser() -> argparse.ArgumentParser:
    lines = [f"  {name:<10} {find_command(name).summary}" for name in COMMANDS]
    parser = argparse.ArgumentParser(
        prog="rtmo",
        usage="rtmo COMMAND ...",
        description="RTMO: find people and their keypoints in images and videos, in real time.",
        epilog="\n".join([_EXAMPLE, "", "commands:", *lines, "", _NOTES]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"rtmo_plugin {__version__}")
    parser.add_argument("command", metavar="COMMAND", help=argparse.SUPPRESS)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser
