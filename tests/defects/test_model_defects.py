"""Defects of MMPose 1.3.2's RTMO in building and running the model: its own classes first, then ours."""

from __future__ import annotations

import copy

import pytest
import torch
from mmengine.structures import PixelData
from mmpose.evaluation.functional import nms_torch
from mmpose.models import losses as their_losses
from mmpose.models.task_modules.assigners import PoseOKS
from mmpose.registry import MODELS as MMPOSE_MODELS
from torch import nn

from rtmo_plugin.keypoints.sets import COCO
from rtmo_plugin.models.heads.dense import decode_dense
from rtmo_plugin.models.heads.training_targets import build_targets, collect_people
from rtmo_plugin.ops.nms import apply_nms
from rtmo_plugin.registry import MODELS
from rtmo_plugin.structures import Assignment
from tests.operators import count_operators
from tests.oracle import OFFICIAL_CONFIGS, load_official, load_ours
from tests.small_head import build_both, build_ours, build_theirs, compute_gradients, make_batch, make_features


def test_defect_01_predict_without_suppression():
    theirs, ours = build_both()
    feats, samples, their_samples = make_batch()
    theirs.eval(), ours.eval()
    for test_cfg in ({"score_thr": 0.1, "nms_thr": 1.0}, {}):
        with pytest.raises(UnboundLocalError, match="keep_idxs_nms"):
            theirs.predict(feats, their_samples, test_cfg)
    instances = ours.predict(feats, samples, {"score_thr": 0.1, "nms_thr": 1.0})
    scores = decode_dense(ours(feats), ours.strides).class_logits.sigmoid()
    assert [len(each) for each in instances] == (scores > 0.1).sum(dim=(1, 2)).tolist()
    assert sum(map(len, instances)) > sum(map(len, ours.predict(feats, samples, {})))


