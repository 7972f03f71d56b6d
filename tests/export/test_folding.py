"""A folded model computes what the trained one does, with fewer modules."""

import copy

import pytest
import torch
from mmpose.models.backbones.csp_darknet import Focus
from torch import nn

from rtmo_plugin.export.folding import FixedMapEncoder, fix_size, fold
from tests.export.conftest import build_tiny

GROUP_NORM = {"norm_cfg": {"type": "GN", "num_groups": 4}}


@pytest.mark.parametrize("size_wh", [(96, 64), (64, 96)])
def test_folded_model_has_the_same_maps(tiny, size_wh):
    model = copy.deepcopy(tiny).double()
    folded = fold(model)
    image = torch.rand(2, 3, size_wh[1], size_wh[0], dtype=torch.float64) * 255
    neck = fix_size(folded.neck, size_wh)
    neck.encoder[0].positions = neck.encoder[0].positions.double()
    with torch.no_grad():
        expected = model.head(model.extract_feat(image))
        got = folded.head(neck(folded.backbone(image)))
    for levels, others in zip(expected, got):
        for a, b in zip(levels, others):
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)  # the fixed positions are float32


def test_nothing_foldable_is_left_and_the_model_is_as_it_was(tiny):
    before = {name: value.clone() for name, value in tiny.state_dict().items()}
    folded = fold(tiny)
    kinds = {type(module) for module in folded.modules()}
    assert not {nn.BatchNorm2d, nn.BatchNorm1d, Focus} & kinds
    assert "RepVGGBlock" not in {kind.__name__ for kind in kinds}
    assert len(list(folded.modules())) < len(list(tiny.modules()))
    assert all(torch.equal(before[name], value) for name, value in tiny.state_dict().items())


def test_dcc_locates_the_same_keypoints(tiny):
    folded = fold(tiny)
    poses, boxes = torch.randn(5, tiny.head.head_module.pose_channels), torch.tensor([[10.0, 20, 40, 60]]).repeat(5, 1)
    with torch.no_grad():
        expected, got = (model.head.dcc(poses, boxes, torch.full((5, 2), 24.0)) for model in (tiny, folded))
    torch.testing.assert_close(got.keypoints, expected.keypoints, rtol=0, atol=1e-4)


def test_norms_that_depend_on_the_input_stay():
    model = build_tiny(neck=GROUP_NORM)
    folded = fold(model)
    image = torch.rand(1, 3, 64, 64) * 255
    assert any(isinstance(module, nn.GroupNorm) for module in folded.modules())
    with torch.no_grad():
        expected, got = model.extract_feat(image), folded.neck(folded.backbone(image))
    torch.testing.assert_close(got[0], expected[0], rtol=1e-3, atol=1e-3)


def test_fixed_size_shares_layers_with_the_neck(tiny):
    folded = fold(tiny)
    fixed = fix_size(folded.neck, (64, 32))
    assert isinstance(fixed.encoder[0], FixedMapEncoder)
    assert fixed.encoder[0].positions.shape == (2, folded.neck.encoder[0].channels)
    assert fixed.encoder[0].encoder is folded.neck.encoder[0]
