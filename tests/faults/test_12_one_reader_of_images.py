"""Every path that reads images gives the same upright pixels, and every size is the size of what is read.

One table: formats, orientations, color modes and bit depths. Each path reads every row.
"""

import io
import json
import struct
import zlib
from pathlib import Path

import cv2
import mmpose.datasets  # noqa: F401  (registers MMPose's LoadImage)
import numpy as np
import pytest
from PIL import Image, ImageOps

from rtmo_plugin.errors import ConfigError, DataError, MissingFileError
from rtmo_plugin.labels import convert_file
from rtmo_plugin.labels.image_inspection import ImageInspection, inspect_image
from rtmo_plugin.media.image_headers import read_header, read_image_size
from rtmo_plugin.media.images import convert_image, decode_image, read_image, turn_upright
from rtmo_plugin.media.sources import read_frames
from rtmo_plugin.registry import TRANSFORMS

SIZE_WH = (24, 16)
ORIENTATION = 0x0112
# Writer's options, suffix, and whether the format carries an orientation.
FORMATS = {
    "JPEG": ("JPEG", {"quality": 95}, ".jpg", True),
    "JPEG progressive": ("JPEG", {"progressive": True}, ".jpg", True),
    "MPO": ("MPO", {}, ".jpg", True),
    "PNG": ("PNG", {}, ".png", True),
    "WebP": ("WEBP", {"quality": 90}, ".webp", True),
    "WebP lossless": ("WEBP", {"lossless": True}, ".webp", True),
    "TIFF": ("TIFF", {}, ".tif", True),
    "TIFF compressed": ("TIFF", {"compression": "tiff_lzw"}, ".tiff", True),
    "BMP": ("BMP", {}, ".bmp", False),
}
MODES = {
    "JPEG": ("RGB", "L", "1", "CMYK"),
    "MPO": ("RGB", "L", "CMYK"),
    "PNG": ("RGB", "L", "1", "P", "RGBA", "LA", "I;16"),
    "WEBP": ("RGB", "RGBA"),
    "TIFF": ("RGB", "L", "1", "P", "RGBA", "LA", "I;16", "CMYK"),
    "BMP": ("RGB", "L", "1", "P", "RGBA"),
}
ROWS = [(name, mode) for name, (writer, *_) in FORMATS.items() for mode in MODES[writer]]
DIFFERENT = ("WebPRGB", "WebPRGBA", "TIFFRGBA")  # from what MMPose reads
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def make_picture(mode: str) -> Image.Image:
    """Return a picture whose quarters differ, with a transparent one where the mode has transparency."""
    width, height = SIZE_WH
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = (220, 30, 60)
    pixels[: height // 2, width // 2 :] = (20, 180, 70)
    pixels[height // 2 :, : width // 2] = (40, 60, 210)
    pixels[height // 2 :, width // 2 :] = (120, 120, 120)
    picture = Image.fromarray(pixels)
    if mode == "I;16":
        return Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 256 + 77)
    if mode in ("RGBA", "LA"):
        picture = picture.convert(mode)
        alpha = np.full((height, width), 255, np.uint8)
        alpha[: height // 2] = 100
        picture.putalpha(Image.fromarray(alpha))
        return picture
    return picture.quantize(8) if mode == "P" else picture.convert(mode)


def encode(name: str, mode: str, orientation: int = 1) -> bytes:
    writer, options, *_ = FORMATS[name]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    out = io.BytesIO()
    make_picture(mode).save(out, writer, exif=exif, **options)
    return out.getvalue()


def expect(name: str, mode: str, orientation: int) -> np.ndarray:
    """Return the right BGR pixels: those of the same file without an orientation, read by Pillow and turned by it."""
    image = Image.open(io.BytesIO(encode(name, mode)))
    if mode == "I;16":
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    image = image.convert("RGB")
    has_orientation = FORMATS[name][3]
    image = image.transpose(TURNS[orientation]) if has_orientation and orientation in TURNS else image
    return np.asarray(image)[..., ::-1]


def load_as_training(path: Path) -> np.ndarray:
    return TRANSFORMS.build({"type": "rtmo_plugin.LoadImage"})({"img_path": str(path)})["img"]


def load_from_cache(path: Path) -> np.ndarray:
    loader = TRANSFORMS.build({"type": "rtmo_plugin.LoadImage", "cache_bytes": 2**20})
    loader({"img_path": str(path)})
    return loader({"img_path": str(path)})["img"]


def open_first(source: object) -> np.ndarray:
    (frame,) = read_frames(source)
    assert frame.error is None
    return frame.image


def open_stream(path: Path) -> Image.Image:
    return Image.open(io.BytesIO(path.read_bytes()))


PATHS = {
    "file": read_image,
    "content": lambda path: decode_image(path.read_bytes()),
    "content given to Pose": lambda path: open_first(path.read_bytes()),
    "file given to Pose": open_first,
    "folder given to Pose": lambda path: open_first(path.parent),
    "stream given to Pose": lambda path: open_first(io.BytesIO(path.read_bytes())),
    "view given to Pose": lambda path: open_first(memoryview(path.read_bytes())),
    "Pillow": lambda path: open_first(Image.open(path)),
    "Pillow, from a stream": lambda path: convert_image(open_stream(path)),
    # Not from a path: there, Pillow itself takes the rows of turned TIFF images for columns.
    "Pillow, copied": lambda path: convert_image(open_stream(path).copy()),
    "Pillow, upright already": lambda path: convert_image(ImageOps.exif_transpose(open_stream(path))),
    "training": load_as_training,
    "training, from the cache": load_from_cache,
}


@pytest.mark.parametrize(("name", "mode"), ROWS)
def test_every_path_gives_the_same_upright_pixels(tmp_path, name, mode):
    for orientation in range(1, 9):
        folder = tmp_path / str(orientation)
        folder.mkdir()
        path = folder / f"picture{FORMATS[name][2]}"
        path.write_bytes(encode(name, mode, orientation))
        expected = expect(name, mode, orientation)
        for way, read in PATHS.items():
            found = read(path)
            assert (found.dtype, found.shape) == (np.uint8, expected.shape), (way, orientation)
            # OpenCV and Pillow round differently from CMYK, by one level.
            assert np.abs(found.astype(int) - expected).max() <= (mode == "CMYK"), (way, orientation)


@pytest.mark.parametrize(("name", "mode"), ROWS)
def test_sizes_are_those_of_what_is_read(tmp_path, name, mode):
    for orientation in range(1, 9):
        path = tmp_path / f"picture{orientation}{FORMATS[name][2]}"
        path.write_bytes(encode(name, mode, orientation))
        size_wh = read_image(path).shape[1::-1]
        assert size_wh == (SIZE_WH[::-1] if orientation >= 5 and FORMATS[name][3] else SIZE_WH)
        assert read_header(path.read_bytes()).size_wh == size_wh
        assert read_image_size(path) == size_wh
        assert inspect_image(path) == ImageInspection(size_wh)
        glanced = TRANSFORMS.build({"type": "rtmo_plugin.LoadImage"}).read_shape({"img_path": str(path)})
        assert glanced["img_shape"] == size_wh[::-1]


@pytest.mark.parametrize(("name", "mode"), [row for row in ROWS if row[0][:4] + row[1] not in DIFFERENT])
def test_training_reads_what_mmpose_reads(tmp_path, name, mode):
    """All but turned WebP images, which some versions of OpenCV leave lying, and TIFF images with transparency."""
    path = tmp_path / f"picture{FORMATS[name][2]}"
    for orientation in (1, 3, 6, 7):
        path.write_bytes(encode(name, mode, orientation))
        theirs = TRANSFORMS.build({"type": "mmpose.LoadImage"})({"img_path": str(path)})["img"]
        assert np.array_equal(load_as_training(path), theirs)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WebP", "TIFF"])
def test_yolo_conversion_has_upright_sizes_and_places(tmp_path, name):
    """A YOLO label is relative to the upright image: (0.25, 0.25) of 16 x 24 pixels is (4, 6)."""
    folder = tmp_path / "yolo"
    (folder / "images/train").mkdir(parents=True)
    (folder / "labels/train").mkdir(parents=True)
    (folder / "images/train" / f"a{FORMATS[name][2]}").write_bytes(encode(name, "RGB", 6))
    (folder / "labels/train/a.txt").write_text("0 0.5 0.5 1 1 0.25 0.25 2 0.5 0.5 2\n")
    (folder / "data.yaml").write_text("train: images/train\nkpt_shape: [2, 3]\nnames: [person]\n")
    convert_file(folder, tmp_path / "coco.json", source_format="yolo", keypoints=["nose", "tail"])
    coco = json.loads((tmp_path / "coco.json").read_text())
    assert [(image["width"], image["height"]) for image in coco["images"]] == [(16, 24)]
    assert coco["annotations"][0]["keypoints"][:2] == [4, 6]


def test_exif_behind_the_pixels_of_a_png_is_found(tmp_path):
    content = encode("PNG", "RGB", 6)
    start = content.index(b"eXIf") - 4
    end = start + 12 + struct.unpack_from(">I", content, start)[0]
    moved = content[:start] + content[end:-12] + content[start:end] + content[-12:]
    path = tmp_path / "late.png"
    path.write_bytes(moved)
    expected = expect("PNG", "RGB", 6)
    assert read_image_size(path) == inspect_image(path).size_wh == (16, 24)
    for way, read in PATHS.items():
        assert np.array_equal(read(path), expected), way


def test_only_exif_turns_an_image(tmp_path):
    """As OpenCV and browsers have it: what XMP data say of the orientation does not count."""
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    path = tmp_path / "xmp.jpg"
    make_picture("RGB").save(path, xmp=xmp)
    for way in PATHS.keys() - {"Pillow, upright already"}:  # where Pillow itself reads XMP data
        assert PATHS[way](path).shape == (16, 24, 3), way
    assert read_image_size(path) == inspect_image(path).size_wh == SIZE_WH


@pytest.mark.parametrize("orientation", [0, 9, 255])
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WebP", "TIFF"])
def test_orientations_that_do_not_exist_turn_nothing(tmp_path, name, orientation):
    path = tmp_path / f"picture{FORMATS[name][2]}"
    path.write_bytes(encode(name, "RGB", orientation))
    for way, read in PATHS.items():
        assert np.array_equal(read(path), expect(name, "RGB", 1)), way


def test_damaged_exif_turns_nothing():
    content = encode("JPEG", "RGB", 6)
    start = content.index(b"MM\0*")
    for offset in (4, 8, 9, 14):
        spoilt = bytearray(content)
        spoilt[start + offset] ^= 0xFF
        assert decode_image(bytes(spoilt)).size == 24 * 16 * 3


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bit_colors_keep_the_high_byte(tmp_path, suffix):
    values = np.arange(16 * 24 * 3, dtype=np.uint16).reshape(16, 24, 3) * 56
    path = tmp_path / f"deep{suffix}"
    assert cv2.imwrite(str(path), values)
    for way, read in PATHS.items():
        assert np.array_equal(read(path), values >> 8), way


@pytest.mark.parametrize("name", ["JPEG", "JPEG progressive", "PNG", "WebP", "TIFF", "BMP"])
def test_what_is_cut_off_is_refused_on_every_path(tmp_path, name):
    random = np.random.default_rng(0)
    out = io.BytesIO()
    writer, options, suffix, _ = FORMATS[name]
    Image.fromarray(random.integers(0, 256, (60, 80, 3), dtype=np.uint8)).save(out, writer, **options)
    whole, path = out.getvalue(), tmp_path / f"cut{suffix}"
    for length in (0, 1, 10, len(whole) // 3, len(whole) * 3 // 4):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"^\S*cut\S* (is|has|cannot) .*\.$"):
            read_image(path)
        with pytest.raises(DataError):
            load_as_training(path)
        (frame,) = read_frames(path)
        assert frame.error.startswith(str(path))
        assert inspect_image(path).kind == "image-truncated"


def test_what_stands_behind_the_end_of_a_jpeg_does_not_matter():
    """Phones append a video to a photo, whose bytes may look like those of a JPEG."""
    content = encode("JPEG", "RGB", 6) + b"\xff\xda" * 5000 + bytes(100)
    assert np.array_equal(decode_image(content), expect("JPEG", "RGB", 6))


@pytest.mark.parametrize("mode", ["I", "F"])
def test_values_without_a_range_are_refused(tmp_path, mode):
    path = tmp_path / "deep.tif"
    picture = make_picture("L").convert(mode)
    picture.save(path)
    with pytest.raises(DataError, match=f"pixels of mode {mode}, whose range is not known: convert it to RGB"):
        read_image(path)
    with pytest.raises(DataError, match=f"The image has pixels of mode {mode}"):
        convert_image(picture)
    assert inspect_image(path).kind == "image-truncated"


def test_pictures_of_other_classes_derived_from_pillow_are_pictures():
    class Photo(Image.Image):
        """A class of the user's own."""

    photo = Photo()
    photo.__dict__.update(make_picture("RGB").__dict__)
    assert np.array_equal(convert_image(photo), np.asarray(make_picture("RGB"))[..., ::-1])


def test_arrays_stay_as_they_are():
    values = np.asarray(make_picture("RGB"))
    assert np.array_equal(convert_image(values), values)
    assert np.array_equal(convert_image(values[..., 0]), np.repeat(values[..., :1], 3, axis=2))
    assert np.array_equal(convert_image(np.dstack([values, values[..., 0]])), values)
    for wrong in (values.astype(float), values[..., :2], values[:0], np.zeros((2, 2, 2, 2), np.uint8)):
        with pytest.raises(DataError, match="is not an image"):
            convert_image(wrong)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"words", "is not an image: give JPEG, PNG, WebP, BMP or TIFF"),
        (b"GIF89a" + bytes(20), "is not an image: give"),
        (b"\0\0\0\x18ftypheic" + bytes(20), "is a HEIF or AVIF image: convert it to JPEG, PNG, WebP, BMP or TIFF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "is not an image: give"),
    ],
)
def test_other_files_have_one_sentence(tmp_path, content, sentence):
    path = tmp_path / "picture.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError) as found:
        read_image(path)
    assert str(found.value).startswith(f"{path} {sentence}")


def make_claim(width: int, height: int) -> bytes:
    """Return a PNG of a few bytes that claims a size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return start + struct.pack(">I", 0) + b"IDAT" + bytes(4) + b"\0\0\0\0IEND\xaeB`\x82"


def test_pixels_are_limited_on_every_path(tmp_path, monkeypatch):
    path = tmp_path / "large.png"
    path.write_bytes(make_claim(20_000, 20_000))
    sentence = "has 20000 x 20000 pixels, more than the limit of 200 million; the environment variable"
    for read in (read_image, read_image_size, load_as_training):
        with pytest.raises(DataError, match=sentence):
            read(path)
    assert sentence in inspect_image(path).fault
    monkeypatch.setenv("RTMO_MAX_MEGAPIXELS", "0.0003")
    with pytest.raises(DataError, match=r"24 x 16 pixels, more than the limit of 0\.0003 million"):
        convert_image(make_picture("RGB"))
    monkeypatch.setenv("RTMO_MAX_MEGAPIXELS", "500")
    assert read_image_size(path) == (20_000, 20_000)
    for wrong in ("many", "nan", "-1", "inf"):
        monkeypatch.setenv("RTMO_MAX_MEGAPIXELS", wrong)
        with pytest.raises(ConfigError, match=f"RTMO_MAX_MEGAPIXELS={wrong}: give the largest number of megapixels"):
            read_image_size(path)


def test_missing_files_are_missing(tmp_path):
    for read in (read_image, read_image_size, load_as_training):
        with pytest.raises(MissingFileError, match=r"The file .* does not exist"):
            read(tmp_path / "none.jpg")


def test_turning_is_that_of_pillow():
    picture = make_picture("RGB")
    for orientation in range(1, 9):
        expected = picture.transpose(TURNS[orientation]) if orientation in TURNS else picture
        assert np.array_equal(turn_upright(np.asarray(picture), orientation), np.asarray(expected))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_spoilt_files_are_refused_or_as_large_as_their_header_says(name):
    """Bytes changed, mostly in the header, or cut off anywhere."""
    random, content = np.random.default_rng(1), encode(name, "RGB", 6)
    for _ in range(60):
        spoilt = bytearray(content[: random.integers(1, len(content)) if random.random() < 0.2 else None])
        spoilt[random.integers(min(len(spoilt), 200))] = random.integers(256)
        sentence = "The image is read."
        try:
            header = read_header(bytes(spoilt), max_pixels=10**6)
            image = decode_image(bytes(spoilt), max_pixels=10**6)
        except DataError as error:
            sentence = str(error)
        else:
            assert image.shape[1::-1] == header.size_wh
        assert sentence.startswith("The image ")
        assert sentence.endswith(".")


@pytest.mark.parametrize("size", [10**6, 2**31 - 1, 2**32 - 1])
def test_a_chunk_longer_than_its_file_is_refused_without_decoding(monkeypatch, size):
    content = bytearray(encode("PNG", "RGB"))
    start = content.index(b"IDAT") - 4
    content[start : start + 4] = struct.pack(">I", size)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(DataError, match="is cut off: its end is missing"):
        decode_image(bytes(content))
