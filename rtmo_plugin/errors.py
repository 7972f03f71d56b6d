"""Errors that users can correct: each message is one sentence that says how.

Programs can catch them as ``ValueError``, ``KeyError`` or ``FileNotFoundError``. The commands catch their base class,
print the sentence and exit with code 2, without a traceback.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EXIT_FAILURE = 1
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells do
TRACEBACK_VARIABLE = "RTMO_TRACEBACK"
# What constructors raise on values that they refuse.
_BUILD_ERRORS = (KeyError, ValueError, TypeError, AssertionError, OSError, ImportError)
_SHOWN = 60  # number of characters shown of a name that is too long


class UserError(Exception):
    """Something in the input is wrong; the message says what, where and what to do.

    Attributes:
        exit_code: Exit code of a command that this error ends.
    """

    exit_code = EXIT_USER_ERROR

    def __str__(self) -> str:
        # KeyError would print the repr of its argument: quotes around the whole sentence.
        return " ".join(str(part) for part in self.args)


class MissingFileError(UserError, FileNotFoundError):
    """A file or folder does not exist."""


class ConfigError(UserError, ValueError):
    """A config or an option is wrong."""


class UnknownKeyError(UserError, KeyError):
    """An option names a config key that does not exist."""


class UnknownOptionError(ConfigError, TypeError):
    """A class is built with an option that it does not have."""


class CheckpointError(UserError, ValueError):
    """A checkpoint cannot be read, or does not fit the model of the config."""


class DataError(UserError, ValueError):
    """Data exist but cannot be used."""


class ExportError(UserError, ValueError):
    """An exported file does not compute the same as the model; the input is not the cause."""

    exit_code = EXIT_FAILURE


class NonFiniteError(UserError, FloatingPointError):
    """A model computes NaN or infinity, or its weights are not finite: its training diverged."""

    exit_code = EXIT_FAILURE


class OutputError(UserError, OSError):
    """Results cannot be written; files written before are kept."""


class MissingPackageError(UserError, ImportError):
    """A package is missing that exported files do not need."""


class StoppedError(UserError, RuntimeError):
    """A long job cannot continue; finished work is kept, and the job can be started again.

    Args:
        message: Sentence for the user.
        exit_code: Exit code of the error that stopped the job.
    """

    def __init__(self, message: str | None, exit_code: int = EXIT_USER_ERROR) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class InterruptedRun(KeyboardInterrupt):
    """A run was interrupted.

    Args:
        message: Sentence for the user: the progress of the run, and the files that are kept.
        signal_number: Signal that ended the run.
    """

    def __init__(self, message: str, signal_number: int = 2) -> None:
        super().__init__(message)
        self.signal_number = signal_number
        self.exit_code = 128 + signal_number  # as shells do


# Packages that training, testing, exporting and checkpoints need besides those of every installation.
_TRAINING_PACKAGES = (
    "torch", "mmengine", "mmcv", "mmdet", "mmpose", "addict", "faster_coco_eval", "jinja2", "json_tricks",
    "matplotlib", "munkres", "packaging", "pkg_resources", "pycocotools", "setuptools", "shapely", "six",
    "terminaltables", "yapf",
)  # fmt: skip
# --no-deps, because mmpose declares chumpy, which does not build. The extra ``train`` has the other dependencies.
_MMPOSE_LINE = "pip install --no-deps mmpose==1.3.2 mmdet==3.3.0 mmcv-lite==2.1.0"


@contextmanager
def explain_missing_packages() -> Iterator[None]:
    """Turn a failed import of a training package into a sentence with the command that installs it.

    Raises:
        MissingPackageError: An import failed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _TRAINING_PACKAGES:
            raise
        raise MissingPackageError(
            f"This needs {package}, which is not installed: {write_install_line('train')}"
        ) from error


def write_install_line(extra: str) -> str:
    """Return the shell line that installs the packages of ``extra`` into this environment.

    If this package is installed, the line has its name, so that pip only adds what is missing; else the path of its
    source tree, because pip cannot find it by name.
    """
    from importlib import metadata  # slow to import, and only this line needs it

    try:
        package = metadata.distribution("rtmo-plugin").metadata["Name"]
    except metadata.PackageNotFoundError:
        package = str(Path(__file__).resolve().parents[1])
    line = f'pip install "{package}[{extra}]"'
    return f"{line} && {_MMPOSE_LINE}" if extra == "train" else line


@contextmanager
def refuse_config_errors() -> Iterator[None]:
    """Turn what constructors raise on wrong values into a ``ConfigError`` with the same message.

    Raises:
        ConfigError: Instead of the errors by which MMEngine, MMPose and this package refuse values.
    """
    try:
        yield
    except UserError:
        raise
    except _BUILD_ERRORS as error:
        words = str(error.args[0] if isinstance(error, KeyError) and error.args else error) or "no reason given"
        kind = type(error).__name__
        raise ConfigError(
            f"The config cannot be built: {' '.join(words.split())} ({kind}; {TRACEBACK_VARIABLE}=1 shows where)"
        ) from error


@contextmanager
def pass_on_interruptions() -> Iterator[None]:
    """Raise ``KeyboardInterrupt`` if MMEngine turned Ctrl-C into a ``SyntaxError`` while it formatted a config.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    try:
        yield
    except SyntaxError as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise error.__context__ from None
        raise


@contextmanager
def report_user_errors() -> Iterator[None]:
    """Turn a ``UserError`` into its sentence on stderr and exit code 2; other errors pass.

    If the environment variable ``RTMO_TRACEBACK`` is set, the traceback is shown as well.

    Raises:
        SystemExit: With the exit code of the ``UserError``, mostly 2; 1 after a non-finite loss; 130 after Ctrl-C,
            143 after SIGTERM.
    """
    try:
        with pass_on_interruptions():
            yield
    except UserError as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        print(f"error: {escape_control_characters(str(error))}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except FloatingPointError as error:  # a non-finite loss, which no option corrects
        print(f"error: training stopped: {error}", file=sys.stderr)
        raise SystemExit(EXIT_FAILURE) from None
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG or os.environ.get(TRACEBACK_VARIABLE):
            raise
        name = os.fspath(error.filename or "")
        print(f"error: The name {name[:_SHOWN]!r}... is too long for a file.", file=sys.stderr)
        raise SystemExit(EXIT_USER_ERROR) from None
    except InterruptedRun as error:
        print(f"\n{error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        raise SystemExit(EXIT_INTERRUPTED) from None


def escape_control_characters(text: str) -> str:
    r"""Return text with control characters escaped, so that a terminal shows them instead of executing them.

    Examples:
        >>> print(escape_control_characters("red \x1b[31m"))
        red \x1b[31m
    """
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
