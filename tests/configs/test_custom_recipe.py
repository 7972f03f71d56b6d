"""The recipe for a hundred to five thousand images: what differs from COCO's, and from how many steps on it holds."""

import math

import pytest

from rtmo_plugin.config.config_files import load_config
from rtmo_plugin.config.edits import prepare_config

BATCH = 16
# images, and epochs of the table in docs/custom-data.md
EPOCHS = {100: 600, 300: 300, 1000: 100, 5000: 60}


def find(cfg, kind):
    return next(hook for hook in cfg.custom_hooks if hook["type"] == kind)


@pytest.mark.parametrize(("images", "epochs"), EPOCHS.items())
def test_the_average_and_the_warmup_fit_the_run(images, epochs):
    cfg = prepare_config_of(epochs)
    steps = epochs * math.ceil(images / BATCH)
    assert 4000 < steps < 20_000
    warmup = cfg.param_scheduler[0]
    assert warmup.end / epochs == pytest.approx(0.05, rel=0.05)
    ema = find(cfg, "EMAHook")
    momentum = (1 - ema.momentum) * math.exp(-(1 + steps / 2) / ema.gamma) + ema.momentum
    assert 0.02 < 1 / momentum / steps < 0.12  # length of the average at half of the run


def prepare_config_of(epochs):
    """Return the recipe at another number of epochs, without its data."""
    cfg = load_config("rtmo-s_custom")
    cfg.model.head.keypoints = "coco"
    return prepare_config(cfg, epochs=epochs)


def test_the_last_tenth_has_single_images_that_move():
    cfg = load_config("rtmo-s_custom")
    stage = cfg.default_hooks.training_stages.schedule.finish
    kinds = [step["type"].rpartition(".")[2] for step in stage.pipeline]
    assert (stage.begin, cfg.train_cfg.max_epochs) == (90, 100)
    assert not {"Mosaic", "YOLOXMixUp"} & set(kinds)
    affine = stage.pipeline[kinds.index("BottomupRandomAffine")]
    assert [affine[f"{name}_prob"] for name in ("shift", "rotate", "scale")] == [1.0, 1.0, 1.0]


def test_the_official_recipes_keep_theirs():
    for name in ("rtmo-s_coco", "rtmo-s_ap10k"):
        cfg = load_config(name)
        ema = find(cfg, "EMAHook")
        assert (ema.momentum, ema.gamma) == (2e-4, 2000)
        assert cfg.default_hooks.training_stages.schedule.finish.pipeline[1].shift_prob == 0.0
