"""Every config in configs/: short, complete, and a model that learns and predicts."""

import ast
import re
from pathlib import Path

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.logging import MessageHub
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, MODELS

from tests.configs.recipe_tables import RECIPES
from tests.oracle import load_ours
from tests.tiny import describe_people, shrink

CONFIGS = Path(__file__).parents[2] / "configs"
LEAVES = sorted(path.stem for path in CONFIGS.glob("*.py"))
EXPECTED = {
    *(f"rtmo-{size}_coco" for size in "tsml"),
    *(f"rtmo-{size}_crowdpose" for size in "sml"),
    *(f"rtmo-{size}_body7" for size in "tsml"),
    "rtmo-l_body7-crowdpose",
    "rtmo-t_synthetic",
    "rtmo-t_fit32",
    "rtmo-s_custom",
    "rtmo-t_custom",
    *(f"rtmo-{size}_{data}" for size in "sm" for data in ("wholebody", "halpe", "halpe26", "ochuman", "ap10k")),
}
SHORT = ("rtmo-t_synthetic", "rtmo-t_fit32", "rtmo-t_custom")  # not for many GPUs, but for minutes on a processor
ANIMALS = ("rtmo-s_ap10k", "rtmo-m_ap10k")
CUSTOM = ("rtmo-s_custom", "rtmo-t_custom", *ANIMALS)  # what their keypoints and classes are, the data say
NUM_KEYPOINTS = {"wholebody": 133, "halpe": 136, "halpe26": 26}  # else 17


def load(leaf):
    init_default_scope("mmpose")
    cfg = load_ours(leaf)
    if leaf in CUSTOM:
        known_set = "ap10k" if leaf in ANIMALS else None
        assert cfg.model.head.keypoints == {"from_data": True, "sigmas": None, "known_set": known_set}
        cfg.model.head.keypoints = "coco"
    return cfg


def test_leaves_are_those_promised():
    assert set(LEAVES) == EXPECTED


@pytest.mark.parametrize("leaf", LEAVES)
def test_leaf_is_short_and_says_what_it_is(leaf):
    text = (CONFIGS / f"{leaf}.py").read_text()
    first, _, command = ast.get_docstring(ast.parse(text)).partition("\n\n")
    options = " --amp" if leaf in SHORT else ""
    assert command.strip() == f"python tools/train.py configs/{leaf}.py{options}"
    assert "AP" in first
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert len(lines) <= 3 + 15


@pytest.mark.parametrize("leaf", LEAVES)
def test_leaf_names_the_hardware_of_its_batch(leaf):
    images = load(leaf).train_dataloader.batch_size
    gpus = "1 GPU" if leaf in CUSTOM else f"{256 // images} GPUs"
    if leaf not in SHORT:
        assert f"for {gpus} x {images} images" in (CONFIGS / f"{leaf}.py").read_text()


@pytest.mark.parametrize("leaf", sorted(EXPECTED - RECIPES.keys()))
def test_model_builds_at_its_own_size(leaf):
    """As test_recipes shows of the official ones."""
    with torch.device("meta"):
        model = MODELS.build(load(leaf).model)
    assert model.head.head_module.out_pose[0].out_channels == 512 * {"t": 0.375, "s": 0.5, "m": 0.75}[leaf[5]]
    assert model.head.schema.num_keypoints == NUM_KEYPOINTS.get(leaf.partition("_")[2], 17)


def get_batch(cfg, pipeline):
    dataset = DATASETS.build(describe_people(cfg, pipeline, num_images=2))
    return pseudo_collate([dataset[0], dataset[1]])


# The data and transforms of m and l are those of s.
LIKE_S = {leaf for leaf in LEAVES if re.fullmatch(r"rtmo-[ml]_\w+|rtmo-s_(custom|ap10k|ochuman|halpe)", leaf)}


@pytest.mark.parametrize("leaf", [pytest.param(x, marks=pytest.mark.slow if x in LIKE_S else ()) for x in LEAVES])
def test_leaf_learns_in_every_stage_and_predicts(leaf):
    """With its own transforms, sizes and loss weights, on narrow models and synthetic people."""
    cfg = load(leaf)
    MessageHub.get_current_instance().update_info("iter", 0)  # as a runner does; the random resize reads it
    model = MODELS.build(shrink(cfg.model))
    model.init_weights()
    finish = cfg.default_hooks.training_stages.schedule.finish.pipeline
    for names, pipeline in ((["warmup", "refine"], cfg.train_dataloader.dataset.pipeline), (["finish"], finish)):
        batch = model.train().data_preprocessor(get_batch(cfg, pipeline), training=True)
        for name in names:
            model.head.enter_stage(name)
            losses = model(**batch, mode="loss")
            assert set(losses) == {f"loss_{loss}" for loss in ("cls", "bbox", "oks", "vis", "mle", "bbox_aux")}
            assert (losses["loss_bbox_aux"] > 0) == (name == "finish")
        sum(losses.values()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)
    (found, _) = model.eval().test_step(get_batch(cfg, cfg.val_dataloader.dataset.pipeline))
    assert found.pred_instances.keypoints.shape[1:] == (model.head.schema.num_keypoints, 2)


@pytest.mark.parametrize("leaf", LEAVES)
def test_pipelines_are_of_the_size(leaf):
    cfg = load(leaf)
    side = {"rtmo-t_synthetic": 192, "rtmo-t_custom": 192}.get(leaf, 416 if leaf.startswith("rtmo-t") else 640)
    stages = cfg.default_hooks.training_stages.schedule
    pipelines = [cfg.train_dataloader.dataset.pipeline, stages.finish.pipeline, cfg.test_dataloader.dataset.pipeline]
    sizes = [
        size
        for pipeline in pipelines
        for step in pipeline
        for size in (step.get("input_size"), step.get("img_scale"), step.get("encoder", {}).get("input_size"))
        if size is not None
    ]
    assert set(sizes) == {(side, side)}
    assert len(sizes) >= 5
