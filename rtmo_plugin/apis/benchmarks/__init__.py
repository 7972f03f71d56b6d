"""What ``tools/benchmark.py`` can measure: one file a subject."""

from rtmo_plugin.apis.benchmarks.evaluation import EVALUATION
from rtmo_plugin.apis.benchmarks.subject import Subject

SUBJECTS: dict[str, Subject] = {"eval": EVALUATION}

__all__ = ["SUBJECTS", "Subject"]
