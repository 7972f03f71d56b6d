"""Mirrored images and tiles around a model that finds colored spots, so that what is right is known."""

from itertools import pairwise

import numpy as np
import pytest

from rtmo_plugin.errors import ConfigError
from rtmo_plugin.pose.flipping import FlippingModel
from rtmo_plugin.pose.tiling import TilingModel, place_tiles
from rtmo_plugin.runtime.detections import Detections
from rtmo_plugin.runtime.model_info import ModelInfo
from rtmo_plugin.structures import KeypointSchema

INFO = ModelInfo(KeypointSchema(("left", "right"), (0.1, 0.1), flip_pairs=((0, 1),)))
HEIGHT = 20


class SpotFinder:
    """Finds people who are rows of pixels, brightness their score; ``bias`` is added to every x.

    The end on the left of the image is the keypoint ``right``, as of somebody who faces us.
    """

    info = INFO

    def __init__(self, bias=0.0, max_side=10**6):
        self.bias, self.max_side = bias, max_side

    def predict_batch(self, images, names=None):
        return [self.find(image) for image in images]

    def find(self, image):
        if max(image.shape[:2]) > self.max_side:
            return make_people([])
        rows = [(y, np.flatnonzero(image[y, :, 0])) for y in np.flatnonzero(image[..., 0].any(axis=1))]
        return make_people([(x[0] + self.bias, x[-1] + self.bias, y, image[y, x[0], 0] / 255) for y, x in rows])


def make_people(rows):
    x1, x2, y, scores = np.array(rows, float).reshape(-1, 4).T
    boxes = np.stack([x1, y - HEIGHT / 2, x2, y + HEIGHT / 2], 1)
    points = np.stack([np.stack([x2, y], 1), np.stack([x1, y], 1)], 1)
    return Detections(boxes, scores, points, np.ones((len(y), 2)), np.zeros(len(y), np.int64))


def draw(size_wh, *people):
    image = np.zeros((*size_wh[::-1], 3), np.uint8)
    for x1, x2, y, brightness in people:
        image[y, x1 : x2 + 1] = brightness
    return image


def test_mirroring_changes_nothing_for_a_model_that_is_right():
    image = draw((200, 100), (20, 60, 30, 200), (90, 150, 70, 100))
    plain = SpotFinder().find(image)
    (found,) = FlippingModel(SpotFinder()).predict_batch([image])
    np.testing.assert_allclose(found.keypoints, plain.keypoints)
    np.testing.assert_allclose(found.boxes, plain.boxes)
    np.testing.assert_allclose(found.scores, plain.scores)


def test_mirroring_takes_out_what_is_wrong_to_one_side():
    image = draw((200, 100), (20, 60, 30, 200))
    (found,) = FlippingModel(SpotFinder(bias=2.0)).predict_batch([image])
    np.testing.assert_allclose(found.keypoints, SpotFinder().find(image).keypoints)


def test_who_is_seen_on_one_side_alone_counts_half():
    class OneSided(SpotFinder):
        def find(self, image):
            people = super().find(image)
            return people.select(people.keypoints[:, 1, 0] < 100)

    image = draw((200, 100), (20, 60, 30, 200))
    (found,) = FlippingModel(OneSided()).predict_batch([image])
    np.testing.assert_allclose(found.scores, [100 / 255])
    assert len(FlippingModel(OneSided(), score_thr=0.5).predict_batch([image])[0]) == 0
    assert len(FlippingModel(SpotFinder()).predict_batch([draw((50, 50))])[0]) == 0


def test_tiles_cover_the_image_and_overlap():
    for length in (100, 101, 399, 1000, 4321):
        starts = place_tiles(length, 100, 0.25)
        assert starts[0] == 0
        assert starts[-1] == length - 100
        assert all(b - a <= 76 for a, b in pairwise(starts))
    assert place_tiles(50, 100, 0.25) == [0]


def test_everybody_is_found_once_and_in_one_piece():
    image = draw((1000, 300), (10, 50, 20, 250), (230, 280, 100, 220), (480, 520, 200, 180), (700, 760, 250, 150))
    found = TilingModel(SpotFinder(max_side=400), 256).predict_batch([image])[0]
    expected = SpotFinder().find(image)
    np.testing.assert_allclose(found.scores, expected.scores)
    np.testing.assert_allclose(found.keypoints, expected.keypoints)


def test_who_is_larger_than_a_tile_comes_from_the_whole_image():
    image = draw((1000, 300), (100, 900, 150, 200))
    (found,) = TilingModel(SpotFinder(), 256).predict_batch([image])
    np.testing.assert_allclose(found.boxes, SpotFinder().find(image).boxes)


def test_neighbors_stay_two():
    image = draw((600, 600), (100, 140, 100, 200), (100, 140, 118, 190))
    assert len(TilingModel(SpotFinder(), 256).predict_batch([image])[0]) == 2


def test_small_images_are_looked_at_once():
    calls = []

    class Counter(SpotFinder):
        def find(self, image):
            calls.append(image.shape)
            return super().find(image)

    TilingModel(Counter(), 256).predict_batch([draw((256, 200))])
    assert calls == [(200, 256, 3)]
    with pytest.raises(ConfigError, match="tile must be a whole number from 32 to"):
        TilingModel(SpotFinder(), 5)
