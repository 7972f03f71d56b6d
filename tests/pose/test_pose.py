"""``Pose``: the answers of the model, whatever is given and however, and results that can be handed on."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from rtmo_plugin import Pose
from rtmo_plugin.errors import CheckpointError, ConfigError, DataError, MissingFileError, OutputError
from rtmo_plugin.runtime.exported_model import ExportedModel
from tests.media.test_sources import write_video
from tests.tiny_files import make_image


@pytest.fixture(scope="module")
def pose(files):
    return Pose(files["end2end"], score_thr=0.1, threads=1)


@pytest.fixture(scope="module")
def result(pose):
    return pose(make_image())


def test_people_are_those_of_the_file(files, result):
    people = ExportedModel(files["end2end"], score_thr=0.1, threads=1).predict(make_image())
    assert len(result) == len(people) > 3
    np.testing.assert_array_equal(result.keypoints, people.keypoints)
    np.testing.assert_array_equal(result.visibility, people.keypoint_scores)
    np.testing.assert_array_equal(result.boxes, people.boxes)
    assert result.keypoint_names[0] == "nose"


@pytest.mark.parametrize(("batch_size", "streams"), [(1, 1), (2, 1), (1, 2)])
def test_several_images_and_a_bad_one(files, result, tmp_path, batch_size, streams):
    pose = Pose(files["end2end"], score_thr=0.1, threads=2, streams=streams)
    cv2.imwrite(str(tmp_path / "a.png"), make_image())
    (tmp_path / "b.png").write_text("not an image")
    thin = np.zeros((1, 40000, 3), np.uint8)
    results = pose([tmp_path / "a.png", tmp_path / "b.png", thin, make_image()], batch_size=batch_size)
    assert [bool(each.error) for each in results[:2]] == [False, True]
    for each in (results[0], results[3]):
        np.testing.assert_allclose(each.keypoints, result.keypoints, rtol=0, atol=0.1)
    assert len(results[1]) == 0
    assert results[1].to_dict()["error"] == f"{tmp_path / 'b.png'} is not an image: give JPEG, PNG, WebP, BMP or TIFF."
    with pytest.raises(DataError, match="is not an image"):
        pose(tmp_path / "b.png")
    with pytest.raises(ConfigError, match="batch_size must be a whole number from 1 to 65536, got 0"):
        pose(tmp_path, batch_size=0)


def test_videos_are_streamed(pose, tmp_path):
    path = write_video(tmp_path / "clip.avi", 12)
    results = pose(path)
    assert iter(results) is results
    assert [each.frame.index for each in results] == list(range(12))


def test_long_sources_are_not_read_to_the_end(pose):
    taken = []

    def make_images():
        for index in range(10**6):
            taken.append(index)
            yield make_image(32, 32)

    results = pose.stream(make_images())
    next(results)
    results.close()
    assert len(taken) < 20


def test_parts_of_a_result(result):
    assert len(result[0]) == 1
    np.testing.assert_array_equal(result[-1].boxes[0], result.boxes[-1])
    np.testing.assert_array_equal(result[1:3].scores, result.scores[1:3])
    sure = result[result.scores > np.median(result.scores)]
    assert 0 < len(sure) < len(result)
    assert [float(person.scores[0]) for person in result] == result.scores.tolist()
    with pytest.raises(IndexError):
        result[len(result)]


def test_pictures_and_json(result, tmp_path):
    before = result.image.copy()
    assert (result.plot() != before).any()
    assert (result.plot(boxes=True) != result.plot()).any()
    np.testing.assert_array_equal(result.image, before)
    np.testing.assert_array_equal(cv2.imread(str(result.save(tmp_path / "new" / "a.png"))), result.plot())
    assert json.loads(result.save(tmp_path / "a.json").read_text()) == json.loads(json.dumps(result.to_dict()))
    person = result.to_dict()["people"][0]
    np.testing.assert_allclose(np.array(person["keypoints"])[:, :2], result.keypoints[0], atol=0.006)
    np.testing.assert_allclose(person["box"], result.boxes[0], atol=0.006)
    with pytest.raises(ConfigError, match="take a name that ends with"):
        result.save(tmp_path / "a.txt")


def test_full_disk_is_one_sentence_and_the_older_file_stays(result, tmp_path):
    """A limit of file sizes ends a write in the middle, as a full disk does."""
    resource = pytest.importorskip("resource", reason="this system has no limits of file sizes (`resource`)")
    older = result[:1].save(tmp_path / "a.json").read_text()
    _, hard = before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(OutputError, match=r"a\.json cannot be written: File too large\."):
            result.save(tmp_path / "a.json")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (tmp_path / "a.json").read_text() == older
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_rows_are_those_of_coco(pose, result, tmp_path):
    rows = result.to_coco(image_id=7)
    assert {row["image_id"] for row in rows} == {7}
    assert np.shape(rows[0]["keypoints"]) == (17 * 3,)
    x, y, width, height = rows[0]["bbox"]
    np.testing.assert_allclose([x, y, x + width, y + height], result.boxes[0], rtol=1e-5)
    cv2.imwrite(str(tmp_path / "000000000139.png"), make_image())
    assert pose(tmp_path / "000000000139.png").to_coco()[0]["image_id"] == 139
    json.dumps(rows)


def test_supervision(result):
    supervision = pytest.importorskip("supervision", reason="the package supervision is not installed")
    points = result.to_supervision()
    assert isinstance(points, supervision.KeyPoints)
    np.testing.assert_allclose(points.xy, result.keypoints, rtol=1e-6)
    np.testing.assert_allclose(points.keypoint_confidence, result.visibility, rtol=1e-6)
    assert len(result[:0].to_supervision()) == 0


def test_checkpoint_with_its_config(tiny_model, pose, result):
    config, checkpoint = tiny_model
    found = Pose(checkpoint, config=config, score_thr=0.1, device="cpu")(make_image())
    assert found.info.schema == result.info.schema
    assert len(found) == len(result)
    assert np.median(np.abs(found.keypoints - result.keypoints)) < 0.05


def test_models_that_are_not_there(tiny_model, tmp_path):
    with pytest.raises(MissingFileError, match=r"The model file .* does not exist"):
        Pose(tmp_path / "nowhere.onnx")
    with pytest.raises(MissingFileError, match="did you mean rtmo-s_coco"):
        Pose("rtmo-s_cocoa")
    with pytest.raises(CheckpointError, match="does not carry its config: name the config too"):
        Pose(tiny_model[1])


def test_importing_is_light():
    code = (
        "import sys, rtmo_plugin; assert not {'cv2', 'numpy', 'torch'} & set(sys.modules); rtmo_plugin.Pose;"
        "print([name for name in ('torch', 'mmengine', 'mmcv', 'mmpose') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_program_that_names_pose_waits_for_nothing_that_it_may_not_use():
    rarely_used = {
        "PIL",
        "tqdm",
        "argparse",
        "filelock",
        "importlib.metadata",
        "scipy",
        "onnxruntime",
        "openvino",
        "torch",
    }
    program = f"import sys; from rtmo_plugin import Pose; print(sorted({rarely_used} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
