"""What ``rtmo benchmark`` can measure: one file a subject, whose ``run`` measures it and returns a report."""

from collections.abc import Callable

from benchmarks import data, evaluation, inference, learning, training_step
from benchmarks.report import Report

# By name; the arguments of each are those of the command, which has to know them without importing torch.
SUBJECTS: dict[str, Callable[..., Report]] = {
    "eval": evaluation.run,
    "data": data.run,
    "train": training_step.run,
    "learning": learning.run,
    "infer": inference.run,
}

__all__ = ["SUBJECTS"]
