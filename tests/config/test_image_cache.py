"""One option gives all loaders of a training pipeline their memory."""

import pytest

from rtmo_plugin.config.cache_memory import set_image_cache
from rtmo_plugin.config.config_files import load_config
from rtmo_plugin.errors import ConfigError
from tests.conftest import ROOT
from tests.edited import edit_copy


def test_all_training_loaders_share_it():
    cfg = load_config(ROOT / "configs/rtmo-s_coco.py")
    changed = edit_copy(set_image_cache, cfg, 0.5)
    steps = changed.train_dataloader.dataset.pipeline
    loaders = [steps[0], steps[1].pre_transform[0], steps[3].pre_transform[0]]
    assert [loader.cache_bytes for loader in loaders] == [500_000_000] * 3
    assert "cache_bytes" not in cfg.train_dataloader.dataset.pipeline[0]


def test_a_pipeline_without_our_loader_is_refused():
    with pytest.raises(ConfigError, match=r"no transform of the training pipeline is a rtmo_plugin\.LoadImage"):
        edit_copy(set_image_cache, load_config(ROOT / "configs/rtmo-t_synthetic.py"), 1)
