"""The size of an image is read from its first bytes, as OpenCV will see it, and no file brings that to fall."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from rtmo_plugin.serving.image_header import read_size_wh


def encode(kind, size_wh=(37, 23), **options):
    """Return the content of an image file, written by Pillow."""
    pixels = np.random.default_rng(0).integers(0, 256, (size_wh[1], size_wh[0], 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, **options)
    return out.getvalue()


def make_exif(orientation=1):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


KINDS = {
    "jpeg": encode("JPEG"),
    "progressive": encode("JPEG", progressive=True),
    "jpeg with exif and a comment": encode("JPEG", exif=make_exif(), comment=b"\xff\xc0" * 500),
    "png": encode("PNG"),
    "bmp": encode("BMP"),
    "webp": encode("WEBP"),
    "webp without loss": encode("WEBP", lossless=True),
    "webp with exif": encode("WEBP", exif=make_exif()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_size_is_that_of_the_image(kind):
    assert read_size_wh(KINDS[kind]) == (37, 23)


@pytest.mark.parametrize("content", [b"", b"hello", b"GIF89a" + bytes(20), b"RIFF", b"BM", b"\xff\xd8\xff", b"II*\0"])
def test_anything_else_has_none(content):
    assert read_size_wh(content) is None


def test_sizes_of_nothing_are_none():
    content = bytearray(KINDS["png"])
    content[16:20] = bytes(4)
    assert read_size_wh(bytes(content)) is None


@pytest.mark.parametrize("kind", KINDS)
def test_what_opencv_decodes_is_not_larger_than_the_header_says(kind):
    """Also of spoilt files: of one byte changed, or cut off anywhere."""
    random, content = np.random.default_rng(1), KINDS[kind]
    for _ in range(100):
        spoilt = bytearray(content[: random.integers(1, len(content)) if random.random() < 0.2 else None])
        spoilt[random.integers(min(len(spoilt), 200))] = random.integers(256)
        size = read_size_wh(bytes(spoilt))
        if size is None or size[0] * size[1] > 1e5:
            continue
        image = cv2.imdecode(np.frombuffer(spoilt, np.uint8), cv2.IMREAD_COLOR)
        assert image is None or image.shape[0] * image.shape[1] == size[0] * size[1]
