"""Defects of MMPose 1.3.2's RTMO in training: its own classes first, then ours.

The numbers are the project's; the other defects stand beside this file, number 7 in
tests/engine/test_training_stages.py, our side of number 11 in tests/models/necks.
"""

from __future__ import annotations

import copy
import math

import pytest
import torch
from mmpose.models import losses as their_losses
from torch import distributed, nn

from rtmo_plugin.models.losses import MLECCLoss, VariFocalLoss
from tests.small_head import LOSSES, build_both, build_ours, build_theirs, compute_gradients, make_batch

NOBODY = [0, 0]


def test_defect_02_dcc_as_target_without_its_own_loss():
    theirs = build_theirs(proxy_target_cc=True, loss_mle={"loss_weight": 0})
    ours = build_ours(stages={"refine": {"weights": {"mle": 0.0}}})
    feats, samples, their_samples = make_batch()
    with pytest.raises(UnboundLocalError, match="kpt_cc_preds"):
        theirs.loss(feats, their_samples)
    ours.enter_stage("refine")
    losses = ours.loss(feats, samples)
    assert losses["loss_mle"] == 0
    assert losses["loss_oks"] > 0
    assert all(gradient.isfinite().all() for gradient in compute_gradients(ours, losses).values())


def test_defect_03_batch_without_people_in_the_last_stage():
    theirs, ours = build_both()
    feats, samples, their_samples = make_batch(NOBODY)
    theirs.use_aux_loss = True
    with pytest.raises(TypeError, match="tuple indices"):
        theirs.loss(feats, their_samples)
    ours.enter_stage("finish")
    losses = ours.loss(feats, samples)
    assert losses["loss_cls"] > 0
    assert [float(losses[name]) for name in LOSSES[1:]] == [0.0] * 5


def test_defect_04_batch_without_people_has_all_losses_and_gradients():
    theirs, ours = build_both()
    feats, samples, their_samples = make_batch(NOBODY)
    _, people, their_people = make_batch()
    some, none = theirs.loss(feats, their_people), theirs.loss(feats, their_samples)
    assert "loss_bbox" in some
    assert [name for name in none if "loss" in name] == ["loss_cls"]
    assert None in compute_gradients(theirs, none).values()

    for stage in ("warmup", "refine", "finish"):
        ours.enter_stage(stage)
        losses = ours.loss(feats, samples)
        assert list(losses) == list(ours.loss(feats, people)) == LOSSES
        assert all(gradient.isfinite().all() for gradient in compute_gradients(ours, losses).values())


class LossOfHead(nn.Module):
    """What distributed training wraps: a module whose forward is the loss."""

    def __init__(self, head):
        super().__init__()
        self.head = head

    def forward(self, feats, samples):
        losses = self.head.loss(feats, samples)
        return sum(value.sum() for name, value in losses.items() if "loss" in name)


def test_defect_04_distributed_training_survives_a_batch_without_people(tmp_path):
    theirs, ours = build_both()
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        for head in (theirs, ours):
            model = nn.parallel.DistributedDataParallel(LossOfHead(head))
            feats, nobody, _ = make_batch(NOBODY)
            model(feats, nobody).backward()
            _, people, _ = make_batch()
            if head is theirs:
                with pytest.raises(RuntimeError, match="finished reduction in the prior iteration"):
                    model(feats, people)
            else:
                model(feats, people).backward()
    finally:
        distributed.destroy_process_group()


def test_defect_05_loss_in_eval_mode():
    theirs, ours = build_both()
    feats, samples, their_samples = make_batch()
    theirs.eval(), ours.eval()
    with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'reshape'"):
        theirs.loss(feats, their_samples)
    before = copy.deepcopy(ours.state_dict())
    losses = ours.loss(feats, samples)
    assert list(losses) == LOSSES
    assert losses["loss_oks"] > 0
    assert all(torch.equal(before[name], value) for name, value in ours.state_dict().items())


def make_distribution(ours, num_people=2):
    torch.manual_seed(1)
    boxes = torch.tensor([[10.0, 20, 60, 90]]).repeat(num_people, 1)
    with torch.no_grad():
        return ours.dcc(torch.randn(num_people, 64), boxes, torch.full((num_people, 2), 40.0))


def test_defect_09_not_a_number_is_never_taken_for_zero():
    nan = torch.tensor([[math.nan], [0.5]])
    target = torch.tensor([[0.9], [0.0]])
    theirs = their_losses.VariFocalLoss(reduction="sum")
    assert theirs(nan.clone(), target) == theirs(nan[1:], target[1:])
    assert VariFocalLoss()(nan[None], target[None], torch.ones(1, 2, 1)).isnan()

    probability = torch.tensor([[[math.nan, math.nan]]])
    assert their_losses.MLECCLoss()([probability] * 2, [torch.ones(1, 1, 2)] * 2) == 0
    ours = build_ours().eval()
    fields = vars(make_distribution(ours)) | {"probs_x": torch.full((2, 17, 24), math.nan)}
    distribution = type(make_distribution(ours))(**fields)
    targets, visible, areas = torch.full((2, 17, 2), 40.0), torch.ones(2, 17), torch.full((2,), 900.0)
    assert MLECCLoss()(distribution, targets, visible, areas).isnan()


def test_defect_09_training_stops_by_the_name_of_the_loss():
    theirs, ours = build_both()
    feats, samples, their_samples = make_batch()
    for head in (theirs, ours):
        for conv in head.head_module.out_cls:
            nn.init.constant_(conv.weight, math.nan)
    assert theirs.loss(feats, their_samples)["loss_cls"] == 0
    with pytest.raises(FloatingPointError, match=r"^loss_cls is not finite .*image0\.jpg, image1\.jpg"):
        ours.loss(feats, samples)


def test_defect_10_mle_loss_is_a_scalar():
    ours = build_ours().eval()
    distribution = make_distribution(ours, num_people=3)
    probabilities = [distribution.probs_x, distribution.probs_y]
    for reduction in ("mean", "sum"):
        value = their_losses.MLECCLoss(reduction=reduction)(probabilities, [torch.ones_like(p) for p in probabilities])
        assert value.shape == (3,)
    value = MLECCLoss()(distribution, torch.full((3, 17, 2), 40.0), torch.ones(3, 17), torch.full((3,), 900.0))
    assert value.shape == ()


@pytest.mark.parametrize("label", [1, 90, -1])
def test_defect_14_category_outside_the_classes(label):
    """On a GPU MMPose dies of an index assertion that ends the process; on a CPU it does not say where."""
    theirs, ours = build_both()
    feats, samples, their_samples = make_batch()
    for batch in (samples, their_samples):
        batch[1].gt_instance_labels.labels[0] = label
    with pytest.raises(RuntimeError, match=r"^Class values must be (smaller than num_classes|non-negative)\.$"):
        theirs.loss(feats, their_samples)
    with pytest.raises(ValueError, match=rf"^image1\.jpg: class labels \[{label}\] are not within 0\.\.0: "):
        ours.loss(feats, samples)
