"""What ``tools/benchmark.py`` can measure: one file a subject."""

from rtmo_plugin.apis.benchmarks.data import DATA
from rtmo_plugin.apis.benchmarks.evaluation import EVALUATION
from rtmo_plugin.apis.benchmarks.inference import INFERENCE
from rtmo_plugin.apis.benchmarks.subject import Subject
from rtmo_plugin.apis.benchmarks.training_step import TRAINING_STEP

SUBJECTS: dict[str, Subject] = {"eval": EVALUATION, "data": DATA, "train": TRAINING_STEP, "infer": INFERENCE}

__all__ = ["SUBJECTS", "Subject"]
