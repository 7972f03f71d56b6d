"""RTMOHead against MMPose 1.3.2's: same weights, same features, same numbers.

The estimator around the head is compared in tests/test_model_parity.py.
"""

from __future__ import annotations

import pytest
import torch
from mmpose.registry import MODELS as MMPOSE_MODELS
from mmpose.structures import PoseDataSample

from rtmo_plugin.models.heads.dense import decode_dense
from rtmo_plugin.models.heads.training_targets import collect_people
from rtmo_plugin.registry import MODELS
from tests.oracle import (
    RECIPES,
    STAGES,
    assert_relative,
    enter_stage,
    load_official,
    load_ours,
    make_metainfo,
    make_samples,
    randomize,
)

SIZE_WH = (256, 192)
COUNTS = [3, 0, 7, 1]
M_AND_L = {"rtmo-m_coco", "rtmo-l_coco"}
# one number whose gradient sums all activations of all people, of both signs
FLOAT32_LIMITS = {"dcc.gau.ln.g": 5e-4}


def build_heads(recipe, dtype=torch.float32, seed=0):
    """Return MMPose's head and ours with equal, randomised weights, in training mode."""
    official = load_official(recipe)
    torch.manual_seed(seed)
    theirs = MMPOSE_MODELS.build(official.model.head)
    theirs.init_weights()
    randomize(theirs, seed)
    # untrained class scores are all 1 %: spread them, so that the class cost decides something
    for conv in theirs.head_module.out_cls:
        torch.nn.init.normal_(conv.weight, std=0.2)
        torch.nn.init.constant_(conv.bias, -1.0)
    ours = MODELS.build(load_ours(recipe).model.head)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    theirs.to(dtype), ours.to(dtype)
    if dtype == torch.float64:
        # they are float32 numbers in MMPose, also when the rest is float64
        theirs.dcc.x_bins = torch.linspace(-0.5, 0.5, 192, dtype=dtype)
        theirs.dcc.y_bins = torch.linspace(-0.5, 0.5, 256, dtype=dtype)
        theirs.dcc.spe.dim_t = 300 ** (torch.arange(64, dtype=dtype) / 64)
    return theirs.train(), ours.train(), official


