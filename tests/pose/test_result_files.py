"""CSV tables and OpenPose's JSON of results, written by the commands."""

import csv
import json

import numpy as np
import pytest

from rtmo_plugin.errors import ConfigError, OutputError
from rtmo_plugin.keypoints.sets import COCO
from rtmo_plugin.media.frames import Frame
from rtmo_plugin.media.image_files import write_image
from rtmo_plugin.pose.result_files import OPENPOSE_COCO, ResultFiles
from rtmo_plugin.pose.results import PoseResult
from rtmo_plugin.runtime.detections import Detections
from rtmo_plugin.runtime.model_info import ModelInfo
from tests.conftest import run_command
from tests.tiny_files import make_image


def make_result(num_people=2, *, name="a.jpg", uncertainty=None, error=None, ids=None):
    """Return a result whose numbers tell the person, the keypoint and the axis."""
    keypoints = np.arange(num_people * 34, dtype=float).reshape(num_people, 17, 2)
    people = Detections(
        boxes=np.arange(num_people * 4, dtype=float).reshape(num_people, 4),
        scores=np.linspace(0.9, 0.5, num_people),
        keypoints=keypoints,
        keypoint_scores=np.linspace(0, 1, num_people * 17).reshape(num_people, 17),
        labels=np.zeros(num_people, dtype=int),
        uncertainty=uncertainty,
    )
    frame = Frame(name=name, index=0, image=np.zeros((8, 8, 3), np.uint8), error=error)
    return PoseResult(frame, people, ModelInfo(schema=COCO), ids)


def read_rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_table(path, *results, stop=None):
    with ResultFiles([], csv=path).open(COCO.names) as write:
        for result in results:
            assert write(result) is result
        if stop:
            raise stop
    return read_rows(path)


def test_a_table_holds_what_the_json_holds(tmp_path):
    results = [make_result(2, ids=np.array([3, -1])), make_result(0, name="b,\n.jpg"), make_result(1, name="c,\n.jpg")]
    rows = write_table(tmp_path / "people.csv", *results)
    assert [row["image"] for row in rows] == ["a.jpg", "a.jpg", "c,\n.jpg"]
    assert [row["id"] for row in rows] == ["3", "-1", ""]
    people = [person for result in results for person in result.to_dict()["people"]]
    for row, person in zip(rows, people, strict=True):
        assert [float(row[name]) for name in ("score", "x1", "y1", "x2", "y2")] == [person["score"], *person["box"]]
        points = [[float(row[f"{name}_{part}"]) for part in ("x", "y", "visibility")] for name in COCO.names]
        assert points == person["keypoints"]
        assert row["class"] == "person"


def test_deviations_are_columns_where_there_are_some(tmp_path):
    deviations = np.arange(34, dtype=float).reshape(1, 17, 2)
    (row,) = write_table(tmp_path / "a.csv", make_result(1, uncertainty=deviations))
    assert (row["nose_x_deviation"], row["right_ankle_y_deviation"]) == ("0.0", "33.0")
    assert "nose_x_deviation" not in write_table(tmp_path / "b.csv", make_result(1))[0]


def test_a_table_without_people_has_its_header(tmp_path):
    assert write_table(tmp_path / "a.csv", make_result(0, error="a.jpg is damaged.")) == []
    assert (tmp_path / "a.csv").read_text().startswith("image,index,time,id,class,score,x1,y1,x2,y2,nose_x,nose_y,")


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_ctrl_c_keeps_the_people_so_far(tmp_path, stop):
    with pytest.raises(stop):
        write_table(tmp_path / "a.csv", make_result(2), stop=stop)
    assert len(read_rows(tmp_path / "a.csv")) == 2


def test_an_error_keeps_the_older_table(tmp_path):
    (tmp_path / "a.csv").write_text("older")
    with pytest.raises(ConfigError):
        write_table(tmp_path / "a.csv", make_result(2), stop=ConfigError("no"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    assert (tmp_path / "a.csv").read_text() == "older"


def test_inputs_are_not_overwritten(tmp_path):
    image = write_image(tmp_path / "a_keypoints.json.png", make_image())
    (tmp_path / "a_keypoints.json").write_text("labels")
    with pytest.raises(OutputError, match=r"a_keypoints\.json\.png is an input"):
        ResultFiles([image], csv=image)
    with pytest.raises(OutputError, match=r"a_keypoints\.json is an input"):
        ResultFiles([tmp_path / "a.png"], openpose=tmp_path, inputs=[tmp_path / "a_keypoints.json"])
    with pytest.raises(OutputError, match=r"is a file: give a folder"):
        ResultFiles([image], openpose=image)


def test_openpose_gets_its_order_and_a_neck(tmp_path):
    result = make_result(2)
    files = ResultFiles(["a.jpg"], openpose=tmp_path / "poses")
    with files.open(COCO.names) as write:
        write(result)
    content = json.loads((tmp_path / "poses/a_keypoints.json").read_text())
    assert content["version"] == 1.3
    assert [list(person) for person in content["people"]] == [
        [
            "person_id", "pose_keypoints_2d", "face_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d",
            "pose_keypoints_3d", "face_keypoints_3d", "hand_left_keypoints_3d", "hand_right_keypoints_3d",
        ]
    ] * 2  # fmt: skip
    for n, person in enumerate(content["people"]):
        points = dict(zip(OPENPOSE_COCO, np.reshape(person["pose_keypoints_2d"], (18, 3)), strict=True))
        for k, name in enumerate(COCO.names):
            assert points[name] == pytest.approx([*result.keypoints[n, k], result.visibility[n, k]], abs=1e-3)
        left, right = points["left_shoulder"], points["right_shoulder"]
        assert points["neck"] == pytest.approx([*(left[:2] + right[:2]) / 2, min(left[2], right[2])])
        assert person["person_id"] == [-1]


def test_the_order_is_that_of_openpose_documentation():
    numbers = {"nose": 0, "neck": 1, "right_shoulder": 2, "left_shoulder": 5, "right_hip": 8, "left_ankle": 13}
    numbers |= {"right_eye": 14, "left_eye": 15, "right_ear": 16, "left_ear": 17}
    assert {name: OPENPOSE_COCO.index(name) for name in numbers} == numbers


def test_commands_write_both(files, tmp_path, capsys):
    for name in ("one.png", "two.jpg"):
        write_image(tmp_path / name, make_image(seed=len(name)))
    (tmp_path / "three.jpg").write_bytes(b"no image")
    outputs = ["--csv", tmp_path / "people.csv", "--openpose", tmp_path / "poses", "--score-thr", "0.05"]
    code, out, err = run_command(capsys, "predict", files["decoded"], tmp_path / "*.[jp][pn]g", *outputs, "--json")
    records = [json.loads(line) for line in out.splitlines()]
    assert (code, "three.jpg" in err) == (1, True)
    num_people = sum(len(record["people"]) for record in records)
    assert len(read_rows(tmp_path / "people.csv")) == num_people > 0
    assert sorted(path.name for path in (tmp_path / "poses").iterdir()) == ["one_keypoints.json", "two_keypoints.json"]
    code, _, err = run_command(
        capsys, "predict", files["decoded"], tmp_path, *outputs, "--records", "jsonl", "--out", tmp_path / "j"
    )
    assert (code, "--csv and --openpose cannot be combined" in err) == (2, True)
