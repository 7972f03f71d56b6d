"""The tiny model and the tiny COCO folder of the tests of training."""

from tests.tiny_runs import _leave_configs_unformatted, config, data_root  # noqa: F401  (fixtures)
