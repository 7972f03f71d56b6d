"""Predicting images: the people MMPose would find, pictures, JSON, and images that cannot be used."""

import json

import cv2
import numpy as np
import pytest
from mmpose.apis import inference_bottomup, init_model

from rtmo_plugin.api import predict
from rtmo_plugin.errors import ConfigError, DataError, MissingFileError, OutputError
from rtmo_plugin.pose.checkpoint_model import CheckpointModel

EVERYONE = {"model.test_cfg.score_thr": 0.0}


@pytest.fixture
def folder(tmp_path):
    """Return a folder with good, odd and bad files."""
    folder = tmp_path / "images"
    (folder / "folder.jpg").mkdir(parents=True)
    image = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    good = {"a.jpg": image, "gray.png": image[..., 0], "name with ü.PNG": image, "pixel.bmp": image[:1, :1]}
    for name, content in good.items():
        (folder / name).write_bytes(cv2.imencode(name[-4:].lower(), content)[1].tobytes())
    (folder / "empty.jpg").touch()
    (folder / "text.png").write_text("not an image")
    (folder / "half.jpg").write_bytes((folder / "a.jpg").read_bytes()[:300])
    (folder / "notes.txt").write_text("not for us")
    return folder


def test_bad_images_do_not_stop_the_good_ones(config, trained, folder, tmp_path):
    out = tmp_path / "out"
    predictions = predict(trained.checkpoint, folder, out=out, config=config, score_thr=0.0, cfg_options=EVERYONE)
    results = {result.frame.path.name: result for result in predictions}
    bad = {"empty.jpg", "text.png"}
    if results["half.jpg"].error:  # versions of OpenCV differ
        bad.add("half.jpg")
    assert results.keys() == {"a.jpg", "gray.png", "name with ü.PNG", "pixel.bmp", "half.jpg"} | bad
    assert {name for name, result in results.items() if result.error} == bad
    assert results["text.png"].error == f"{folder / 'text.png'} is not an image: give JPEG, PNG, WebP, BMP or TIFF."
    assert {path.name for path in out.iterdir()} == {"predictions.json", *results.keys() - bad}
    assert cv2.imread(str(out / "a.jpg")).shape == (60, 90, 3)

    content = json.loads((out / "predictions.json").read_text())
    assert content["keypoints"][:2] == ["nose", "left_eye"]
    assert content["images"] == [result.to_dict() for result in predictions]
    written = {entry["image"]: entry for entry in content["images"]}[str(folder / "a.jpg")]["people"]
    assert len(written) == len(results["a.jpg"]) > 0
    assert all(len(person["keypoints"]) == 17 for person in written)


def test_people_are_those_that_mmpose_finds(config, trained, data_root):
    checkpoint = CheckpointModel(config, trained.checkpoint, score_thr=0.0, device="cpu", cfg_options=EVERYONE)
    model = init_model(str(config), str(trained.checkpoint), device="cpu", cfg_options=EVERYONE)
    for path in sorted((data_root / "coco/val2017").iterdir()):
        image = cv2.imread(str(path))
        (ours,) = checkpoint.predict_batch([image])
        theirs = inference_bottomup(model, image)[0].pred_instances
        assert len(ours.keypoints) > 0
        np.testing.assert_allclose(ours.keypoints, theirs.keypoints)
        np.testing.assert_allclose(ours.scores, theirs.bbox_scores)


def test_threshold_leaves_people_out(config, trained, data_root, tmp_path):
    image = sorted((data_root / "coco/val2017").iterdir())[0]
    options = {"out": tmp_path, "config": config, "cfg_options": EVERYONE}
    scores = predict(trained.checkpoint, image, score_thr=0.0, **options)[0].scores.tolist()
    middle = sorted(scores)[len(scores) // 2]
    kept = predict(trained.checkpoint, image, score_thr=middle, **options)[0].scores.tolist()
    assert kept == [score for score in scores if score >= middle]
    assert 0 < len(kept) < len(scores)


def test_only_bad_images_is_an_error(config, trained, folder, tmp_path):
    with pytest.raises(DataError, match=r"No image of .* could be used: .*text\.png is not an image"):
        predict(trained.checkpoint, folder / "text.png", out=tmp_path / "out", config=config)


@pytest.mark.parametrize(
    ("name", "words"), [("nowhere", "nowhere does not exist"), ("folder.jpg", "No image or video was found in")]
)
def test_nothing_to_predict_is_an_error(config, trained, folder, tmp_path, name, words):
    with pytest.raises(MissingFileError, match=words):
        predict(trained.checkpoint, folder / name, out=tmp_path / "out", config=config)


def test_pictures_may_not_replace_the_images(config, trained, folder):
    with pytest.raises(OutputError, match="would be overwritten"):
        predict(trained.checkpoint, folder, out=folder, config=config)


def test_folder_that_cannot_be_made_is_refused(config, trained, folder):
    with pytest.raises(OutputError, match=r"text\.png/out/.* cannot be written: Not a directory"):
        predict(trained.checkpoint, folder, out=folder / "text.png/out", config=config)


def test_image_with_an_unknown_suffix_becomes_png(config, trained, folder, tmp_path):
    (folder / "a.jpg").rename(folder / "a.download")
    predict(trained.checkpoint, folder / "a.download", out=tmp_path / "out", config=config)
    assert (tmp_path / "out/a.download.png").is_file()


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_device_that_is_not_there_is_refused(config, trained, folder, tmp_path, device):
    with pytest.raises(ConfigError, match=f"--device {device} cannot be used here"):
        predict(trained.checkpoint, folder, out=tmp_path / "out", config=config, device=device)
