"""Letterboxes equal those of MMPose's BottomupResize, pixel by pixel, and points come back."""

import numpy as np
import pytest
from mmpose.datasets.transforms import BottomupResize

from rtmo_plugin.runtime.letterbox import apply_letterbox
from tests.tiny_files import make_image


@pytest.mark.parametrize("image_wh", [(333, 777), (97, 31), (64, 64), (64, 40), (90, 64), (1, 1), (7, 2000)])
@pytest.mark.parametrize("size_wh", [(64, 64), (96, 64), (64, 160)])
def test_pixels_are_those_of_training(image_wh, size_wh):
    image = make_image(*image_wh)
    resize = BottomupResize(input_size=size_wh, pad_val=(114, 114, 114))
    expected = resize.transform({"img": image, "ori_shape": image.shape[:2]})
    padded, letterbox = apply_letterbox(image, size_wh)
    np.testing.assert_array_equal(padded, expected["img"])
    points = np.random.default_rng(0).uniform(0, 60, (5, 2)).astype(np.float32)
    scale, center = expected["input_scale"], expected["input_center"]
    np.testing.assert_allclose(
        letterbox.restore(points), points / size_wh * scale + center - 0.5 * scale, rtol=1e-6, atol=1e-4
    )


def test_corners_of_the_image_come_back():
    _, letterbox = apply_letterbox(make_image(200, 100), (64, 64))
    np.testing.assert_allclose(letterbox.restore(np.array([[0.0, 16], [64, 48]])), [[0, 0], [200, 100]], atol=1e-4)
