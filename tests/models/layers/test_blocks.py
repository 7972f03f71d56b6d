"""Blocks change the sizes of matrix products, and nothing else."""

import copy

import pytest
import torch

from rtmo_plugin.models.heads import DynamicCoordinateClassifier
from rtmo_plugin.models.layers import blocks
from rtmo_plugin.models.layers.blocks import BLOCK, apply_in_blocks


def make_classifier():
    return DynamicCoordinateClassifier(
        num_keypoints=5, in_channels=12, feat_channels=16, num_bins=(24, 32), encoding_channels=16, attention_channels=8
    ).double()


def classify(dcc, num_people):
    """Return outputs and gradients of a fixed loss."""
    random = torch.Generator().manual_seed(num_people)
    vectors = torch.randn(num_people, 12, generator=random, dtype=torch.double, requires_grad=True)
    corners = torch.rand(num_people, 2, generator=random, dtype=torch.double) * 50
    boxes = torch.cat([corners, corners + 30], dim=1)
    found = dcc(vectors, boxes, corners + 10)
    (found.keypoints.square().sum() + found.sigmas.sum()).backward()
    return [found.probs_x, found.keypoints, found.sigmas, vectors.grad, *(p.grad for p in dcc.parameters())]


@pytest.mark.parametrize("num_people", [0, 1, 2, BLOCK - 1, BLOCK, BLOCK + 1])
def test_classifier_is_the_same_without_blocks(monkeypatch, num_people):
    first = make_classifier()
    second = copy.deepcopy(first)
    padded = classify(first, num_people)
    monkeypatch.setattr(blocks, "BLOCK", 1)
    plain = classify(second, num_people)
    for one, other in zip(padded, plain):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(first.state_dict(), second.state_dict())  # running statistics are of real people


def test_products_have_few_sizes_in_training_and_none_is_padded_in_evaluation():
    dcc, sizes = make_classifier(), set()
    for layer in (dcc.pose_to_kpts[0], dcc.gau.uv, dcc.gau.o, dcc.sigma_fc[0]):
        layer.register_forward_hook(lambda layer, inputs, output: sizes.add(len(inputs[0])))
    for num_people in (3, 7, 20, 40, 50):
        classify(dcc, num_people)
    assert sizes == {BLOCK, 2 * BLOCK}
    sizes.clear()
    dcc.eval()
    classify(dcc, 3)
    assert sizes == {3}


def test_rows_of_any_shape_come_back():
    rows = torch.arange(5 * 2 * 3.0).view(5, 2, 3)
    torch.testing.assert_close(apply_in_blocks(lambda padded: padded + len(padded), rows), rows + BLOCK)
