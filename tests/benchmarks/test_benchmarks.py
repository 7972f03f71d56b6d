"""What the benchmark says of times that are known, and the measurement of evaluation on a small set."""

import inspect
import json
import runpy
import subprocess
import sys

import cv2
import pytest

from benchmarks import learning
from benchmarks.metric_computation import make_predictions
from benchmarks.subjects import _WRITE_EARLY, COMMAND, SUBJECTS, load_subject
from benchmarks.timing_report import compare_timings
from rtmo_plugin.cli.benchmark import COMPARISONS
from rtmo_plugin.engine.hooks.curves import read_scalars
from rtmo_plugin.speed.rounds import Timing
from tests.conftest import ROOT


def test_report_compares_medians_with_the_first_side(tmp_path):
    timings = (Timing("theirs", (10.0, 12.0, 30.0), (9.0, 9.0, 9.0)), Timing("ours", (1.0, 2.0, 1.0), (1.0, 1.0, 1.0)))
    report = compare_timings(
        timings, title="Evaluation", command="eval", settings={"num_images": 3}, results={"AP": 0.5}
    )
    report.write(tmp_path / "report.json")
    content = json.loads((tmp_path / "report.json").read_text())
    assert [(side["median"], side["times_faster"], side["least_times_faster"]) for side in content["sides"]] == [
        (12.0, 1.0, 1.0),
        (1.0, 12.0, 6.0),
    ]
    assert content["hardware"]["processor"]
    assert {"python", "numpy", "torch", "faster-coco-eval", "mmpose", "xtcocotools"} <= set(content["versions"])
    (ours,) = (line for line in report.format().splitlines() if line.startswith("ours"))
    assert ours.split() == ["ours", "1.000", "1.000", "2.000", "1.000", "12.0", "9.0"]


def test_predictions_are_as_many_as_asked_for_and_the_same_again():
    truth, samples = make_predictions(200, 20)
    assert (len(truth["images"]), len(samples)) == (200, 200)
    assert {len(sample["pred_instances"]["keypoints"]) for sample in samples} == {20}
    assert 200 < len(truth["annotations"]) < 700  # COCO's val2017 has 2.2 an image
    assert json.dumps(make_predictions(200, 20)[0]) == json.dumps(truth)


@pytest.mark.parametrize("settings", ["recipe", "default"])
def test_tool_measures_evaluation_and_both_sides_agree(tmp_path, capsys, settings):
    options = ["--num-images", "30", "--rounds", "1", "--settings", settings, "--out", str(tmp_path / "report.json")]
    assert run_tool(["eval", *options]) == 0
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["results"]["largest difference"] < 1e-9
    assert content["results"]["AP"] > 0.01
    assert content["command"].endswith(f"eval --num-images 30 --num-detections 20 --settings {settings} --rounds 1")
    printed = capsys.readouterr().out
    assert printed.count("AP  AP .5") == 2
    assert "rtmo_plugin.CocoMetric" in printed


def test_tool_refuses_nothing_to_measure(capsys):
    assert run_tool(["eval", "--rounds", "0"]) == 2
    assert "is not a whole number from 1" in capsys.readouterr().err
    assert run_tool(["train-of-thought"]) == 2  # the name of a model
    assert "No model or config is named train-of-thought" in capsys.readouterr().err


