import pytest
import torch
from mmpose.structures.bbox import bbox_overlaps
from torch.testing import assert_close

from rtmo_plugin.ops.geometry import (
    allocate_bins,
    compute_box_area,
    compute_iou,
    decode_boxes,
    decode_keypoints,
    encode_boxes,
    encode_keypoints,
    get_centers_and_sizes,
    make_priors,
)
from rtmo_plugin.structures import Priors

SHAPES = [(3, 5), (2, 3)]
STRIDES = (16, 32)


def make_boxes(*shape, dtype=torch.float64):
    corner = torch.rand(*shape, 2, dtype=dtype) * 100
    return torch.cat([corner, corner + 1 + torch.rand(*shape, 2, dtype=dtype) * 50], dim=-1)


def test_priors_stand_in_the_middle_of_their_cells_level_by_level_row_by_row():
    priors = make_priors([(2, 3), (1, 2)], [16, 32])
    assert priors.centers.tolist() == [
        [7.5, 7.5], [23.5, 7.5], [39.5, 7.5],
        [7.5, 23.5], [23.5, 23.5], [39.5, 23.5],
        [15.5, 15.5], [47.5, 15.5],
    ]  # fmt: skip
    assert priors.strides.tolist() == [16] * 6 + [32] * 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_prior_of_any_dtype(dtype):
    priors = make_priors([(1, 1)], [32], dtype=dtype)
    assert priors.centers.dtype == priors.strides.dtype == dtype
    assert (priors.centers.tolist(), priors.strides.tolist()) == ([[15.5, 15.5]], [32])


def test_priors_of_a_mirrored_input_are_mirrored():
    centers = make_priors([(3, 5)], [16]).centers.view(3, 5, 2)
    mirrored = centers.flip(1) * torch.tensor([-1.0, 1.0]) + torch.tensor([5 * 16 - 1.0, 0.0])
    assert torch.equal(mirrored, centers)


def test_priors_need_a_stride_a_level():
    with pytest.raises(ValueError, match=r"1 feature maps, but the head was built for strides \(16, 32\)"):
        make_priors([(2, 2)], STRIDES)


def test_decoded_box_is_offset_and_exponential_in_strides():
    priors = Priors(torch.tensor([[7.5, 23.5]]), torch.tensor([16.0]))
    deltas = torch.tensor([[0.5, -1.0, 0.0, torch.tensor(2.0).log()]])
    assert_close(decode_boxes(deltas, priors), torch.tensor([[7.5, -8.5, 23.5, 23.5]]))


def test_decoding_inverts_encoding():
    priors = make_priors(SHAPES, STRIDES, dtype=torch.float64)
    num_priors = len(priors.strides)
    boxes, keypoints = make_boxes(2, num_priors), torch.rand(2, num_priors, 17, 2, dtype=torch.float64) * 200
    deltas = torch.randn(2, num_priors, 4, dtype=torch.float64)
    assert_close(decode_boxes(encode_boxes(boxes, priors), priors), boxes, rtol=0, atol=1e-6)
    assert_close(encode_boxes(decode_boxes(deltas, priors), priors), deltas, rtol=0, atol=1e-6)
    assert_close(decode_keypoints(encode_keypoints(keypoints, priors), priors), keypoints)
    assert_close(encode_keypoints(decode_keypoints(keypoints, priors), priors), keypoints)


def test_keypoints_are_offsets_in_strides():
    priors = Priors(torch.tensor([[7.5, 23.5]]), torch.tensor([16.0]))
    assert decode_keypoints(torch.tensor([[[1.0, -0.5], [0.0, 0.0]]]), priors).tolist() == [[[23.5, 15.5], [7.5, 23.5]]]


def test_empty_box_has_finite_deltas():
    priors = Priors(torch.tensor([[8.0, 8.0]]), torch.tensor([16.0]))
    deltas = encode_boxes(torch.tensor([[8.0, 8.0, 8.0, 8.0]]), priors)
    assert_close(deltas, torch.tensor([[0.0, 0.0, -18.420681, -18.420681]]))


@pytest.mark.parametrize(
    ("other", "iou"),
    [
        ([0, 0, 10, 10], 1.0),
        ([5, 0, 15, 10], 1 / 3),
        ([0, 0, 5, 5], 0.25),
        ([10, 0, 20, 10], 0.0),
        ([50, 50, 60, 60], 0.0),
        ([5, 5, 5, 5], 0.0),
    ],
)
def test_iou(other, iou):
    box, other = torch.tensor([0.0, 0, 10, 10]), torch.tensor(other, dtype=torch.float32)
    assert_close(compute_iou(box, other), torch.tensor(iou))
    assert_close(compute_iou(other, box), torch.tensor(iou))


def test_iou_of_empty_boxes_is_zero():
    point = torch.tensor([5.0, 5, 5, 5])
    assert compute_iou(point, point) == 0


def test_iou_of_all_pairs_equals_mmposes():
    boxes, others = make_boxes(7), make_boxes(4)
    assert_close(compute_iou(boxes[:, None], others[None]), bbox_overlaps(boxes, others))


def test_center_size_and_area():
    box = torch.tensor([[2.0, 4, 8, 20]])
    center, size = get_centers_and_sizes(box)
    assert (center.tolist(), size.tolist()) == ([[5.0, 12.0]], [[6.0, 16.0]])
    assert compute_box_area(box).tolist() == [96.0]


def test_bins_cover_the_interval_evenly_with_both_ends():
    bins = allocate_bins(torch.tensor([10.0, 0.0]), torch.tensor([4.0, 0.0]), 5)
    assert bins.tolist() == [[8, 9, 10, 11, 12], [0] * 5]


def test_bins_move_with_the_center():
    center, size = torch.rand(6, dtype=torch.float64), torch.rand(6, dtype=torch.float64)
    assert_close(allocate_bins(center + 3, size, 9), allocate_bins(center, size, 9) + 3)
