"""Loading a model: the weights and names that come with it, and what is refused before it can predict."""

import pytest
import torch

from rtmo_plugin.checkpoints.reading import read_checkpoint
from rtmo_plugin.config.config_files import load_config
from rtmo_plugin.engine.loaded_model import load_model
from rtmo_plugin.errors import CheckpointError, ConfigError, MissingFileError


def test_weights_are_those_of_the_checkpoint(config, trained):
    loaded = load_model(config, trained.checkpoint, device="cpu")
    saved = read_checkpoint(trained.checkpoint)["state_dict"]
    state = loaded.model.state_dict()
    shared = saved.keys() & state.keys()
    assert {name for name in state if name.startswith(("backbone.", "neck."))} <= shared
    assert all(torch.equal(state[name], saved[name]) for name in shared)
    assert not loaded.model.training


def test_names_are_those_of_the_test_data(config, trained):
    loaded = load_model(config, trained.checkpoint, device="cpu")
    assert loaded.metainfo["keypoint_id2name"][0] == "nose"
    assert loaded.classes == ("person",)
    assert loaded.training_ap is None  # the only validation came after the checkpoint was written


def test_checkpoint_alone_brings_its_config(trained):
    loaded = load_model(trained.checkpoint, trained.checkpoint, device="cpu")
    assert loaded.metainfo["num_keypoints"] == 17


def test_config_without_test_data_has_no_metainfo(config, trained):
    cfg = load_config(config)
    cfg.test_dataloader = None
    loaded = load_model(cfg, trained.checkpoint, device="cpu")
    assert loaded.metainfo == {}
    assert loaded.classes == ("person",)


def test_given_config_stays_as_it_is(config, trained):
    cfg = load_config(config)
    load_model(cfg, trained.checkpoint, device="cpu", cfg_options={"model.test_cfg.score_thr": 0.7})
    assert cfg.model.test_cfg.score_thr != 0.7


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"model.head.keypoints": "crowdpose"}, CheckpointError, "with 17 keypoints, config is .* with 14 keypoints"),
        ({"model.head.num_classes": 2}, CheckpointError, r"does not fit the config: head\.head_module\.out_cls"),
        ({"model.head.num_keypoint": 2}, KeyError, "no key 'num_keypoint'"),
    ],
)
def test_other_models_are_refused(config, trained, change, error, words):
    with pytest.raises(error, match=words):
        load_model(config, trained.checkpoint, device="cpu", cfg_options=change)


def test_device_and_files_that_are_missing_are_named(config, trained, tmp_path):
    with pytest.raises(ConfigError, match="--device rocket cannot be used here"):
        load_model(config, trained.checkpoint, device="rocket")
    with pytest.raises(MissingFileError, match=r"The checkpoint file .*none\.pth does not exist"):
        load_model(config, tmp_path / "none.pth")


def test_caller_can_refuse_a_model_before_its_weights_are_compared(config, trained):
    def refuse(model, cfg):
        raise ConfigError(f"not {type(model).__name__}")

    with pytest.raises(ConfigError, match="not BottomupPoseEstimator"):
        load_model(config, trained.checkpoint, check=refuse)