def run_tool(arguments):
    """Run ``tools/benchmark.py`` in this process, and return its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["benchmark.py", *arguments])
        try:
            runpy.run_path(str(ROOT / "tools/benchmark.py"), run_name="__main__")
        except SystemExit as error:
            return error.code
    return 0


@pytest.mark.parametrize("name", SUBJECTS)
def test_arguments_of_the_command_are_those_of_the_subject(name):
    given = vars(COMMAND.make_parser("python -m benchmarks").parse_args([name]))
    assert [given.pop(key) for key in ("subject", "out", "as_json")] == [name, None, False]
    own = {key: value.default for key, value in inspect.signature(load_subject(name)).parameters.items()}
    assert ("out" in own) == (name in _WRITE_EARLY)
    own.pop("out", None)
    assert given.keys() == own.keys()
    assert given == own


def test_subjects_are_those_that_the_command_of_the_package_refuses():
    assert set(SUBJECTS) == set(COMPARISONS)


def test_the_module_is_the_command_of_the_tool():
    helps = []
    for called in ("-m benchmarks", "tools/benchmark.py"):
        command = [sys.executable, *called.split(), "eval", "--help"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
        helps.append(done.stdout.replace(f"python {called}", "COMMAND").split())  # lines may end elsewhere
    assert helps[0] == helps[1]
    assert "--num-detections" in helps[0]


@pytest.mark.parametrize("options", [["--num-samples", "0"], ["--data-root", "nowhere"]])
def test_data_cannot_be_measured_without_data(capsys, options):
    assert run_tool(["data", *options]) == 2
    assert ("is not a whole number from 1" if "0" in options else "nowhere") in capsys.readouterr().err


def test_tool_measures_data_and_both_sides_agree(tmp_path, capsys, recwarn):
    options = ["--num-images", "3", "--num-samples", "3", "--rounds", "1", "--cache-gb", "0.01"]
    assert run_tool(["data", *options, "--out", str(tmp_path / "report.json")]) == 0
    content = json.loads((tmp_path / "report.json").read_text())
    assert [side["name"] for side in content["sides"]] == ["MMPose", "rtmo_plugin", "rtmo_plugin, cached"]
    assert content["results"]["largest difference of a keypoint (pixels)"] < 0.01
    assert content["results"]["largest difference with the cache"] == 0
    printed = capsys.readouterr()
    assert printed.out.lstrip().startswith("3 stage-1 training samples")
    assert printed.err == ""
    assert not [str(each.message) for each in recwarn if "metainfo config file" in str(each.message)]  # of MMPose


def test_tool_measures_loading_by_workers_and_collation(tmp_path, capsys):
    options = ["--num-images", "3", "--batch-size", "1", "--num-batches", "2", "--rounds", "1", "--max-workers", "1"]
    assert run_tool(["loading", *options, "--out", str(tmp_path / "report.json")]) == 0
    sides = json.loads((tmp_path / "report.json").read_text())["sides"]
    assert [side["name"] for side in sides] == [
        *("0 workers, packed", "0 workers, sample by sample"),
        *("1 worker, packed", "1 worker, packed, left there", "1 worker, sample by sample"),
    ]
    assert all(side["samples_per_second"] > 0 for side in sides)
    assert "2 batches of 1 stage-1 samples" in capsys.readouterr().out
    assert run_tool(["loading", "--max-workers", "0"]) == 2
    assert run_tool(["loading", *options, "--ready"]) == 0
    printed = capsys.readouterr().out
    assert "2 batches of 1 ready stage-1 samples of RTMO-s, 640 x 640, from 1 images" in printed
    assert "1 worker, packed, left there" in printed


@pytest.mark.slow
def test_tool_measures_keypoint_sets(tmp_path, capsys):
    assert run_tool(["keypoints", "--batch-size", "1", "--rounds", "1", "--out", str(tmp_path / "report.json")]) == 0
    content = json.loads((tmp_path / "report.json").read_text())
    assert [side["name"] for side in content["sides"]] == ["17 keypoints", "133 keypoints"]
    results = content["results"]
    operators = list(results["operators of a step"].values())
    assert abs(operators[1] - operators[0]) < 0.02 * operators[0]
    first, second = (each["rss"] for each in results["peak memory (MiB)"].values())
    assert 500 < first < second < 1.5 * first
    assert "Training step of RTMO-s, 1 images of 640 x 640" in capsys.readouterr().out


def test_a_training_step_needs_images(capsys):
    assert run_tool(["train", "--batch-size", "0"]) == 2
    assert "is not a whole number from 1" in capsys.readouterr().err


@pytest.mark.slow
def test_tool_measures_training_and_all_sides_start_from_one_loss(tmp_path):
    """Without AMP to the fourth digit, half precision to the second: of one image it may choose other priors."""
    assert run_tool(["train", "--batch-size", "2", "--rounds", "1", "--out", str(tmp_path / "report.json")]) == 0
    results = json.loads((tmp_path / "report.json").read_text())["results"]
    theirs, ours, half = results["loss of the first step"].values()
    assert ours == pytest.approx(theirs, rel=1e-4)
    assert half == pytest.approx(theirs, rel=2e-2)
    assert all(peak["rss"] > 300 for peak in results["peak memory (MiB)"].values())


def test_learning_is_measured_in_a_new_folder(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("")
    assert run_tool(["learning", "--work-dir", str(tmp_path)]) == 2
    assert "has files in it" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_both_sides_of_learning_switch_in_the_same_epoch_to_the_same_weights(tmp_path):
    learning.write_images(tmp_path, 2)
    ours = learning.load_recipe(tmp_path)
    theirs = learning.make_their_config(ours)
    *_, data, losses = theirs.custom_hooks
    assert theirs.train_cfg.max_epochs - data.num_last_epochs - 1 == 4  # what `finish` begins with
    assert losses.epoch_attributes == {
        2: {"proxy_target_cc": True, "loss_oks.loss_weight": 10.0, "loss_mle.loss_weight": 2.0}
    }
    assert theirs.model.head.type == "RTMOHead"
    assert theirs.train_dataloader == ours.train_dataloader
    assert (theirs.optim_wrapper, theirs.param_scheduler) == (ours.optim_wrapper, ours.param_scheduler)


@pytest.mark.slow
def test_tool_measures_learning(tmp_path):
    """Both start from one loss; half precision has three digits."""
    folder = tmp_path / "learning"
    options = ["--num-images", "16", "--work-dir", str(folder), "--out", str(tmp_path / "report.json")]
    assert run_tool(["learning", *options]) == 0
    sides = json.loads((tmp_path / "report.json").read_text())["sides"]
    assert [len(side["seconds"]) for side in sides] == [6, 6]
    theirs, ours = (read_scalars(folder / name)[0]["loss"] for name in ("mmpose", "ours"))
    assert ours == pytest.approx(theirs, rel=2e-2)
    assert cv2.imread(str(folder / "curves.png")) is not None
