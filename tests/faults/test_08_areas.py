"""Areas that are zero, constant or of another scale: found, mended, and taken from the box for training and AP."""

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.logging import MMLogger

from rtmo_plugin.config.edits import prepare_config
from rtmo_plugin.data.coco_keypoints import CocoKeypoints
from rtmo_plugin.evaluation.ground_truth import make_ground_truth
from rtmo_plugin.evaluation.records import MetricOptions
from rtmo_plugin.keypoints.person_areas import find_area_faults
from rtmo_plugin.labels import check_coco, fix_coco, read_dataset_keypoints
from tests.conftest import ROOT
from tests.faults.label_files import BOXES, NAMES, make_file, make_people, write

SIZES = [(60, 90), (40, 120), (30, 30), (100, 50), (20, 70), (55, 65), (45, 150)]


def make_areas(change):
    people = [{"bbox": [5, 5, w, h], "area": 0.5 * w * h} for w, h in SIZES]
    return [{**person, "area": change(person["area"])} for person in people]


WRONG = {
    "zero": lambda area: 0,
    "one": lambda area: 1,
    "constant": lambda area: 1500.0,
    "share of the image": lambda area: area / 640 / 480,
    "square root": lambda area: area**0.5,
    "ten times": lambda area: area * 10,
    "a tenth": lambda area: area * 0.1,
    "a hundredth": lambda area: area * 0.01,
}


@pytest.mark.parametrize("name", WRONG)
def test_areas_that_cannot_be_true_are_found(name):
    assert list(find_area_faults(make_areas(WRONG[name]))) == list(range(len(SIZES)))


@pytest.mark.parametrize("share", [0.3, 0.53, 1.0, 2.0])
def test_areas_of_people_and_of_their_boxes_are_right(share):
    assert find_area_faults(make_areas(lambda area: area * share)) == {}


def test_what_cannot_be_judged_is_no_fault():
    same = [{"bbox": [5, 5, 20, 30], "area": 300}] * 9  # equal boxes may have equal areas
    crowd = {"bbox": [0, 0, 90, 90], "area": 0, "iscrowd": 1}
    assert find_area_faults([*same, crowd, {"bbox": [5, 5, 20, 30]}, {"bbox": [5, 5, 0, 30], "area": 0}]) == {}


def test_zero_is_a_finding_and_mended_from_the_box():
    coco = make_file(make_people(area=0))
    assert len(check_coco(coco)["area-size"]) == len(coco["annotations"])
    fixed = fix_coco(coco)
    assert fixed.remaining == {}
    boxes = [person["bbox"] for person in fixed.coco["annotations"]]
    assert [each["area"] for each in fixed.coco["annotations"]] == pytest.approx([0.53 * w * h for _, _, w, h in boxes])


@pytest.mark.parametrize("area", [0, 1, None])
def test_training_takes_the_box_and_says_so(tmp_path, area):
    people = make_people(area=area)
    if area is None:
        for person in people:
            del person["area"]
    task = read_dataset_keypoints(write(tmp_path, make_file(people)))
    assert not task.has_areas
    (note,) = task.notes
    assert note.endswith("0.53 of the box is taken in training and evaluation")


def test_areas_that_fit_are_no_line(tmp_path):
    task = read_dataset_keypoints(write(tmp_path, make_file(make_people())))
    assert (task.has_areas, task.notes) == (True, ())


@pytest.fixture
def log(caplog):
    """Return what is logged by MMEngine's logger."""
    logger = MMLogger.get_current_instance()
    level = logger.level  # which trainings of other tests may have raised
    logger.addHandler(caplog.handler)
    logger.setLevel("INFO")
    yield caplog
    logger.setLevel(level)
    logger.removeHandler(caplog.handler)


def test_evaluation_takes_the_box_for_zero(log):
    truth = make_ground_truth(make_file(make_people(area=0)), "val.json", MetricOptions(), 3)
    boxes = truth.boxes_xywh
    assert truth.areas == pytest.approx(0.53 * boxes[:, 2] * boxes[:, 3])
    assert "5 of 5 people have no area; 0.53 of their box is taken" in log.text


def test_evaluation_says_that_areas_do_not_fit(log):
    make_ground_truth(make_file(make_people()), "val.json", MetricOptions(), 3)
    assert log.text == ""
    make_ground_truth(make_file(make_people(area=1)), "val.json", MetricOptions(), 3)
    assert "The areas of 5 of 5 people do not fit their boxes (area is 1 in a box of 90 x 200" in log.text


@pytest.mark.parametrize("area", [0, 1])
def test_data_sets_take_the_box(tmp_path, area):
    write(tmp_path, make_file(make_people(area=area)), "train.json")
    keypoints = {"names": NAMES, "sigmas": [0.1] * 3}
    cfg = Config.fromfile(ROOT / "configs/rtmo-t_custom.py")
    cfg = prepare_config(cfg, data_root=tmp_path, cfg_options={"model.head.keypoints.sigmas": [0.1] * 3})
    options = {**cfg.train_dataloader.dataset, "pipeline": []}
    assert options["use_area"] is False
    assert cfg.model.head.keypoints["names"] == keypoints["names"]
    options.pop("type")
    dataset = CocoKeypoints(**options)
    areas = np.sort(np.concatenate([dataset.get_data_info(index)["area"] for index in range(len(dataset))]))
    assert areas == pytest.approx(sorted(0.53 * w * h for _, _, w, h in BOXES))
