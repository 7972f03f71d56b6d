"""Weights of a model with other keypoints: 17 to 14 and back, by name, and everything else whole."""

import re
from pathlib import Path

import pytest
import torch
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS

from rtmo_plugin.api import train
from rtmo_plugin.checkpoints.transfer import Transfer, copy_rows, is_transferable, plan_transfer
from rtmo_plugin.config.config_files import load_config
from rtmo_plugin.errors import CheckpointError, ConfigError
from rtmo_plugin.keypoints.metainfo import make_metainfo
from rtmo_plugin.keypoints.sets import COCO, CROWDPOSE
from tests.oracle import load_ours
from tests.tiny import shrink

PATH = Path("weights.pth")
BODY = {name: COCO.names.index(name) for name in COCO.names[5:]}  # what both have


def build(recipe, seed, **head):
    init_default_scope("mmpose")
    torch.manual_seed(seed)
    model = shrink(load_ours(recipe).model)
    model["data_preprocessor"]["batch_augments"] = None
    model["head"].update(head)
    return MODELS.build(model)


def describe(schema, **more):
    return {"keypoint_id2name": dict(enumerate(schema.names)), **more}


def transfer(source, target, target_meta, source_meta=None):
    checkpoint = {"state_dict": source.state_dict(), "meta": {"dataset_meta": source_meta} if source_meta else {}}
    plan = plan_transfer(checkpoint, PATH, target, target_meta)
    target.load_state_dict(plan.apply(checkpoint["state_dict"], target.state_dict()))
    return plan


@pytest.fixture(scope="module")
def there_and_back():
    """Return a model of 17 keypoints, one of 14 that starts from it, and one of 17 that starts from that."""
    models = [build(recipe, seed) for seed, recipe in enumerate(("rtmo-s_coco", "rtmo-s_crowdpose", "rtmo-s_coco"))]
    there = transfer(models[0], models[1], describe(CROWDPOSE))
    back = transfer(models[1], models[2], describe(COCO))
    return models, there, back


def compute_maps(model):
    torch.manual_seed(5)
    image = torch.rand(1, 3, 64, 64) * 255
    with torch.no_grad():
        return model.eval().head.head_module(model.extract_feat(image), with_proxy=True)


def test_body_is_the_same_there_and_back(there_and_back):
    models, *_ = there_and_back
    maps = [compute_maps(model) for model in models]
    indices = [list(BODY.values()), [CROWDPOSE.names.index(name) for name in BODY], list(BODY.values())]
    for field in ("class_logits", "box_deltas", "pose_vectors"):
        assert all(torch.equal(a, b) for a, b in zip(getattr(maps[0], field), getattr(maps[1], field)))
    for index, each in zip(indices[1:], maps[1:]):
        visible = [
            (m.visibility_logits[0][:, i], each.visibility_logits[0][:, j])
            for m, i, j in [(maps[0], indices[0], index)]
        ]
        assert all(torch.equal(a, b) for a, b in visible)
        offsets = [m.proxy_offsets[0].unflatten(1, (-1, 2))[:, i] for m, i in ((maps[0], indices[0]), (each, index))]
        assert torch.equal(*offsets)


def test_features_of_the_body_are_the_same_until_keypoints_see_each_other(there_and_back):
    (first, second, third), *_ = there_and_back
    vectors = torch.randn(3, first.head.head_module.pose_channels)
    features = [model.eval().head.dcc.pose_to_kpts(vectors).unflatten(1, (-1, 16)) for model in (first, second, third)]
    for index, name in enumerate(CROWDPOSE.names[:12]):
        assert torch.equal(features[0][:, BODY[name]], features[1][:, index])
        assert torch.equal(features[0][:, BODY[name]], features[2][:, BODY[name]])
        assert torch.equal(first.head.dcc.pos_enc[BODY[name]], second.head.dcc.pos_enc[index])
        sigmas = [model.head.dcc.sigma_fc(vectors)[:, i] for model, i in ((first, BODY[name]), (second, index))]
        assert torch.equal(*sigmas)


def test_what_is_new_keeps_its_random_start(there_and_back):
    (first, second, third), *_ = there_and_back
    untouched = build("rtmo-s_crowdpose", 1)
    for name in ("top_head", "neck"):
        index = CROWDPOSE.names.index(name)
        assert torch.equal(second.head.dcc.pos_enc[index], untouched.head.dcc.pos_enc[index])
    assert not torch.equal(first.head.dcc.pos_enc[0], third.head.dcc.pos_enc[0])  # the nose was lost on the way


def test_what_is_done_is_said(there_and_back):
    _, there, back = there_and_back
    assert str(there).splitlines() == [
        "weights.pth has 17 keypoints, and the model 14: 12 have the same name",
        "new, from random weights: top_head, neck",
        "not used:                 nose, left_eye, right_eye, left_ear, right_ear",
        "classes:                  person from person",
    ]
    assert "new, from random weights: nose, left_eye, right_eye, left_ear, right_ear\n" in str(back)


