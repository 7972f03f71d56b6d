"""Pasted people: pixels, labels and those whom they cover."""

import copy

import cv2
import mmpose.datasets  # noqa: F401  (registers the transforms)
import numpy as np
import pytest
from mmengine.dataset import Compose

from rtmo_plugin.data import SyntheticPeople
from rtmo_plugin.data.synthetic.annotation import encode_runs
from rtmo_plugin.data.transforms import CopyPaste
from rtmo_plugin.data.transforms.covering import find_labeled, hide_keypoints
from rtmo_plugin.data.transforms.person_cutouts import cut_out, draw_segmentation, list_pasteable
from rtmo_plugin.data.transforms.person_labels import KEYS
from rtmo_plugin.errors import ConfigError
from tests.data.transforms.records import FLIP, Keep, Records

KEYPOINTS = np.array([(20, 10), (30, 20), (10, 20), (25, 38), (15, 38)], np.float32)  # head, hands, feet
BOX = (8, 6, 32, 42)


def make_person(shift=(0, 0), visible=(1, 1, 1, 1, 1), box=BOX):
    """Return the labels of one person, moved."""
    box = np.array([np.add(box, np.tile(shift, 2))], np.float32)
    return {
        "bbox": box, "bbox_score": np.ones(1, np.float32), "category_id": np.array([2]),
        "keypoints": KEYPOINTS[None] + np.array(shift, np.float32),
        "keypoints_visible": np.array([visible], np.float32), "area": np.array([400.0], np.float32),
    }  # fmt: skip


def make_record(people, annotations, size_wh=(64, 48), color=(0, 0, 255)):
    """Return a record with an image of one color."""
    image = np.full((size_wh[1], size_wh[0], 3), color, np.uint8)
    joined = {key: np.concatenate([person[key] for person in people]) for key in KEYS}
    return {"img": image, "img_shape": image.shape[:2], **joined, "raw_ann_info": annotations, "flip_indices": FLIP}


def paste(record, other, seed=0, **options):
    """Return the record with people of the other one."""
    np.random.seed(seed)  # noqa: NPY002
    transform = CopyPaste(pre_transform=[Keep()], prob=1.0, **options)
    return transform.apply_mix({**record, "mixed_data_list": [other]})


@pytest.fixture
def mask():
    """Return the mask of a person who fills most of BOX."""
    drawn = np.zeros((48, 64), bool)
    drawn[6:43, 8:33] = True
    return drawn


@pytest.fixture
def empty():
    """Return a black image with one person at its far corner, of another class."""
    return make_record([make_person((180, 140))], [{}], (240, 200), (0, 0, 0))


def test_labels_move_like_pixels(mask, empty):
    """The disc at each keypoint is found again at the keypoint's new place, at several scales, mirrored or not."""
    other = make_record([make_person()], [{"segmentation": {"size": [48, 64], "counts": encode_runs(mask)}}])
    for number, (x, y) in enumerate(KEYPOINTS.astype(int)):
        cv2.circle(other["img"], (int(x), int(y)), 2, (0, 60 * number, 255 - 60 * number), -1)
    found = 0
    for seed in range(20):
        result = paste(empty, other, seed, max_covered=0.0)
        assert len(result["bbox"]) == 2
        scale = np.sqrt(result["area"][1] / 400)
        assert 0.6 * 240 / 64 <= scale <= 1.4 * 240 / 64
        visible = result["keypoints_visible"][1] > 0
        columns, rows = np.rint(result["keypoints"][1]).astype(int).T
        for point in np.flatnonzero(visible):
            if 0 < columns[point] < 239 and 0 < rows[point] < 199:
                green = result["img"][rows[point], columns[point], 1]
                levels = {60 * point, 60 * FLIP[point]}  # a mirrored left hand was the right one
                assert any(abs(int(green) - level) <= 3 for level in levels)
                found += 1
    assert found > 60


def test_boxes_and_areas_follow_the_scale(mask, empty):
    other = make_record([make_person()], [{"segmentation": {"size": [48, 64], "counts": encode_runs(mask)}}])
    result = paste(empty, other, 3, ratio_range=(0.5, 0.5), flip_ratio=0.0)
    scale = 0.5 * 240 / 64
    left, top, right, bottom = result["bbox"][1]
    offset = result["keypoints"][1] - KEYPOINTS * scale
    np.testing.assert_allclose(offset, np.tile(offset[0], (5, 1)), atol=1e-3)
    expected = np.array(BOX) * scale + np.tile(offset[0], 2)
    np.testing.assert_allclose((left, top, right, bottom), np.clip(expected, 0, (240, 200, 240, 200)), atol=1e-3)
    assert result["area"][1] == pytest.approx(400 * scale**2)
    assert result["category_id"].tolist() == [2, 2]
    pasted = result["img"][..., 2] > 127  # to the middle of the soft edge
    assert pasted.sum() == pytest.approx((right - left) * (bottom - top), rel=0.1)
    rows, columns = np.nonzero(pasted)
    assert left - 2 <= columns.min()
    assert columns.max() <= right + 2
    assert top - 2 <= rows.min()
    assert rows.max() <= bottom + 2


