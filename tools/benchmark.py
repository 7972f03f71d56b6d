"""Measure speed: python tools/benchmark.py eval --out eval.json."""

import argparse

from rtmo_plugin.apis.benchmarks import SUBJECTS
from rtmo_plugin.errors import report_user_errors


def main() -> None:
    """Read the arguments, measure one subject, and print and write its report."""
    parser = argparse.ArgumentParser(description="Measure speed, beside another implementation where there is one.")
    parsers = parser.add_subparsers(dest="subject", required=True, metavar="SUBJECT")
    for name, subject in SUBJECTS.items():
        own = parsers.add_parser(name, help=subject.summary, description=f"Measure the {subject.summary}.")
        subject.add_arguments(own)
        own.add_argument("--out", metavar="FILE", help="write everything to FILE as JSON")
    with report_user_errors():
        arguments = vars(parser.parse_args())
        subject, out = SUBJECTS[arguments.pop("subject")], arguments.pop("out")
        report = subject.run(**arguments)
        print(f"\n{report.format()}")
        if out:
            report.write(out)


if __name__ == "__main__":
    main()
