"""Bones of each class: from a COCO file through the config and the metadata of a model to its plots and pages."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from mmpose.structures import PoseDataSample

from rtmo_plugin.analysis.analysis_input import evaluate_results_file, evaluate_with_config
from rtmo_plugin.analysis.measures.study import study
from rtmo_plugin.analysis.worst_images import draw_worst_images
from rtmo_plugin.config.edits import prepare_config
from rtmo_plugin.data.coco_keypoints import CocoKeypoints
from rtmo_plugin.engine.hooks.batch_plots import write_batch_plot
from rtmo_plugin.engine.hooks.prediction_plots import PictureHook
from rtmo_plugin.errors import DataError
from rtmo_plugin.files import read_json, write_json
from rtmo_plugin.keypoints.metainfo import read_class_skeletons
from rtmo_plugin.labels import read_dataset_keypoints
from rtmo_plugin.media.frames import Frame
from rtmo_plugin.media.image_files import write_image
from rtmo_plugin.media.images import read_image
from rtmo_plugin.pose.label_drafts import _describe_categories
from rtmo_plugin.pose.results import PoseResult
from rtmo_plugin.runtime.detections import Detections
from rtmo_plugin.runtime.model_info import ModelInfo
from rtmo_plugin.structures import KeypointSchema
from rtmo_plugin.webpage.page_files import PAGE, describe_for_page
from tests.browser import CHROMIUM, Browser
from tests.faults.test_29_originals_stay import Images
from tests.labels.conftest import make_set

SKELETONS = (((0, 1),), ((1, 2),))
OF_THEIR_CLASSES = [True, False, False, True]  # limbs in an image of ``make_people``
INFO = ModelInfo(
    KeypointSchema(("a", "b", "c"), (0.1,) * 3, skeleton=((0, 1), (1, 2))), ("cat", "dog"), class_skeletons=SKELETONS
)


def make_joined(*skeletons):
    coco = make_set()
    for category, skeleton in zip(coco["categories"], skeletons):
        category["skeleton"] = skeleton
    return coco


@pytest.mark.parametrize(
    ("skeletons", "found"),
    [
        (([[1, 2]], [[2, 3], [2, 3]]), (((0, 1),), ((1, 2),))),
        (([[1, 2]], []), (((0, 1),), ((0, 1),))),
        (([[1, 2], [2, 3]], [[2, 3], [1, 2]]), ()),
    ],
)
def test_a_file_whose_classes_have_different_bones(tmp_path, skeletons, found):
    path = tmp_path / "train.json"
    path.write_text(json.dumps(make_joined(*skeletons)))
    data = read_dataset_keypoints(path)
    assert data.class_skeletons == found
    assert set(data.schema.skeleton) == {(a - 1, b - 1) for bones in skeletons for a, b in bones}


def test_the_config_has_them_and_the_data_set_passes_them_on(tmp_path):
    for name in ("train.json", "val.json"):
        (tmp_path / name).write_text(json.dumps(make_joined([[1, 2]], [[2, 3]])))
    cfg = prepare_config("rtmo-s_custom", data_root=tmp_path)
    options = {key: value for key, value in cfg.test_dataloader.dataset.items() if key != "type"}
    metainfo = CocoKeypoints(**{**options, "pipeline": [], "lazy_init": True}).metainfo
    assert read_class_skeletons(metainfo, 2) == SKELETONS
    assert read_class_skeletons(metainfo, 1) == read_class_skeletons({}, 2) == ()


def test_metadata_of_a_file_keep_them():
    strings = INFO.to_strings()
    assert ModelInfo.from_strings(strings, "x.onnx") == INFO
    del strings["class_skeletons"]  # as in files of earlier versions
    assert ModelInfo.from_strings(strings, "x.onnx").find_skeletons([1]) == [INFO.schema.skeleton]
    for wrong in ([[[0, 1]]], [[[0, 3]], []], [0, 1], "ab"):
        with pytest.raises(DataError, match="metadata that this version cannot read"):
            ModelInfo.from_strings({**strings, "class_skeletons": json.dumps(wrong)}, "x.onnx")


def make_people():
    """Return a cat and a dog, three points from left to right each, the dog below the cat."""
    points = np.array([[10.0, 20.0], [50.0, 20.0], [90.0, 20.0]])
    keypoints = np.stack([points, points + np.array([0, 60])])
    boxes = np.array([[5.0, 15.0, 95.0, 25.0], [5.0, 75.0, 95.0, 85.0]])
    return Detections(boxes, np.ones(2), keypoints, np.ones((2, 3)), np.array([0, 1]))


def list_limbs(image, scale=1.0):
    """Return which limbs are in an image: the first and the second of the cat, then those of the dog."""
    places = [(round(y * scale), round(x * scale)) for y in (20, 80) for x in (30, 70)]
    return [bool(image[place].max() > 60) for place in places]


def test_a_person_is_drawn_with_the_bones_of_the_class():
    result = PoseResult(Frame(np.zeros((100, 100, 3), np.uint8), "x"), make_people(), INFO)
    assert list_limbs(result.plot()) == OF_THEIR_CLASSES


def test_labels_to_correct():
    categories = _describe_categories(INFO)
    assert {name: entry["skeleton"] for name, entry in categories.items()} == {"cat": [[1, 2]], "dog": [[2, 3]]}
    assert categories["dog"]["keypoints"] == ["a", "b", "c"]


@pytest.fixture
def animals(tmp_path):
    """Return a folder with a data set of them in one image."""
    write_image(tmp_path / "images/1.png", np.zeros((100, 100, 3), np.uint8))
    ids, people = (4, 9), make_people()
    coco = {
        "images": [{"id": 1, "file_name": "1.png", "width": 100, "height": 100}],
        "categories": [
            {"id": each, "name": name, "keypoints": list(INFO.schema.names), "skeleton": [[a + 1, b + 1]]}
            for each, name, ((a, b),) in zip(ids, INFO.classes, SKELETONS)
        ],
        "annotations": [
            {"id": each, "image_id": 1, "category_id": each, "bbox": [x, y, 90, 10], "area": 900, "iscrowd": 0}
            | {"keypoints": [number for point in points for number in (*point, 2)], "num_keypoints": 3}
            for each, (x, y, *_), points in zip(ids, people.boxes.tolist(), people.keypoints.tolist())
        ],
    }
    for name in ("train.json", "val.json"):
        write_json(tmp_path / name, coco)
    return tmp_path


@pytest.fixture
def meta(animals):
    """Return the metainfo that a data set of the custom recipe has."""
    options = prepare_config("rtmo-s_custom", data_root=animals).test_dataloader.dataset.to_dict()
    del options["type"]
    return CocoKeypoints(**{**options, "pipeline": []}).metainfo


def test_plots_of_validation(animals, meta, tmp_path):
    people, path = make_people(), str(animals / "images/1.png")
    values = dict(bboxes=people.boxes, bbox_scores=people.scores, labels=people.labels)
    values |= dict(keypoints=people.keypoints, keypoint_scores=people.keypoint_scores)
    sample = PoseDataSample(metainfo={"img_path": path})
    sample.pred_instances = InstanceData(**values)
    loop = SimpleNamespace(dataloader=SimpleNamespace(dataset=Images(path)))
    runner = SimpleNamespace(val_loop=loop, val_evaluator=SimpleNamespace(dataset_meta=meta), epoch=1)
    hook = PictureHook(tmp_path / "plots")
    hook.before_val(runner)
    hook.after_val_iter(runner, 0, None, [sample])
    assert list_limbs(read_image(tmp_path / "plots/epoch_1/1.jpg")) == OF_THEIR_CLASSES


def test_plots_of_training_batches(meta, tmp_path):
    people, sample = make_people(), PoseDataSample()
    sample.gt_instance_labels = InstanceData(
        bboxes=torch.from_numpy(people.boxes),
        labels=torch.from_numpy(people.labels),
        keypoints=torch.from_numpy(people.keypoints),
        keypoints_visible=torch.ones(2, 3),
    )
    write_batch_plot(tmp_path / "batch.png", {"inputs": [torch.zeros(3, 100, 100)], "data_samples": [sample]}, meta)
    assert list_limbs(read_image(tmp_path / "batch.png")) == OF_THEIR_CLASSES


@pytest.mark.parametrize("has_config", [True, False])
def test_the_page_of_an_analysis(animals, has_config):
    people = read_json(animals / "val.json")["annotations"]
    rows = [
        {"image_id": 1, "score": 0.9, **{key: each[key] for key in ("category_id", "keypoints")}} for each in people
    ]
    for row in rows:
        row["keypoints"][0] += 8.0  # an error, without which the page does not show the image
        row["keypoints"][2::3] = [0.9] * 3  # scores, where the data set has visibilities
    write_json(animals / "found.json", rows)
    if has_config:
        data = evaluate_with_config(prepare_config("rtmo-s_custom", data_root=animals), animals / "found.json")
    else:
        data = evaluate_results_file(animals / "found.json", animals / "val.json", animals / "images")
    (shown,) = draw_worst_images(data, study(data.comparison, ()), 1)
    drawn = cv2.imdecode(np.frombuffer(shown.jpeg, np.uint8), cv2.IMREAD_COLOR)
    middle = drawn.shape[1] // 2
    for half in (drawn[:, :middle], drawn[:, -middle:]):
        assert list_limbs(half, drawn.shape[0] / 100) == OF_THEIR_CLASSES


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open the page with")
def test_the_page_in_a_browser(tmp_path):
    """The page draws what ``rtmo serve`` and a folder of ``--format web`` say of a model and its people."""
    people = PoseResult(Frame(np.zeros((100, 100, 3), np.uint8), "x"), make_people(), INFO).to_dict()["people"]
    model = json.dumps(describe_for_page(INFO, "animals", 0.3))
    code = (PAGE / "plot.js").read_text().replace("export ", "")
    draw = f"""(() => {{
      {code}
      const canvas = new OffscreenCanvas(100, 100);
      const context = canvas.getContext("2d");
      plotPeople(context, {json.dumps(people)}, {model}, 0.3, null);
      return [20, 80].flatMap((y) => [30, 70].map((x) => context.getImageData(x, y, 1, 1).data[3] > 0));
    }})()"""
    with Browser(tmp_path) as browser:
        assert browser.evaluate(draw) == OF_THEIR_CLASSES