def test_mirrored_people_exchange_sides(mask, empty):
    other = make_record([make_person()], [{"segmentation": {"size": [48, 64], "counts": encode_runs(mask)}}])
    result = paste(empty, other, 3, flip_ratio=1.0)
    head, left_hand, right_hand, _, _ = result["keypoints"][1]
    scale = np.sqrt(result["area"][1] / 400)
    np.testing.assert_allclose(left_hand - head, np.array([10, 10]) * scale, atol=1e-3)  # where it was the right one's
    np.testing.assert_allclose(right_hand - head, np.array([-10, 10]) * scale, atol=1e-3)


def test_only_labeled_people_are_pasted(mask, empty):
    rle = {"size": [48, 64], "counts": encode_runs(mask)}
    unlabeled = make_record([make_person(visible=(0, 0, 0, 0, 0))], [{"segmentation": rle}])
    two = make_record([make_person(visible=(1, 0, 1, 0, 0))], [{"segmentation": rle}])
    crowd = {**make_record([make_person()], [{"segmentation": rle}]), "iscrowd": [1]}
    flat = make_record([make_person(box=(8, 6, 8, 42))], [{"segmentation": rle}])
    for other in (unlabeled, two, crowd, flat):
        assert list_pasteable(other) == []
        assert paste(empty, other)["img"] is empty["img"]
    assert list_pasteable(make_record([make_person(visible=(1, 0, 1, 0, 1))], [{"segmentation": rle}])) == [0]


def test_without_a_segmentation_the_hull_is_cut_out_softly():
    cutout = cut_out(make_record([make_person()], [{}]), 0)
    x, y = cutout.labels["bbox"][0, :2] - BOX[:2]
    inside, outside = cutout.mask[int(24 + y), int(20 + x)], cutout.mask[int(41 + y), int(32 + x)]
    assert (inside, outside) == (255, 0)  # the chest; the corner of the box
    assert cutout.softness == pytest.approx(0.02 * 36)
    rows, columns = np.nonzero(cutout.mask)
    assert columns.min() >= BOX[0] + x
    assert columns.max() <= BOX[2] + x
    assert rows.min() >= BOX[1] + y
    assert rows.max() <= BOX[3] + y
    view = cutout.draw(np.diag([1.0, 1, 1]), (64, 48))
    assert ((view.alpha > 40) & (view.alpha < 215)).sum() > 20


def test_a_hull_with_somebody_else_in_it_is_not_cut_out():
    first, near, far = make_person(), make_person((8, 0)), make_person((30, 0))
    assert cut_out(make_record([first, near], [{}, {}]), 0) is None
    assert cut_out(make_record([first, far], [{}, {}]), 0) is not None
    nobody = make_person((8, 0), visible=(0, 0, 0, 0, 0))
    assert cut_out(make_record([first, nobody], [{}, {}]), 0) is None


def test_a_segmentation_holds_the_person_alone(mask):
    rle = {"size": [48, 64], "counts": encode_runs(mask)}
    record = make_record([make_person(), make_person((8, 0))], [{"segmentation": rle}, {}])
    assert (cut_out(record, 0).mask > 0).sum() == mask.sum()


def test_segmentations_in_each_form(mask):
    from pycocotools import mask as coco_masks

    shape = mask.shape
    compressed = coco_masks.encode(np.asfortranarray(mask.astype(np.uint8)))
    for form in (compressed, {"size": [48, 64], "counts": encode_runs(mask)}):
        np.testing.assert_array_equal(draw_segmentation(form, shape) > 0, mask)
    polygons = [[8, 6, 33, 6, 33, 43, 8, 43], [1, 1, 2, 2]]  # the second one is none
    np.testing.assert_array_equal(draw_segmentation(polygons, shape) > 0, mask)
    assert draw_segmentation(None, shape) is None
    assert draw_segmentation([], shape) is None
    assert draw_segmentation(compressed, (64, 48)) is None  # of another image


def test_covered_keypoints_stay_labeled_as_hidden():
    people = make_person(visible=(2, 2, 1, 0, 2))
    patch = np.full((12, 24), 255, np.uint8)
    hidden = hide_keypoints(people, patch, (8, 12), max_covered=0.5)["keypoints_visible"]
    assert hidden.tolist() == [[2, 1, 1, 0, 2]]  # both hands are covered
    weights = np.stack([people["keypoints_visible"], np.full((1, 5), 0.5)], axis=-1)
    weighted = hide_keypoints({**people, "keypoints_visible": weights}, patch, (8, 12), 0.5)["keypoints_visible"]
    assert weighted[..., 0].tolist() == [[2, 1, 1, 0, 2]]
    assert (weighted[..., 1] == 0.5).all()
    assert hide_keypoints(people, patch, (8, 12), max_covered=0.4) is None  # two of four
    assert people["keypoints_visible"].tolist() == [[2, 2, 1, 0, 2]]


