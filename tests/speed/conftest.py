"""A tiny model on a tiny COCO folder."""

from tests.tiny_runs import _leave_configs_unformatted, config, data_root, trained  # noqa: F401  (fixtures)
