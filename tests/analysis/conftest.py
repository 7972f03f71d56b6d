"""A tiny model on a tiny COCO folder, and annotations of COCO and CrowdPose."""

from tests.evaluation.conftest import read_truth, small_truth  # noqa: F401  (fixtures)
