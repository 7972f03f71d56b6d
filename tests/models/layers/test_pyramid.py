"""The two ways through the pyramid, with layers simple enough to reckon by hand."""

import pytest
import torch
import torch.nn.functional as F

from rtmo_plugin.models.layers.pyramid import (
    check_levels,
    fuse_bottom_up,
    fuse_top_down,
    resolve_channels,
)


def make_maps():
    """Return maps of one channel that are 1, 10 and 100 everywhere."""
    return [torch.full((1, 1, 4 * k, 8 * k), value) for k, value in ((4, 1.0), (2, 10.0), (1, 100.0))]


def add_halves(x):
    return x.sum(dim=1, keepdim=True)


def add_coarser(fine, coarse):
    return fine + F.interpolate(coarse, scale_factor=2.0, mode="nearest")


def test_top_down_adds_what_lies_above():
    p3, p4, p5 = fuse_top_down(make_maps(), [torch.neg, torch.neg], [add_coarser, add_coarser])
    # laterals negate before upsampling: 100 -> -100; 10 - 100 = -90 -> 90; 1 + 90 = 91
    assert [p3.unique().item(), p4.unique().item(), p5.unique().item()] == [91, 90, -100]
    assert [tuple(p.shape[2:]) for p in (p3, p4, p5)] == [(16, 32), (8, 16), (4, 8)]


def test_top_down_puts_each_cell_over_the_four_below():
    coarse = torch.arange(6.0).view(1, 1, 2, 3)
    fine, _ = fuse_top_down([torch.zeros(1, 1, 4, 6), coarse], [lambda x: x], [add_coarser])
    assert torch.equal(fine[0, 0, ::2, ::2], coarse[0, 0])
    assert torch.equal(fine[0, 0, 1::2, 1::2], coarse[0, 0])


def test_bottom_up_adds_what_lies_below_and_may_stop_early():
    halve = torch.nn.MaxPool2d(2)
    sums = [p.unique().item() for p in fuse_bottom_up(make_maps(), [halve, halve], [add_halves, add_halves])]
    assert sums == [1, 11, 111]
    assert [p.unique().item() for p in fuse_bottom_up(make_maps(), [halve], [add_halves])] == [1, 11]
    assert len(fuse_bottom_up(make_maps(), [], [])) == 1


def test_concatenation_has_the_travelling_map_first():
    _, last = fuse_bottom_up(make_maps()[:2], [torch.nn.MaxPool2d(2)], [lambda x: x[:, :1]])
    assert last.unique().item() == 1


def test_channels_follow_the_width_unless_given():
    assert resolve_channels(None, 0.375) == (96, 192, 384)
    assert resolve_channels([8, 16, 24], 0.375) == (8, 16, 24)


@pytest.mark.parametrize("levels", [(6,), (5, 4), (4, 4), (3.5,)])
def test_levels_must_be_of_the_pyramid_and_ascend(levels):
    with pytest.raises(ValueError, match=r"out_levels must be any of \(3, 4, 5\)"):
        check_levels("out_levels", levels)
    assert check_levels("out_levels", ()) == ()
    assert check_levels("out_levels", [3, 5]) == (3, 5)
