"""What Python prints of results and models is one line, and an unknown option is our sentence with the near name."""

import re

import numpy as np
import pytest
import torch

from rtmo_plugin import Pose
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.media.frames import Frame
from rtmo_plugin.pose.results import PoseResult
from rtmo_plugin.pose.tracking.track_video import track_video
from rtmo_plugin.rtmo import RTMOOutput
from rtmo_plugin.runtime.detections import Detections
from rtmo_plugin.runtime.exported_model import ExportedModel
from rtmo_plugin.structures import CoordinateDistribution
from tests.pose.tracking.test_track_video import ColorFinder
from tests.tiny_files import make_image


@pytest.fixture(scope="module")
def pose(files):
    return Pose(files["decoded"], score_thr=0.2)


def assert_one_line(value, *parts):
    for text in (repr(value), str(value)):
        assert len(text) < 200
        assert "\n" not in text
        assert all(part in text for part in parts), text


def test_results_are_one_line(pose):
    result = pose(make_image())
    num_people = len(result)
    assert num_people > 2
    assert_one_line(result, "PoseResult('image 0', ", f"{num_people} people", f"best score {result.scores.max():.2f}")
    assert_one_line(result[0], "1 person")
    assert_one_line(result[:0], "0 people")
    assert repr([result, result]).count("PoseResult") == 2
    assert_one_line(result.frame, "Frame('image 0', 150x70, index=0)")
    assert_one_line(result.people, f"Detections({num_people} of 17 keypoints)")


def test_frames_of_videos_and_errors_are_one_line(pose):
    points = np.zeros((0, 17, 2))
    nobody = Detections(np.zeros((0, 4)), np.zeros(0), points, points[..., 0], np.zeros(0, np.int64))
    frame = Frame(make_image(), "walk.mp4", None, 12, 0.4)
    assert_one_line(PoseResult(frame, nobody, pose.info), "'walk.mp4', frame 12, 0.400 s, 0 people")
    failed = Frame(None, "a.jpg", None, 3, error="a.jpg cannot be read.")
    assert_one_line(PoseResult(failed, nobody, pose.info), "PoseResult('a.jpg', error='a.jpg cannot be read.')")
    assert_one_line(failed, "no image", "index=3")


def test_models_and_other_results_are_one_line(pose, files):
    assert_one_line(pose, f"Pose('{files['decoded']}'", "17 keypoints", "score_thr=0.2")
    ones = torch.ones
    sides = (ones(40, 17, 8), ones(40, 17, 8), ones(40, 8), ones(40, 8), ones(40, 17), ones(40, 17, 2))
    people = (ones(40), ones(40, 4), ones(40), ones(40), ones(40, 17, 2), ones(40, 17), ones(40, 17, 2))
    output = RTMOOutput(*people, CoordinateDistribution(*sides))
    assert_one_line(output, "40 people of 17 keypoints")


@pytest.mark.parametrize(
    ("option", "meant"),
    [
        *(("conf", "score_thr"), ("scorethr", "score_thr"), ("threshold", "score_thr"), ("imgsz", "size_wh")),
        *(("gpu", "device"), ("Device", "device"), ("half", "precision"), ("num_threads", "threads")),
        *(("backend", "runtime"), ("stream", "streams"), ("augment", "flip"), ("tiles", "tile"), ("cfg", "config")),
    ],
)
@pytest.mark.parametrize("model", ["decoded", "checkpoint"])
def test_an_unknown_option_is_our_sentence(files, tiny_model, option, meant, model):
    given = {"config": tiny_model[0]} if model == "checkpoint" else {}
    path = tiny_model[1] if model == "checkpoint" else files[model]
    with pytest.raises(ConfigError, match=re.escape(f"Pose has no option '{option}': did you mean {meant}? It has ")):
        Pose(path, **given, **{option: 0.3})


def test_an_option_like_no_other_lists_what_there_is(files):
    with pytest.raises(ConfigError, match=r"^Pose has no option 'xyzzy': it has score_thr, .*, calibrated, trust\.$"):
        Pose(files["decoded"], xyzzy=1)
    with pytest.raises(ConfigError, match=r"^ExportedModel has no option 'conf': did you mean score_thr\?"):
        ExportedModel(files["decoded"], conf=0.3)
    with pytest.raises(ConfigError, match=r"^track_video has no option 'max_age': did you mean max_lost\?"):
        next(track_video(ColorFinder(), "in.mp4", "out.mp4", max_age=3))
