"""Patches over people: what they cover, and what stays."""

import numpy as np
import pytest
from mmengine.dataset import Compose

from rtmo_plugin.data.transforms import OccludePeople
from rtmo_plugin.data.transforms.person_labels import KEYS
from rtmo_plugin.errors import ConfigError
from tests.data.transforms.records import Keep, Records


def make_record(visible=2.0):
    """Return a black image with a person of 5 x 5 keypoints, ten pixels apart."""
    grid = np.stack(np.meshgrid(np.arange(30, 80, 10), np.arange(30, 80, 10)), axis=-1).reshape(1, 25, 2)
    return {
        "img": np.zeros((110, 120, 3), np.uint8), "bbox": np.array([[25, 25, 75, 75]], np.float32),
        "bbox_score": np.ones(1, np.float32), "category_id": np.ones(1, int), "keypoints": grid.astype(np.float32),
        "keypoints_visible": np.full((1, 25), visible, np.float32), "area": np.array([2000], np.float32),
    }  # fmt: skip


def cover(record, seed=0, **options):
    np.random.seed(seed)  # noqa: NPY002
    return OccludePeople(prob=1.0, **options)(record)


def test_a_keypoint_is_hidden_exactly_where_a_patch_was_drawn():
    numbers = []
    for seed in range(40):
        result = cover(make_record(), seed)
        columns, rows = result["keypoints"][0].astype(int).T
        is_drawn = (result["img"][rows, columns] > 0).any(axis=-1)
        visible = result["keypoints_visible"][0]
        assert set(visible[is_drawn]) <= {1}  # a patch may be black
        assert (visible[~is_drawn] == 2).mean() > 0.9
        numbers.append(int((visible == 1).sum()))
    assert max(numbers) > 3
    assert max(numbers) <= 12  # half of 25


def test_all_else_stays():
    record = make_record()
    result = cover(record, 1)
    for key in ("bbox", "area", "keypoints", "category_id"):
        np.testing.assert_array_equal(result[key], record[key])
    assert not record["img"].any()
    assert (record["keypoints_visible"] == 2).all()


def test_size_of_patches():
    for seed in range(30):
        drawn = (cover(make_record(), seed, size_range=(0.3, 0.3))["img"] > 0).any(axis=-1)
        assert drawn.sum() <= 1.15 * (0.3 * 50) ** 2
        assert drawn.sum() >= 0.6 * (0.3 * 50) ** 2


def test_nobody_loses_more_than_a_share():
    for seed in range(20):
        result = cover(make_record(), seed, size_range=(1.2, 1.5), max_covered=0.2)
        hidden = (result["keypoints_visible"] == 1).mean()
        assert hidden <= 0.2
        assert result["img"].any() or hidden == 0


def test_records_of_mmpose_keep_their_labels():
    result = cover(make_record(visible=1.0), 1)
    assert result["img"].any()
    assert (result["keypoints_visible"] == 1).all()


def test_people_without_labels_are_not_covered():
    assert not cover(make_record(visible=0.0))["img"].any()


def test_probability_and_seed():
    records = Records(5)
    never, sometimes = (Compose([{"type": "rtmo_plugin.OccludePeople", "prob": prob}]) for prob in (0.0, 0.5))
    changed = 0
    for seed in range(20):
        first, second, plain = (records.run(each, 0, seed) for each in (sometimes, sometimes, never))
        for key in ("img", *KEYS):
            np.testing.assert_array_equal(first[key], second[key])
            np.testing.assert_array_equal(plain[key], records.records[0][key])
        changed += not np.array_equal(first["img"], plain["img"])
    assert 10 < changed < 20  # of three people, one in eight images has nobody with a patch


def test_it_comes_after_the_affine():
    records = Records(5)
    mosaic = {"type": "rtmo_plugin.Mosaic", "img_scale": (128, 128), "pre_transform": [Keep()]}
    with pytest.raises(ConfigError, match="OccludePeople needs pixels: put it after BottomupRandomAffine"):
        records.run(Compose([mosaic, {"type": "rtmo_plugin.OccludePeople"}]), 0, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prob": 1.2}, "prob must be a number from 0 to 1"),
        ({"max_covered": -1}, "max_covered must be a number from 0 to 1"),
        ({"size_range": (0.5, 0.2)}, "size_range of OccludePeople must be two positive numbers"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        OccludePeople(**options)
