"""Whatever the random numbers: people stay with their pixels, and nothing that was given is changed."""

import copy

import cv2
import mmpose.datasets  # noqa: F401  (registers the transforms)
import numpy as np
import pytest
from mmengine.dataset import Compose

from rtmo_plugin.data.transforms.loading import LoadImage
from rtmo_plugin.errors import DataError, MissingFileError
from tests.data.transforms.records import FLIP, KEYS, Keep, Records, make_pipelines, make_record

SIZE_WH = (256, 256)
AFFINE = {"shift_factor": 0.2, "rotate_factor": 30, "scale_factor": (0.5, 1.5)}


def mark_keypoints(record):
    """Return the record with a white disc at each visible keypoint of a black image; others invisible."""
    image = np.zeros((*record["img_shape"], 3), np.uint8)
    keypoints = np.round(record["keypoints"])
    height, width = record["img_shape"]
    radius = max(4, width // 20)  # two pixels and more when it is resized to fit, and halved
    inside = ((keypoints > radius) & (keypoints < np.array([width, height]) - 1 - radius)).all(axis=-1)
    visible = record["keypoints_visible"] * inside
    for x, y in keypoints[visible > 0].astype(int):
        cv2.circle(image, (x, y), radius, (255, 255, 255), -1)
    return {**record, "img": image, "keypoints": keypoints, "keypoints_visible": visible}


@pytest.mark.parametrize("ratio", [None, (0.6, 1.6)])
def test_keypoints_stay_on_their_pixels(ratio):
    """A visible keypoint lies on the disc that was drawn at it, white, or half so if it was mixed."""
    records = Records()
    records.records = [mark_keypoints(record) for record in records.records]
    _, ours = make_pipelines(SIZE_WH, AFFINE, ratio)
    ours.transforms = [step for step in ours.transforms if type(step).__name__ != "YOLOXHSVRandomAug"]
    seen = 0
    for seed in range(40):
        sample = records.run(ours, seed % len(records), seed)
        keypoints = sample["keypoints"][sample["keypoints_visible"] > 0]
        x, y = np.clip(np.round(keypoints), 0, 255).astype(int).T
        levels = sample["img"][y, x, 0]
        assert (levels >= (255 if ratio is None else 126) - 25).all(), (seed, levels.min())
        seen += len(levels)
    assert seen > 200


def test_boxes_hold_visible_keypoints_and_lie_in_the_view():
    records = Records()
    _, ours = make_pipelines(SIZE_WH, AFFINE, (0.6, 1.6))
    for seed in range(40):
        sample = records.run(ours, seed % len(records), seed)
        assert len({len(sample[key]) for key in KEYS}) == 1
        boxes, keypoints, is_visible = sample["bbox"], sample["keypoints"], sample["keypoints_visible"] > 0
        assert (keypoints[is_visible] >= -1).all()  # mirroring is about the middle of pixels: -1 for the far edge
        assert (keypoints[is_visible] <= 256).all()
        assert (boxes[:, 2:] >= boxes[:, :2]).all()
        low, high = boxes[:, None, :2] - 0.1, boxes[:, None, 2:] + 0.1
        assert ((keypoints >= low) & (keypoints <= high)).all(axis=-1)[is_visible].all()


def test_areas_follow_the_scale():
    records = Records()
    scale = {"shift_factor": 0, "rotate_factor": 25, "scale_factor": (0.5, 0.5), "shear_factor": 0}
    _, ours = make_pipelines(SIZE_WH, scale, None)
    sample = records.run(ours, 0, 0)  # 256 x 192 fits: its own people come first, at half their size
    np.testing.assert_allclose(sample["area"][:3], records.records[0]["area"] / 4, rtol=1e-5)


def test_mirroring_twice_changes_nothing():
    record = {**make_record(np.random.default_rng(0), (64, 48)), "flip_indices": FLIP}
    flip = Compose([{"type": "rtmo_plugin.RandomFlip", "prob": 1.0}] * 2)
    twice = flip(copy.deepcopy(record))
    for key in ("img", *KEYS):
        np.testing.assert_allclose(twice[key], record[key], atol=1e-4)


def test_a_view_of_a_single_image_that_does_not_move_is_the_image():
    record = make_record(np.random.default_rng(0), (64, 48))
    still = {"shift_prob": 0, "rotate_prob": 0, "scale_prob": 0, "shear_prob": 0, "pad_val": 7}
    view = Compose([{"type": "rtmo_plugin.BottomupRandomAffine", "input_size": (80, 60), **still}])(record)
    np.testing.assert_array_equal(view["img"][:48, :64], record["img"])
    assert (view["img"][48:] == 7).all()
    assert (view["img"][:, 64:] == 7).all()


def test_records_are_not_changed():
    records = Records(3)
    records.get_data_info = lambda index: dict(records.records[index])  # the arrays themselves
    before = copy.deepcopy(records.records)
    _, ours = make_pipelines(SIZE_WH, AFFINE, (0.6, 1.6))
    for seed in range(12):
        records.run(ours, seed % 3, seed)
    for record, unchanged in zip(records.records, before):
        for key in ("img", *KEYS):
            np.testing.assert_array_equal(record[key], unchanged[key])


def test_an_image_without_people_is_not_mixed_in():
    records = Records(1)
    nobody = {key: records.records[0][key][:0] for key in KEYS}
    record = records.get_data_info(0)
    records.records = [{**records.records[0], **nobody}]
    mixup = Compose([{"type": "rtmo_plugin.YOLOXMixUp", "img_scale": SIZE_WH, "pre_transform": [Keep()]}])
    mixed = mixup({**record, "dataset": records})
    assert mixed["img"] is record["img"]
    assert len(mixed["keypoints"]) == 3


@pytest.fixture
def files(tmp_path):
    """Records whose images are JPEG files."""
    records = Records(4)
    for index, record in enumerate(records.records):
        record["img_path"] = str(tmp_path / f"{index}.jpg")
        cv2.imwrite(record["img_path"], record.pop("img"))
    return records


def test_images_out_of_view_are_not_decoded(files):
    """With the mosaic's middle in the far corner the view shows the first image only: the others are headers."""
    for record in files.records[1:]:
        with open(record["img_path"], "r+b") as file:
            file.truncate(700)
    load = {"type": "rtmo_plugin.LoadImage"}
    still = {"shift_factor": 0, "rotate_factor": 0, "scale_factor": (1, 1), "shear_factor": 0}
    sample = files.run(
        Compose(
            [
                load,
                {"type": "rtmo_plugin.Mosaic", "img_scale": SIZE_WH, "center_range": (1.5, 1.5)},
                {"type": "rtmo_plugin.BottomupRandomAffine", "input_size": SIZE_WH, **still},
            ]
        ),
        0,
        0,
    )
    assert sample["img"].shape == (256, 256, 3)
    assert len(sample["keypoints"]) == 12


def test_headers_are_believed_only_if_they_are_true(files, tmp_path):
    path = files.records[0]["img_path"]
    image = cv2.imread(path)
    loader = LoadImage()
    assert loader.read_shape({"img_path": path})["img_shape"] == image.shape[:2]
    cv2.imwrite(str(tmp_path / "picture.png"), image)
    glanced = loader.read_shape({"img_path": str(tmp_path / "picture.png")})
    assert (glanced["img_shape"], "img" in glanced) == (image.shape[:2], False)
    with pytest.raises(MissingFileError, match=r"nothing\.jpg"):
        loader.read_shape({"img_path": str(tmp_path / "nothing.jpg")})
    turned = tmp_path / "turned.jpg"  # an EXIF header that asks OpenCV to turn the image
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    content = (tmp_path / "0.jpg").read_bytes()
    turned.write_bytes(content[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + content[2:])
    assert cv2.imread(str(turned)).shape[:2] == image.shape[1::-1]
    assert loader.read_shape({"img_path": str(turned)})["img_shape"] == image.shape[1::-1]


def test_an_image_of_another_size_than_its_header_says_is_named(files):
    load = Compose([{"type": "rtmo_plugin.Mosaic", "img_scale": SIZE_WH, "pre_transform": [Keep()]}])
    records = Records(4)
    records.records[1]["img_shape"] = (7, 9)
    records.records[1]["img_path"] = "odd.jpg"
    collage = load({**records.get_data_info(1), "dataset": records})["img"]
    with pytest.raises(DataError, match=r"odd.jpg decodes to \(120, 256\)"):
        collage.draw(np.eye(3), (512, 512))
