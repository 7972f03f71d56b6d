"""``rtmo benchmark``: measure speed."""

from __future__ import annotations

import argparse
from typing import Any

from rtmo_plugin.cli.command import Command

_EXAMPLES = (
    "{command} infer --images photos/ --rounds 6",
    "{command} eval --out eval.json",
)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    from rtmo_plugin.apis.benchmarks import SUBJECTS

    parsers = parser.add_subparsers(dest="subject", required=True, metavar="SUBJECT")
    for name, subject in SUBJECTS.items():
        own = parsers.add_parser(name, help=subject.summary, description=f"Measure the {subject.summary}.")
        subject.add_arguments(own)
        own.add_argument("--out", metavar="FILE", help="write everything to FILE as JSON")


def _run(*, subject: str, out: str | None, **arguments: Any) -> None:
    from rtmo_plugin.apis.benchmarks import SUBJECTS

    report = SUBJECTS[subject].run(**arguments)
    print(f"\n{report.format()}")
    if out:
        report.write(out)


COMMAND = Command("measure speed, beside another implementation where there is one", _EXAMPLES, _add_arguments, _run)