def test_nobody_loses_more_than_a_share_of_the_labeled_keypoints(mask):
    other = make_record([make_person()], [{"segmentation": {"size": [48, 64], "counts": encode_runs(mask)}}])
    target = make_record([make_person(visible=(2, 2, 2, 2, 2))], [{}], color=(0, 0, 0))
    shares = []
    for seed in range(60):
        result = paste(target, other, seed, max_covered=0.4, max_people=1)
        assert (result["keypoints_visible"][0] > 0).all()
        if len(result["bbox"]) == 2:
            shares.append((result["keypoints_visible"][0] == 1).mean())
    assert max(shares) == pytest.approx(0.4)
    assert len(shares) > 20
    assert (paste(target, other, max_covered=0.0)["keypoints_visible"][0] == 2).all()


def test_pasted_people_keep_half_of_their_labels_in_the_image(mask, empty):
    other = make_record([make_person()], [{"segmentation": {"size": [48, 64], "counts": encode_runs(mask)}}])
    for seed in range(40):
        result = paste(empty, other, seed, ratio_range=(1.5, 2.5))
        for visible in find_labeled(result["keypoints_visible"])[1:]:
            assert visible.sum() >= 3


def test_the_same_random_numbers_give_the_same_sample_and_nothing_given_changes():
    records = Records(5)
    for record in records.records:
        record["raw_ann_info"] = [{}] * 3
        record["img"].flags.writeable = False  # as in the cache
    before = copy.deepcopy(records.records)
    transform = Compose([{"type": "rtmo_plugin.CopyPaste", "pre_transform": [Keep()], "prob": 1.0}])
    counts = []
    for seed in range(20):
        first, second = (records.run(transform, seed % 5, seed) for _ in range(2))
        for key in ("img", *KEYS):
            np.testing.assert_array_equal(first[key], second[key])
        counts.append(len(first["bbox"]))
    assert set(counts) > {3}
    for record, unchanged in zip(records.records, before):
        for key in ("img", *KEYS):
            np.testing.assert_array_equal(record[key], unchanged[key])


def test_people_are_pasted_into_images_of_background(mask):
    rle = {"size": [48, 64], "counts": encode_runs(mask)}
    background = make_record([make_person(visible=(0, 0, 0, 0, 0), box=(0, 0, 0, 0))], [], color=(0, 0, 0))
    result = paste(background, make_record([make_person()], [{"segmentation": rle}]), 1, ratio_range=(0.5, 0.6))
    kept = Compose([{"type": "mmpose.FilterAnnotations", "by_kpt": True, "by_box": True, "keep_empty": False}])(result)
    assert len(kept["bbox"]) == 1
    assert (kept["keypoints_visible"] > 0).any()


def test_with_a_mosaic_it_comes_after_the_affine():
    records = Records(5)
    for record in records.records:
        record["raw_ann_info"] = [{}] * 3
    mosaic = {"type": "rtmo_plugin.Mosaic", "img_scale": (128, 128), "pre_transform": [Keep()]}
    affine = {"type": "rtmo_plugin.BottomupRandomAffine", "input_size": (128, 128)}
    pasted = {"type": "rtmo_plugin.CopyPaste", "pre_transform": [Keep()], "prob": 1.0}
    numbers = [len(records.run(Compose([mosaic, affine, pasted]), 0, seed)["bbox"]) for seed in range(10)]
    assert min(numbers) >= 12
    assert max(numbers) > 12
    with pytest.raises(ConfigError, match="CopyPaste needs pixels: put it after BottomupRandomAffine"):
        records.run(Compose([mosaic, pasted]), 0, 0)


def test_synthetic_people_are_pasted_along_their_masks():
    load = {"type": "rtmo_plugin.DrawSyntheticImage"}
    pasted = {"type": "rtmo_plugin.CopyPaste", "pre_transform": [load], "prob": 1.0, "max_people": 8}
    people = SyntheticPeople(num_images=6, size_wh=(96, 96), pipeline=[load, pasted], occlusion=0.0)
    plain = SyntheticPeople(num_images=6, size_wh=(96, 96), pipeline=[load], occlusion=0.0)
    np.random.seed(0)  # noqa: NPY002
    samples = [people[index] for index in range(len(people))]
    more = [len(sample["bbox"]) - len(plain[index]["bbox"]) for index, sample in enumerate(samples)]
    assert sum(more) > 4
    assert min(more) >= 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ratio_range": (0, 1)}, "ratio_range of CopyPaste must be two positive numbers"),
        ({"ratio_range": (2, 1)}, "ratio_range of CopyPaste must be two positive numbers"),
        ({"max_people": 0}, "max_people must be a whole number from 1"),
        ({"max_covered": 1.5}, "max_covered must be a number from 0 to 1"),
        ({"flip_ratio": -1}, "flip_ratio must be a number from 0 to 1"),
        ({"prob": 2}, "prob of a mosaic or mixup must be between 0 and 1"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        CopyPaste(**options)
