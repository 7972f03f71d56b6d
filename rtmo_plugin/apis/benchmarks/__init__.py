"""What ``tools/benchmark.py`` can measure: one file a subject."""

from rtmo_plugin.apis.benchmarks.data import DATA
from rtmo_plugin.apis.benchmarks.evaluation import EVALUATION
from rtmo_plugin.apis.benchmarks.inference import INFERENCE
from rtmo_plugin.apis.benchmarks.subject import Subject

SUBJECTS: dict[str, Subject] = {"eval": EVALUATION, "data": DATA, "infer": INFERENCE}

__all__ = ["SUBJECTS", "Subject"]
