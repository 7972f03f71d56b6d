"""Boxes drawn around keypoints: as tight as they are where they have an area, with a margin where they have none."""

import pytest

from rtmo_plugin.keypoints.person_boxes import complete_box, has_area, span_keypoints

SIZE = (640, 480)


@pytest.mark.parametrize(
    ("box", "keypoints", "expected"),
    [
        ([1, 2, 3, 4], [10, 20, 2], [1, 2, 3, 4]),
        (None, [10, 20, 2, 30, 60, 1, 500, 400, 0], [10, 20, 20, 40]),
        ([100, 120, 0, 0], [100, 120, 2], [84, 104, 32, 32]),
        ([100, 120, 0, 300], [100, 120, 2, 100, 420, 2], [70, 90, 60, 360]),
        ([0, 0, 50, 0], [0, 0, 2, 50, 0, 2], [0, 0, 66, 16]),
        (None, [640, 480, 2], [624, 464, 16, 16]),
        (None, [700, 500, 2], [684, 484, 32, 32]),
        ([5, 5, 0, 0], [9, 9, 0], None),
        (None, [], None),
    ],
)
def test_boxes(box, keypoints, expected):
    assert complete_box(box, keypoints, SIZE) == expected


def test_without_a_size_the_margin_is_that_of_an_image_of_640():
    assert complete_box(None, [10, 10, 2]) == [-6, -6, 32, 32]


def test_an_area_is_at_least_a_pixel():
    assert [has_area(box) for box in ([0, 0, 1, 1], [0, 0, 0.5, 9], [0, 0, 9, -9])] == [True, False, False]
    assert span_keypoints([1, 2, 0, 3, 4, 1]) == [3, 4, 0, 0]
