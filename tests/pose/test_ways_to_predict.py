"""One way to predict: Python, ``rtmo predict`` and ``tools/predict.py`` give the same JSON for the same arguments."""

import json
import runpy
import sys

import cv2
import pytest

from rtmo_plugin import Pose
from rtmo_plugin.api import predict
from rtmo_plugin.cli.predict import read_config_first
from rtmo_plugin.errors import ConfigError, DataError
from rtmo_plugin.media.sources import read_frames
from rtmo_plugin.pose.result_folder import ResultFolder
from rtmo_plugin.pose.results import PoseResult
from tests.conftest import ROOT, run_command
from tests.tiny_files import make_image


@pytest.fixture
def photo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("photo.png", make_image())
    return "photo.png"


def run_tool(capsys, *arguments):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["predict.py", *map(str, arguments)])
        runpy.run_path(str(ROOT / "tools/predict.py"), run_name="__main__")
    return capsys.readouterr()


@pytest.mark.parametrize("kind", ["exported", "checkpoint"])
def test_every_way_gives_the_same_json(files, tiny_model, photo, tmp_path, capsys, kind):
    config, model = (None, files["end2end"]) if kind == "exported" else tiny_model
    named = () if config is None else ("--config", config)
    options = ("--score-thr", 0.2, "--device", "cpu")
    expected = Pose(model, config=config, score_thr=0.2, device="cpu")(photo).to_dict()
    assert len(expected["people"]) > 2

    assert [each.to_dict() for each in predict(model, photo, config=config, score_thr=0.2, device="cpu")] == [expected]
    code, printed, err = run_command(capsys, "predict", model, photo, *named, *options, "--json", "--out", "found")
    assert (code, json.loads(printed), err) == (0, expected, "")
    document = json.loads((tmp_path / "found/predictions.json").read_text())
    assert document["images"] == [expected]
    assert (document["keypoints"][0], len(document["keypoints"])) == ("nose", 17)
    assert json.loads(run_tool(capsys, model, photo, *named, *options, "--json").out) == expected
    if config is None:
        return
    printed, err = run_tool(capsys, config, model, photo, *options, "--json")
    assert json.loads(printed) == expected
    note = f"note: the config is an option now: rtmo predict {model} {photo} --config {config}\n"
    assert err == note
    assert run_command(capsys, "predict", config, model, photo, *options, "--json")[1:] == (printed, note)


@pytest.mark.parametrize(
    ("model", "sources", "expected"),
    [
        ("configs/mine.py", ["mine.pth", "a.jpg", "b.jpg"], ("mine.pth", ["a.jpg", "b.jpg"], "configs/mine.py")),
        ("rtmo-s_coco", ["rtmo-s_coco", "a.jpg"], ("rtmo-s_coco", ["a.jpg"], "rtmo-s_coco")),
        ("mine.pth", ["mine.pth", "a.jpg"], ("mine.pth", ["a.jpg"], "mine.pth")),
        ("rtmo-s_coco", ["a.jpg", "b.jpg"], ("rtmo-s_coco", ["a.jpg", "b.jpg"], None)),
        ("mine.pth", ["a.jpg", "b.jpg"], ("mine.pth", ["a.jpg", "b.jpg"], None)),
        ("mine.onnx", ["a.jpg", "b.jpg"], ("mine.onnx", ["a.jpg", "b.jpg"], None)),
        ("configs/mine.py", ["a.jpg"], ("configs/mine.py", ["a.jpg"], None)),
    ],
)
def test_the_former_call_is_understood(model, sources, expected):
    assert tuple(read_config_first(model, sources, None).values()) == expected


def test_options_of_the_config_are_for_checkpoints(files, tiny_model, photo, capsys):
    config, checkpoint = tiny_model
    changed = ("--cfg-options", "model.test_cfg.score_thr=0.9", "--score-thr", 0)
    code, out, _ = run_command(capsys, "predict", checkpoint, photo, "--config", config, *changed, "--json")
    assert (code, all(person["score"] > 0.9 for person in json.loads(out)["people"])) == (0, True)
    code, _, err = run_command(capsys, "predict", files["end2end"], photo, *changed)
    sentence = f"error: cfg_options is an option of checkpoints alone, and {files['end2end']} is an exported file.\n"
    assert (code, err) == (2, sentence)
    with pytest.raises(ConfigError, match="config is an option of checkpoints alone"):
        Pose(files["end2end"], config=config)


def test_plots_need_sources_with_names(files, tmp_path):
    with pytest.raises(DataError, match="ndarray has no name to write a plot under"):
        predict(files["end2end"], [make_image()], out=tmp_path / "out")


@pytest.mark.parametrize("stop", ["close", "interrupt"])
def test_what_stops_early_leaves_a_whole_document(files, tmp_path, stop):
    for name in "ab":
        cv2.imwrite(str(tmp_path / f"{name}.png"), make_image())
    sources = [tmp_path / "a.png", tmp_path / "b.png"]
    pose = Pose(files["end2end"], score_thr=0.2)

    def give_results():
        yield PoseResult(next(read_frames(sources[0])), pose(sources[0]).people, pose.info)
        raise KeyboardInterrupt

    results = ResultFolder(tmp_path / "out", sources).write(give_results(), pose.info.schema.names)
    first = next(results)
    if stop == "close":
        results.close()
    else:
        with pytest.raises(KeyboardInterrupt):
            next(results)
    assert json.loads((tmp_path / "out/predictions.json").read_text())["images"] == [first.to_dict()]
    with pytest.raises(DataError, match=r"a\.png is not kept"):
        first.plot()