def make_feats(head, size_wh=SIZE_WH, num_images=4, dtype=torch.float32, seed=0):
    torch.manual_seed(seed)
    width, height = size_wh
    channels = 2 * head.head_module.in_channels
    return tuple(torch.randn(num_images, channels, height // s, width // s).to(dtype) for s in head.strides)


def copy_samples(samples):
    return [sample.clone() for sample in samples]


def assign_as_mmpose(head, predictions, samples):
    """Return the person and the similarity of each prior, by MMPose's assigner."""
    priors = torch.cat([predictions.priors.centers] + [predictions.priors.strides[:, None]] * 2, dim=1)
    people, quality = [], []
    for i, sample in enumerate(samples):
        result = head._get_targets_single(
            priors,
            predictions.class_logits[i].sigmoid(),
            torch.ones_like(predictions.class_logits[i]),
            predictions.boxes[i],
            predictions.proxy_keypoints[i],
            predictions.visibility_logits[i].sigmoid(),
            sample,
        )
        is_positive, cls_target, box_target = result[0], result[1], result[4]
        person = torch.full(is_positive.shape, -1)
        if len(box_target):
            boxes = sample.gt_instance_labels.bboxes
            person[is_positive] = (box_target[:, None] == boxes[None]).all(-1).int().argmax(1)
        people.append(person)
        quality.append(torch.zeros(is_positive.shape).masked_scatter(is_positive, cls_target.float()))
    return torch.stack(people), torch.stack(quality)


@pytest.mark.parametrize("recipe", RECIPES)
def test_state_dict_is_mmposes_with_parameters_in_its_order(recipe):
    theirs, ours, _ = build_heads(recipe)
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    extra = {"dcc.x_bins", "dcc.y_bins", "dcc.spe.dim_t", "loss_oks.sigmas"}
    assert set(theirs.state_dict()) - set(ours.state_dict()) == extra
    missing, unexpected = theirs.load_state_dict(ours.state_dict(), strict=False)
    assert set(missing) == extra
    assert not unexpected


@pytest.mark.parametrize("recipe", RECIPES)
def test_raw_maps_equal(recipe):
    theirs, ours, _ = build_heads(recipe)
    feats = make_feats(ours)
    with torch.no_grad():
        expected = theirs.forward(feats)
        maps = ours.head_module(feats, with_proxy=True)
    got = (maps.class_logits, maps.box_deltas, maps.proxy_offsets, maps.visibility_logits, maps.pose_vectors)
    for a, b in zip(got, expected):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


# The assigner sees priors and people, not widths: of M and L one seed is enough.
@pytest.mark.parametrize(
    ("recipe", "seed"),
    [
        pytest.param(recipe, seed, marks=pytest.mark.slow if seed and recipe in M_AND_L else ())
        for recipe in RECIPES
        for seed in range(4)
    ],
)
def test_assignment_equal(recipe, seed):
    theirs, ours, _ = build_heads(recipe, seed=seed)
    feats = make_feats(ours, seed=seed)
    samples = make_samples(COUNTS, ours.schema.num_keypoints, SIZE_WH, seed)
    with torch.no_grad():
        predictions = decode_dense(ours.head_module(feats, with_proxy=True), ours.strides)
    people = collect_people(samples, 1, ours.schema.num_keypoints)
    assignment = ours.assigner.assign(predictions, people, ours.sigmas)
    person, quality = assign_as_mmpose(theirs, predictions, samples)
    assert (person >= 0).sum() >= sum(COUNTS)
    torch.testing.assert_close(assignment.person, person, rtol=0, atol=0)
    torch.testing.assert_close(assignment.quality, quality, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("recipe", [pytest.param(r, marks=pytest.mark.slow if r in M_AND_L else ()) for r in RECIPES])
def test_losses_and_gradients_equal(recipe, stage, monkeypatch):
    """In float32 losses to 1e-4 and gradients to 3e-4; in float64 both to 1e-9.

    The gradient of the sine encoding with respect to the box sums 448 steep waves that cancel: in
    float32 MMPose itself is up to 4e-4 off the float64 result, so no more can be asked of us there.
    """
    expected_losses, theirs, losses, ours = compute_both(recipe, stage, torch.float32)
    for name, value in expected_losses.items():
        assert_relative(losses[name], value, 1e-4, name)
    # without the 1e-8 that MMPose adds to a softmax's sum, of which nothing depends but the last digits
    monkeypatch.setattr("mmpose.models.heads.hybrid_heads.rtmo_head.EPS", 0.0)
    true_losses, truth, exact_losses, exact = compute_both(recipe, stage, torch.float64)
    # MMPose keeps the similarity of a match, the class target of the first stage, in float32
    limit = 1e-6 if stage == "warmup" else 1e-9
    for name, value in true_losses.items():
        assert_relative(exact_losses[name], value, limit, name)
    for name, true in truth.items():
        assert_relative(exact[name], true, limit, name)
        their_error = float((theirs[name].double() - true).norm() / true.norm())
        assert_relative(ours[name], theirs[name], max(FLOAT32_LIMITS.get(name, 3e-4), 3 * their_error), name)


def compute_both(recipe, stage, dtype, seed=0):
    """Return MMPose's losses and gradients, then ours."""
    theirs, ours, official = build_heads(recipe, dtype, seed)
    enter_stage(theirs, ours, stage, official)
    samples = make_samples(COUNTS, ours.schema.num_keypoints, SIZE_WH, seed, dtype=dtype)
    results = []
    for head in (theirs, ours):
        feats = tuple(f.requires_grad_() for f in make_feats(ours, dtype=dtype, seed=seed))
        losses = head.loss(feats, copy_samples(samples))
        losses = {k: v.mean() for k, v in losses.items() if k.startswith("loss")}
        inputs = {**{f"feature {i}": f for i, f in enumerate(feats)}, **used_parameters(head)}
        grads = torch.autograd.grad(sum(losses.values()), list(inputs.values()))
        results += [losses, dict(zip(inputs, grads))]
    assert set(results[2]) - set(results[0]) <= {"loss_bbox_aux"}
    return results


def used_parameters(head):
    """All parameters whose gradient is not zero but for rounding.

    Left out are the two biases that cannot change a distribution (ours are frozen), and the bias
    before a batch normalization, which subtracts it again.
    """
    zero = ("dcc.x_fc.bias", "dcc.y_fc.bias", "dcc.pose_to_kpts.0.bias")
    return {n: p for n, p in head.named_parameters() if n not in zero}


def test_losses_equal_with_unlabeled_regions():
    theirs, ours, _ = build_heads("rtmo-t_body7")
    size_wh = (224, 224)  # MMPose takes the mask for a square
    samples = make_samples(COUNTS, 17, size_wh, with_mask=True)
    feats = make_feats(ours, size_wh)
    expected = theirs.loss(feats, copy_samples(samples))["loss_cls"]
    plain = ours.loss(feats, make_samples(COUNTS, 17, size_wh))["loss_cls"]
    got = ours.loss(feats, samples)["loss_cls"]
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=0)
    assert abs(got - plain) > 1e-3 * plain


@pytest.mark.parametrize("size_wh", [(256, 256), (320, 160)])
@pytest.mark.parametrize("recipe", RECIPES)
def test_predictions_equal(recipe, size_wh):
    theirs, ours, _ = build_heads(recipe)
    theirs.eval(), ours.eval()
    feats = make_feats(ours, size_wh, num_images=2)
    samples = [PoseDataSample(metainfo=make_metainfo(size_wh)) for _ in range(2)]
    test_cfg = {"score_thr": 0.3, "nms_thr": 0.65}
    with torch.no_grad():
        expected = theirs.predict(feats, samples, test_cfg)
        got = ours.predict(feats, samples, test_cfg)
    assert sum(len(each) for each in got) > 2
    for a, b in zip(got, expected):
        assert set(a.keys()) == set(b.keys())
        for key in a.keys():  # noqa: SIM118  (InstanceData iterates over its people)
            tolerance = 0.01 if key in ("keypoints", "bboxes") else 1e-5
            torch.testing.assert_close(torch.as_tensor(a[key]), torch.as_tensor(b[key]), rtol=1e-5, atol=tolerance)