def test_classes_start_from_the_only_one_or_from_their_namesakes():
    one, two = build("rtmo-s_coco", 0), build("rtmo-s_coco", 1, num_classes=2)
    meta = describe(COCO, classes=("walker", "dancer"))
    plan = transfer(one, two, meta)
    assert str(plan).endswith("classes:                  walker from person, dancer from person")
    bias = one.head.head_module.out_cls[0].bias
    assert torch.equal(two.head.head_module.out_cls[0].bias, bias.repeat(2))
    three = build("rtmo-s_coco", 2, num_classes=3)
    before = three.head.head_module.out_cls[0].weight.clone()
    plan = transfer(two, three, describe(COCO, classes=("rider", "dancer", "Walker")), meta)
    assert str(plan).endswith("dancer from dancer, Walker from walker, rider new")
    weights = two.head.head_module.out_cls[0].weight
    assert torch.equal(three.head.head_module.out_cls[0].weight, torch.stack([before[0], weights[1], weights[0]]))


def test_without_a_common_name_all_but_the_keypoints_is_taken_over():
    first, second, untouched = (build("rtmo-s_coco", seed) for seed in (0, 1, 1))
    plan = transfer(first, second, {"keypoint_id2name": {index: f"part {index}" for index in range(17)}})
    assert "the model 17: 0 have the same name" in str(plan)
    assert torch.equal(second.head.dcc.pos_enc, untouched.head.dcc.pos_enc)
    assert torch.equal(second.head.dcc.x_fc.weight, first.head.dcc.x_fc.weight)
    assert torch.equal(second.head.head_module.out_bbox[0].weight, first.head.head_module.out_bbox[0].weight)


def test_rows_in_blocks():
    moved = copy_rows(torch.arange(6).reshape(6, 1), -torch.ones(4, 1, dtype=torch.long), {1: 2}, 3, 2)
    assert moved.tolist() == [[-1], [-1], [4], [5]]
    assert copy_rows(torch.ones(2), torch.zeros(3), {}, 2, 3).tolist() == [0, 0, 0]


def test_names_whose_spelling_differs_and_own_names_of_a_checkpoint():
    given = (["nose", "eye_l"], ["person"])
    plan = Transfer("x", given, (["LeftEye", "tail"], ["person"]))
    assert plan.keypoint_rows == {0: 1}


def test_checkpoints_that_cannot_be_transferred_are_refused():
    model = build("rtmo-s_coco", 0)
    state = model.state_dict()
    with pytest.raises(CheckpointError, match="it or the config is not an RTMO model"):
        plan_transfer({"state_dict": {"weight": torch.ones(1)}}, PATH, model, {})
    five = {**state, "head.head_module.out_kpt_vis.0.bias": torch.zeros(5)}
    with pytest.raises(CheckpointError, match="does not say what its 5 keypoints are"):
        plan_transfer({"state_dict": five}, PATH, model, {})
    wide = {**state, "backbone.stem.conv.conv.weight": torch.zeros(9, 12, 3, 3)}
    with pytest.raises(
        CheckpointError, match=r"backbone\.stem\.conv\.conv\.weight is \(9, 12, 3, 3\) in the checkpoint"
    ):
        plan_transfer({"state_dict": wide}, PATH, model, describe(CROWDPOSE))
    assert not is_transferable({"state_dict": wide}, model)


def test_training_starts_from_it_and_says_so(trained, config, data_root, tmp_path, capsys):
    cfg = load_config(config)
    cfg.model.head.keypoints = "crowdpose"
    mapping = [(place, index) for index, place in enumerate(BODY.values())]
    convert = {"type": "KeypointConverter", "num_keypoints": 14, "mapping": mapping}
    dataset = cfg.train_dataloader.dataset
    cfg.train_dataloader.dataset = {
        "type": "CombinedDataset", "metainfo": make_metainfo("crowdpose", CROWDPOSE), "pipeline": dataset.pipeline,
        "datasets": [{**dataset, "pipeline": [convert]}],
    }  # fmt: skip
    frozen = {"optim_wrapper.optimizer.lr": 0.0, "train_cfg.max_epochs": 1}  # what is saved is the moving average
    options = {"work_dir": tmp_path, "data_root": data_root, "validate": False, "cfg_options": frozen}
    with pytest.raises(ConfigError, match="--load-from and --transfer-from name two checkpoints"):
        train(cfg, load_from=trained.checkpoint, transfer_from=trained.checkpoint, **options)
    result = train(cfg, transfer_from=trained.checkpoint, **options)
    assert re.search(
        r"^epoch_3\.pth has 17 keypoints, and the model 14: 12 have the same name$", capsys.readouterr().out, re.M
    )
    before, after = (torch.load(each.checkpoint, weights_only=True)["state_dict"] for each in (trained, result))
    assert torch.equal(before["head.dcc.pos_enc"][5:], after["head.dcc.pos_enc"][:12])
    assert torch.equal(before["neck.input_proj.0.conv.weight"], after["neck.input_proj.0.conv.weight"])
