"""``--augment``: optional transforms after the affine of the training pipeline."""

import pytest

from rtmo_plugin.config.augmentation import add_augmentations
from rtmo_plugin.config.cache_memory import set_image_cache
from rtmo_plugin.config.config_files import load_config
from rtmo_plugin.errors import ConfigError
from tests.conftest import run_command


def list_kinds(cfg):
    return [step["type"] for step in cfg.train_dataloader.dataset.pipeline]


@pytest.mark.parametrize("name", ["rtmo-s_coco", "rtmo-s_custom", "rtmo-l_body7", "rtmo-t_custom", "rtmo-t_synthetic"])
def test_they_follow_the_affine_and_load_images_as_the_pipeline_does(name):
    cfg = load_config(name)
    before = list_kinds(cfg)
    add_augmentations(cfg, "occlusion,copy-paste")
    kinds, pipeline = list_kinds(cfg), cfg.train_dataloader.dataset.pipeline
    place = next(index for index, kind in enumerate(kinds) if kind.endswith("BottomupRandomAffine"))
    assert kinds[place + 1 : place + 3] == ["rtmo_plugin.CopyPaste", "rtmo_plugin.OccludePeople"]
    assert kinds[: place + 1] + kinds[place + 3 :] == before
    assert pipeline[place + 1]["pre_transform"] == [pipeline[0]]
    assert set(pipeline[place + 2]) == {"type"}


def test_the_last_stage_keeps_its_transforms():
    cfg = load_config("rtmo-s_custom")
    before = cfg.default_hooks.training_stages.to_dict()
    add_augmentations(cfg, ["copy-paste"])
    assert cfg.default_hooks.training_stages.to_dict() == before
    assert list_kinds(load_config("rtmo-s_custom")).count("rtmo_plugin.CopyPaste") == 0


def test_both_loaders_use_the_cache():
    cfg = load_config("rtmo-t_custom")
    add_augmentations(cfg, "copy-paste")
    set_image_cache(cfg, 0.5)
    steps = cfg.train_dataloader.dataset.pipeline
    assert [steps[0]["cache_bytes"], steps[2]["pre_transform"][0]["cache_bytes"]] == [500_000_000] * 2


def test_a_transform_of_the_config_stays_as_it_is():
    cfg = load_config("rtmo-t_custom")
    own = {"type": "rtmo_plugin.OccludePeople", "prob": 0.1}
    pipeline = list(cfg.train_dataloader.dataset.pipeline)
    cfg.train_dataloader.dataset.pipeline = [*pipeline[:2], own, *pipeline[2:]]
    add_augmentations(cfg, "occlusion,copy-paste")
    assert [step.get("prob") for step in cfg.train_dataloader.dataset.pipeline if "Occlude" in step["type"]] == [0.1]
    add_augmentations(cfg, None)
    assert list_kinds(cfg).count("rtmo_plugin.CopyPaste") == 1


@pytest.mark.parametrize("names", ["mosaic", "", "copy-paste,", []])
def test_unknown_names_are_refused(names):
    with pytest.raises(ConfigError, match=r"is unknown: choose among copy-paste, occlusion"):
        add_augmentations(load_config("rtmo-t_custom"), names)


def test_a_pipeline_without_an_affine_is_refused():
    cfg = load_config("rtmo-t_custom")
    cfg.train_dataloader.dataset.pipeline = [cfg.train_dataloader.dataset.pipeline[0]]
    with pytest.raises(
        ConfigError, match="adds transforms after BottomupRandomAffine, and the training pipeline has none"
    ):
        add_augmentations(cfg, "occlusion")


def test_the_command_says_so_in_one_sentence(capsys):
    code, _, err = run_command(capsys, "train", "rtmo-t_synthetic", "--augment", "paste")
    assert (code, err.strip()) == (2, "error: --augment 'paste' is unknown: choose among copy-paste, occlusion.")
