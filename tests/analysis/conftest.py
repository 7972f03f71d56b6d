"""A tiny model on a tiny COCO folder, and annotations of COCO and CrowdPose."""

from tests.evaluation.conftest import read_truth, small_truth  # noqa: F401  (fixtures)
from tests.tiny_runs import _leave_configs_unformatted, config, data_root, trained  # noqa: F401  (fixtures)
