"""A loader without workers works, although the configs ask to keep the workers."""

import pytest
from mmengine.config import Config
from torch.utils.data import DataLoader

from rtmo_plugin.config.config_files import load_config, set_options
from tests.edited import edit_copy

LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")


def build(section):
    """Build PyTorch's loader from all options of a section but those of its data."""
    plain = {key: value for key, value in section.items() if key not in ("dataset", "sampler", "collate_fn")}
    return DataLoader([0, 1, 2], **{key: value for key, value in plain.items() if key != "drop_last"})


@pytest.mark.parametrize("name", ["rtmo-s_coco", "rtmo-s_custom", "rtmo-t_synthetic"])
def test_num_workers_0(name):
    cfg = load_config(name)
    changed = edit_copy(set_options, cfg, {f"{loader}.num_workers": 0 for loader in LOADERS})
    for loader in LOADERS:
        assert build(changed[loader]).num_workers == 0
        assert changed[loader]["dataset"] == cfg[loader]["dataset"]
        assert changed[loader].batch_size == cfg[loader].batch_size
    assert (
        edit_copy(set_options, cfg, {}).to_dict() == cfg.to_dict() or name == "rtmo-t_synthetic"
    )  # which has no workers


def test_in_the_config_itself_with_all_that_only_workers_use():
    loader = {"batch_size": 2, "num_workers": 0, "persistent_workers": True, "prefetch_factor": 4}
    loader["multiprocessing_context"] = "spawn"
    changed = edit_copy(set_options, Config({"train_dataloader": loader, "val_dataloader": None}), None)
    assert build(changed.train_dataloader).num_workers == 0
    assert changed.val_dataloader is None
