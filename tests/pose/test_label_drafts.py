"""Predictions as labels to correct: read back without loss, the least certain images first."""

import csv

import cv2
import numpy as np
import pytest

from rtmo_plugin.files import write_json
from rtmo_plugin.labels import read_coco
from rtmo_plugin.labels.conversion import convert_to_coco
from rtmo_plugin.labels.label_set import ReadOptions
from rtmo_plugin.pose.label_drafts import measure_doubts
from rtmo_plugin.pose.pose import Pose
from tests.tiny_files import make_image
from tests.tools.test_tools import run_in_process

SCORE = 0.28


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Return a folder of four images, one of them below it and one that is damaged."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "sub").mkdir()
    for seed, name in enumerate(["a.png", "b.png", "sub/c.png"]):
        assert cv2.imwrite(str(folder / name), make_image(seed=seed))
    (folder / "d.png").write_bytes(b"no image")
    return folder


def draft(capsys, *arguments):
    return run_in_process(capsys, "dataset", "label", *arguments, "--score-thr", SCORE)


def expect_doubts(files, photos):
    pose = Pose(files["decoded"], score_thr=0.1)
    names = ("a.png", "b.png", "sub/c.png")
    return {name: max(measure_doubts(pose(photos / name)), default=0.0) for name in names}


def list_people(coco):
    names = {image["id"]: image["file_name"] for image in coco["images"]}
    return [(names[each["image_id"]], each["bbox"], each["keypoints"]) for each in coco["annotations"]]


def test_the_least_certain_images_come_first(files, photos, tmp_path, capsys):
    out = tmp_path / "draft.json"
    code, said, _ = draft(capsys, files["decoded"], photos, "--out", out)
    assert code == 0
    coco, doubts = read_coco(out), expect_doubts(files, photos)
    ordered = sorted(doubts, key=lambda name: (-doubts[name], name))
    assert [image["file_name"] for image in coco["images"]] == ordered
    assert len(set(doubts.values())) > 1
    assert f"{ordered[0]} ({doubts[ordered[0]]:.2f})" in said
    assert "  skipped: " in said
    assert "d.png" in said
    with (tmp_path / "draft.order.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == ordered
    assert [float(row["doubt"]) for row in rows] == [round(doubts[name], 3) for name in ordered]
    result = Pose(files["decoded"], score_thr=SCORE)(photos / ordered[0])
    people = [person for person in list_people(coco) if person[0] == ordered[0]]
    assert len(people) == len(result) > 0
    point = result.keypoints[0, int(np.argmax(result.visibility[0]))]
    assert np.abs(np.array(people[0][2]).reshape(-1, 3)[:, :2] - point).max(axis=1).min() <= 0.01


@pytest.mark.parametrize("name", ["cvat", "labelme", "label-studio", "yolo"])
def test_every_format_is_read_back_without_loss(files, photos, tmp_path, capsys, name):
    plain, out = tmp_path / "plain.json", tmp_path / ("draft.xml" if name == "cvat" else "draft")
    draft(capsys, files["decoded"], photos, "--out", plain)
    code, _, err = draft(capsys, files["decoded"], photos, "--to", name, "--out", out, "--address", "/x/?d=in/")
    assert (code, err) == (0, "")
    coco = read_coco(plain)
    sizes = {image["file_name"]: (image["width"], image["height"]) for image in coco["images"]}
    options = ReadOptions(keypoints=coco["categories"][0]["keypoints"], sizes=sizes)
    back, _ = convert_to_coco(out, name, options)
    found, wanted = sorted(list_people(back)), sorted(list_people(coco))
    assert [person[0] for person in found] == [person[0] for person in wanted]
    for (_, box, keypoints), (_, other, others) in zip(found, wanted):
        np.testing.assert_allclose([*box, *keypoints], [*other, *others], atol=1e-6)
    assert (tmp_path / "draft.order.csv").is_file()
    if name == "label-studio":
        text = (out / "tasks.json").read_text()
        assert '"image": "/x/?d=in/' in text
        assert '"annotations"' not in text
        assert [image["file_name"] for image in back["images"]] == [image["file_name"] for image in coco["images"]]


def test_deviations_decide_on_the_order_of_a_checkpoint(tiny_model, photos, tmp_path, capsys):
    config, checkpoint = tiny_model
    arguments = (checkpoint, photos, "--config", config, "--order", "deviation", "--limit", 2)
    code, _, _ = draft(capsys, *arguments, "--out", tmp_path / "draft.json")
    assert code == 0
    pose = Pose(checkpoint, config=config, score_thr=0.1, uncertainty=True)
    doubts = {name: max(measure_doubts(pose(photos / name)), default=0) for name in ("a.png", "b.png", "sub/c.png")}
    ordered = sorted(doubts, key=lambda name: (-doubts[name], name))
    assert [image["file_name"] for image in read_coco(tmp_path / "draft.json")["images"]] == ordered[:2]


def test_labeled_images_are_left_out_and_mistakes_are_one_sentence(files, photos, tmp_path, capsys):
    known = {"images": [{"file_name": name} for name in ("a.png", "d.png", "sub/c.png")], "annotations": []}
    skip = write_json(tmp_path / "known.json", {**known, "categories": []})
    out = tmp_path / "draft.json"
    draft(capsys, files["decoded"], photos, "--out", out, "--skip", skip)
    assert [image["file_name"] for image in read_coco(out)["images"]] == ["b.png"]
    (tmp_path / "empty").mkdir()
    mistakes = [
        ((photos, "--out", out), f"{out} exists already"),
        ((tmp_path / "none", "--out", tmp_path / "x.json"), "The image folder"),
        ((tmp_path / "empty", "--out", tmp_path / "x.json"), "No image was found in"),
        (
            (photos, "--out", tmp_path / "x.json", "--order", "deviation"),
            f"{files['decoded']} holds no uncertainty of keypoints",
        ),
    ]
    for arguments, sentence in mistakes:
        code, said, err = draft(capsys, files["decoded"], *arguments)
        assert (code, said) == (2, "")
        assert err.startswith(f"error: {sentence}")
        assert err.count("\n") == 1
    assert not (tmp_path / "x.json").exists()


def test_doubts_of_scores(files, photos):
    result = Pose(files["decoded"], score_thr=0.1)(photos / "a.png")
    assert measure_doubts(result) == pytest.approx([1 - abs(2 * score - 1) for score in result.scores])
