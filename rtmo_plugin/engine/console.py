"""Output of a run: MMEngine's log in full to its file, and the useful part to the terminal."""

from __future__ import annotations

import io
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, redirect_stdout
from typing import Any, TextIO

from mmengine.dist import is_main_process
from mmengine.logging import MMLogger
from tqdm import tqdm

from rtmo_plugin.engine.hooks.progress import is_bar_shown
from rtmo_plugin.silence import drop_stderr

_USEFUL = (
    "Epoch(",
    "Iter(",
    "Training stage",
    "Saving checkpoint",
    "The best checkpoint",
    "Expected time",
    "resumed epoch",
    "Load checkpoint",
    "the monitored metric did not improve",  # why a run stops early
    "Stopping threshold reached",
    "Monitored metric",
)
_SHOWN_BY_BAR = ("Epoch(train)", "Iter(train)", "Saving checkpoint")
SHOWN_BY_TABLE = ("Load checkpoint", "Epoch(test)")
# Warnings about how MMEngine and MMPose are made, not about what the user does.
_NOISE = (
    "is the alias of",
    '"FileClient" will be deprecated',
    "The prefix is not set in metric class",
    "Gradient accumulative may slightly decrease",  # at each epoch; docs/training.md tells it
    "Resumed iteration number is not divisible",  # AccumulationHook starts again with each epoch
)
_PRINTED_NOISE = (
    "Loads checkpoint by",
    "loading annotations into memory",
    "Loading and preparing results",
    "creating index",
    "index created",
    "Done (t=",
    "DONE (t=",
    "Running per image evaluation",
    "Evaluate annotation type",
    "Accumulating evaluation results",
    " Average Precision ",  # the same numbers stand in the log, with names
    " Average Recall ",
)
_LIBRARY_WARNINGS = (
    "pkg_resources is deprecated",
    "The shape of value will convert",
    "The metainfo config file",  # MMPose finds its own file instead, and says so
    "'pin_memory' argument is set",
    r"`torch\.cuda\.amp\.autocast\(args",
    r"torch\.meshgrid: in an upcoming release",
    r"Detected call of `scheduler\.step\(\)` before",  # with accumulated gradients
    r"Setting (OMP|MKL)_NUM_THREADS environment variable",
    "`broadcast_buffers` is deprecated",
    "Grad strides do not match bucket view strides",  # a 1 x 1 kernel has the same bytes in both orders
)


class _UsefulOnly(logging.Filter):
    """Let warnings and the progress of a run pass, and keep environment reports in the file."""

    def __init__(self, has_bar: bool) -> None:
        super().__init__()
        self._has_bar = has_bar

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if record.levelno >= logging.WARNING:
            return not any(noise in message for noise in _NOISE)
        is_on_bar = self._has_bar and message.startswith(_SHOWN_BY_BAR)
        return message.startswith(_USEFUL) and not is_on_bar


class _Sentences(logging.Formatter):
    """Formats a record as its message; time, name and level are in the log file."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        return f"warning: {message}" if record.levelno >= logging.WARNING else message


class _AboveBar:
    """A stream that prints above the progress bars instead of through them."""

    def write(self, text: str) -> None:
        tqdm.write(text, file=sys.stdout, end="")

    def flush(self) -> None:
        sys.stdout.flush()


def quieten(logger: MMLogger) -> None:
    """Make ``logger`` print only what is useful on the terminal; its file is not affected."""
    for handler in logger.handlers:
        if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
            handler.addFilter(_UsefulOnly(is_bar_shown()))
            handler.setStream(_AboveBar())
            handler.setFormatter(_Sentences())


class _WithoutLines:
    """A stream that leaves out whole lines with a known beginning, and passes the rest on."""

    def __init__(self, stream: TextIO, left_out: tuple[str, ...]) -> None:
        self._stream, self._left_out, self._pending = stream, left_out, ""

    def write(self, text: str) -> int:
        *lines, self._pending = (self._pending + text).split("\n")
        for line in lines:
            if not line.startswith(self._left_out):
                self._stream.write(line + "\n")
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def close_line(self) -> None:
        """Pass on what came without a newline at its end."""
        self._stream.write(self._pending)
        self._pending = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def suppress_library_noise(*left_out: str) -> Iterator[None]:
    """Drop what libraries print and warn about themselves; everything else passes.

    Args:
        *left_out: Beginnings of more lines to drop, such as those that a table repeats (``SHOWN_BY_TABLE``).
    """
    stream = _WithoutLines(sys.stdout, (*_PRINTED_NOISE, *left_out))
    with redirect_stdout(stream), warnings.catch_warnings():
        for pattern in _LIBRARY_WARNINGS:
            warnings.filterwarnings("ignore", message=pattern)
        try:
            yield
        finally:
            stream.close_line()


def print_once(result: object) -> None:
    """Print the result of a run, in the first of its processes."""
    if is_main_process():
        print(f"\n{result}")


@contextmanager
def suppress_output(*loggers: str) -> Iterator[None]:
    """Keep a library from printing its progress, advice and warnings, while the context is open; errors are raised.

    What it prints below Python is dropped if it goes to stderr.

    Args:
        *loggers: Names of the library's loggers that have a level of their own.
    """
    with (
        ExitStack() as stack,
        drop_stderr(),
        warnings.catch_warnings(),
        redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        for name in ("", *loggers):
            stack.enter_context(raise_log_level(logging.getLogger(name), logging.ERROR))
        yield


@contextmanager
def raise_log_level(logger: logging.Logger, level: int) -> Iterator[None]:
    """Log only messages of a level and above, such as ``logging.WARNING``, while the context is open."""
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)


def suppress_initialization_log() -> AbstractContextManager[None]:
    """Keep MMEngine from printing how it initialized each parameter, while the context is open."""
    return raise_log_level(MMLogger.get_current_instance(), logging.WARNING)