@pytest.mark.parametrize("size_wh", [(128, 96), (96, 128), (160, 64)])
def test_defect_06_priors_of_an_input_that_is_not_square(size_wh):
    theirs, ours = build_both()
    deployed = copy.deepcopy(theirs)
    deployed.switch_to_deploy({"input_size": size_wh})
    width, height = size_wh
    right, transposed = (
        torch.cat(theirs.prior_generator.grid_priors([(h // s, w // s) for s in (16, 32)], device="cpu"))
        for h, w in ((height, width), (width, height))
    )
    assert torch.equal(deployed.flatten_priors, transposed)
    assert not torch.equal(right, transposed)

    theirs.eval(), ours.eval()
    feats, samples, _ = make_batch(size_wh=size_wh)
    test_cfg = {"score_thr": 0.1, "nms_thr": 0.65}
    ours.predict(make_features(2, (height, width)), samples, test_cfg)  # nothing of it may be kept
    for a, b in zip(ours.predict(feats, samples, test_cfg), theirs.predict(feats, samples, test_cfg)):
        torch.testing.assert_close(a.keypoints, b.keypoints, rtol=0, atol=0.01)
    for is_training in (False, True):
        maps = ours.train(is_training).head_module(feats, with_proxy=is_training)
        assert torch.equal(decode_dense(maps, ours.strides).priors.centers, right)


def test_defect_11_is_a_defect_of_mmpose():
    """Ours stands in tests/models/necks/test_hybrid_encoder.py."""
    config = load_official("rtmo-s_coco").model.neck.to_dict() | {"projector": None}
    neck = MMPOSE_MODELS.build({**config, "norm_cfg": {"type": "GN", "num_groups": 4}})
    ignored = [name for name, module in neck.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert ignored
    assert all("fpn_blocks" in name or "pan_blocks" in name for name in ignored)
    with pytest.raises(UnboundLocalError, match="pos_enc_dim"):
        MMPOSE_MODELS.build({**config, "use_encoder_idx": []})


def test_defect_12_dcc_without_attention():
    theirs = build_theirs(dcc_cfg={"gau_cfg": None})
    ours = build_ours(dcc={"attention_channels": 0})
    ours.load_state_dict(theirs.state_dict())
    theirs.eval(), ours.eval()
    feats, samples, _ = make_batch()
    test_cfg = {"score_thr": 0.1, "nms_thr": 0.65}
    expected, got = theirs.predict(feats, samples, test_cfg), ours.predict(feats, samples, test_cfg)
    for a, b in zip(got, expected):
        torch.testing.assert_close(a.keypoints, b.keypoints, rtol=0, atol=0.01)
    theirs.dcc.switch_to_deploy()
    with pytest.raises(AttributeError, match="no attribute 'gau'"):
        theirs.predict(feats, samples, test_cfg)

    losses = ours.train().loss(feats, samples)
    gradients = compute_gradients(ours, losses)
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert not [name for name in gradients if "gau" in name or "pos_enc" in name]


def test_defect_13_constructors_change_the_config():
    theirs = load_official("rtmo-s_coco").model.head
    before = copy.deepcopy(theirs.to_dict())
    MMPOSE_MODELS.build(theirs)
    changed = {name for name, value in theirs.to_dict().items() if value != before[name]}
    assert changed == {"head_module_cfg", "dcc_cfg"}

    ours = load_ours("rtmo-s_coco").model.head
    ours.update(dcc={"num_bins": (24, 32)}, head_module={"channels_per_group": 8}, loss_cls={"alpha": 0.5})
    ours.update(keypoints={"names": ["head", "tail"], "sigmas": [0.1, 0.1]})
    before = copy.deepcopy(ours.to_dict())
    MODELS.build(ours)
    assert ours.to_dict() == before


def test_defect_15_mask_of_unlabeled_people_that_is_not_square():
    """A person at the bottom of a wide image, in the masked quarter, must not count as background."""
    size_wh = (256, 128)
    theirs, ours = build_both()
    feats, samples, _ = make_batch([1], size_wh)
    mask = torch.zeros(1, 128, 256)
    mask[:, 96:] = 1
    samples[0].gt_fields = PixelData(heatmap_mask=mask)
    predictions = decode_dense(ours.head_module(feats, with_proxy=True), ours.strides)
    poses = torch.zeros_like(predictions.proxy_keypoints)
    poses[..., 0], poses[0, 0, :, 1], poses[0, 1, :, 1] = 100.0, 110.0, 80.0  # in the mask, and above it
    visibility = torch.full_like(predictions.visibility_logits, 5.0)

    priors = torch.cat([predictions.priors.centers] + [predictions.priors.strides[:, None]] * 2, dim=1)
    their_weights = theirs._get_targets_single(
        priors,
        predictions.class_logits[0].sigmoid(),
        torch.ones_like(predictions.class_logits[0]),
        predictions.boxes[0],
        poses[0],
        visibility[0].sigmoid(),
        samples[0],
    )[3]
    assert their_weights[:2, 0].tolist() == [1.0, 1.0]

    fields = vars(predictions) | {"proxy_keypoints": poses, "visibility_logits": visibility}
    nothing = Assignment(torch.full((1, len(priors)), -1), torch.zeros(1, len(priors)))
    targets = build_targets(type(predictions)(**fields), collect_people(samples, 1, 17), nothing, samples)
    assert targets.class_weights[0, :2, 0].tolist() == [0.0, 1.0]


def test_defect_16_suppression_takes_no_round_a_box():
    def make_apart(count):
        corner = torch.arange(count, dtype=torch.float32)[:, None] * 20
        return torch.cat([corner, corner, corner + 10, corner + 10], dim=1), torch.rand(count)

    theirs = [count_operators(nms_torch, *make_apart(count), 0.65).total() for count in (10, 100)]
    ours = [count_operators(apply_nms, *make_apart(count), 0.65).total() for count in (10, 100)]
    assert theirs[1] > 9 * theirs[0]
    assert ours[0] == ours[1] < 60


def test_defect_16_assignment_takes_no_round_a_person():
    theirs, ours = build_both()

    def count(head, people):
        feats, samples, _ = make_batch([people, people])
        return count_operators(head.loss, feats, samples)

    their_few, their_many = count(theirs, 4), count(theirs, 40)
    assert (their_few["topk"], their_many["topk"]) == (2 * (1 + 4), 2 * (1 + 40))
    count(ours, 4)  # which lays out the priors, once for each size
    few, many = count(ours, 4), count(ours, 40)
    assert few["topk"] == 2
    assert few == many


def test_defect_17_sigmas_do_not_depend_on_the_working_directory(tmp_path, monkeypatch):
    name = "configs/_base_/datasets/coco.py"
    source = (OFFICIAL_CONFIGS.parents[1] / "_base_/datasets/coco.py").read_text()
    stray = tmp_path / name
    stray.parent.mkdir(parents=True)
    stray.write_text(source.replace("0.026", "0.5"))
    monkeypatch.chdir(tmp_path)
    assert PoseOKS(metainfo=name).sigmas[0] == 0.5
    assert their_losses.OKSLoss(metainfo=name).sigmas[0] == 0.5
    assert build_ours().sigmas.tolist() == pytest.approx(COCO.sigmas)
