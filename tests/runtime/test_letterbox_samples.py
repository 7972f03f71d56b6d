"""Letterboxes that are computed from numbers have every pixel that OpenCV's have."""

import numpy as np
import pytest
import torch

from rtmo_plugin.ops.interpolation import interpolate_pixels
from rtmo_plugin.runtime.letterbox import apply_letterbox
from rtmo_plugin.runtime.letterbox_samples import count_numbers, describe_letterbox
from tests.tiny_files import make_image

SIZES = [(333, 777), (97, 31), (64, 64), (64, 40), (90, 64), (1, 1), (7, 2000), (481, 640), (37, 5), (1920, 1080)]


def split(numbers, size_wh):
    """Return offsets, weights and placement of one image."""
    width, height = size_wh
    parts = np.split(numbers, np.cumsum([2 * height, 2 * width, 2 * height, 2 * width]))
    rows, columns, row_weights, column_weights = (torch.from_numpy(each.reshape(1, 2, -1)) for each in parts[:4])
    return (rows, columns), (row_weights, column_weights), parts[4].view(np.float32)


@pytest.mark.parametrize("image_wh", SIZES)
@pytest.mark.parametrize("size_wh", [(64, 64), (96, 64), (64, 160), (416, 416)])
def test_every_pixel_is_opencvs(image_wh, size_wh):
    image = make_image(*image_wh)
    expected, letterbox = apply_letterbox(image, size_wh, (114, 10, 200))
    numbers = describe_letterbox(image_wh, size_wh)
    assert numbers.shape == (count_numbers(size_wh),)
    offsets, weights, placement = split(numbers.copy(), size_wh)
    fill = torch.tensor([114.0, 10.0, 200.0])
    found = interpolate_pixels(torch.from_numpy(image.ravel()), offsets, weights, fill)
    np.testing.assert_array_equal(found[0].numpy(), expected)
    points = np.array([[0.0, 0.0], [31.5, 7.25]])
    np.testing.assert_allclose(points * placement[:2] + placement[2:], letterbox.restore(points), rtol=1e-6, atol=1e-4)


def test_images_of_a_batch_lie_one_behind_the_other():
    images, size_wh, start, rows = [make_image(50, 20, 1), make_image(9, 80, 2)], (64, 64), 0, []
    for image in images:
        numbers = describe_letterbox(image.shape[1::-1], size_wh).copy()
        numbers[: 2 * size_wh[1]] += start
        rows.append(split(numbers, size_wh))
        start += image.size
    pixels = torch.from_numpy(np.concatenate([image.ravel() for image in images]))
    offsets, weights = (tuple(torch.cat(each) for each in zip(*parts)) for parts in list(zip(*rows))[:2])
    found = interpolate_pixels(pixels, offsets, weights, torch.full((3,), 114.0))
    for one, image in zip(found, images):
        np.testing.assert_array_equal(one.numpy(), apply_letterbox(image, size_wh)[0])


def test_numbers_of_a_size_are_computed_once_and_cannot_be_changed():
    numbers = describe_letterbox((123, 45), (64, 64))
    assert describe_letterbox((123, 45), (64, 64)) is numbers
    with pytest.raises(ValueError, match="read-only"):
        numbers[0] = 1
