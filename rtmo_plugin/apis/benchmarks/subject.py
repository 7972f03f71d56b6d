"""What a subject of the benchmark is: its arguments, and a function from them to a report."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from rtmo_plugin.apis.benchmarks.report import Report


@dataclass(frozen=True)
class Subject:
    """One thing to measure.

    Attributes:
        summary: One line for ``--help``.
        add_arguments: Adds the subject's own arguments to its parser.
        run: Takes them by name, measures, and returns a report.
    """

    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[..., Report]
