"""``rtmo benchmark``: files of several formats and a checkpoint side by side, and what it refuses beforehand."""

import json
import shutil

import cv2
import numpy as np
import pytest

from rtmo_plugin.api import export
from rtmo_plugin.cli.main import find_command
from rtmo_plugin.data.synthetic.coco_folder import write_coco_folder
from rtmo_plugin.data.synthetic.synthetic_people import SyntheticPeople
from rtmo_plugin.speed import model_speed
from tests.conftest import run_command

pytestmark = pytest.mark.usefixtures("few_rounds")


@pytest.fixture
def few_rounds(monkeypatch):
    monkeypatch.setattr(model_speed, "PAUSE_S", 0.0)


@pytest.fixture
def no_measurement(monkeypatch):
    """Fail where anything is measured."""
    monkeypatch.setattr(model_speed, "time_alternately", None)
    monkeypatch.setattr(model_speed, "run_in_fresh_process", None)


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Return a folder of two images with people, and their annotation file."""
    folder = tmp_path_factory.mktemp("people")
    list(write_coco_folder(SyntheticPeople(num_images=2, size_wh=(160, 120), num_people=(1, 3)), folder, "val2017"))
    return folder / "val2017", folder / "annotations/person_keypoints_val2017.json"


def measure(capsys, *arguments):
    code, out, err = run_command(capsys, "benchmark", *arguments, "--rounds", 2, "--json")
    assert code == 0, err
    return json.loads(out)


@pytest.mark.slow
def test_files_and_a_checkpoint_are_measured_side_by_side(files, tiny_model, tmp_path, capsys):
    config, checkpoint = tiny_model
    export(*tiny_model, tmp_path / "tiny.xml", format="openvino")
    report = measure(
        capsys, files["end2end"], files["raw"], tmp_path / "tiny.xml", checkpoint, "--config", config, "--threads", 1
    )
    sides = report["sides"]
    assert [side["name"] for side in sides] == list(
        map(str, [files["end2end"], files["raw"], tmp_path / "tiny.xml", checkpoint])
    )
    assert [side["runtime"] for side in sides] == ["openvino", "openvino", "openvino", "checkpoint"]
    for side in sides:
        assert 0 < side["network_ms"] <= side["latency_ms"] <= side["latency_p90_ms"]
        assert 0 < side["import_s"] < side["first_people_s"]
        assert side["images_per_second"] > 0
        assert side["peak_memory_mib"] > 30
    whole = sum((tmp_path / name).stat().st_size for name in ("tiny.xml", "tiny.bin"))
    assert sides[2]["file_mb"] == pytest.approx(whole / 1e6)
    assert sides[1]["file_mb"] * 1e6 > files["raw"].stat().st_size  # the classifier's parameters are beside it
    assert sides[3]["peak_memory_mib"] > sides[0]["peak_memory_mib"]  # PyTorch and MMPose are in it
    assert report["settings"]["threads"] == 1
    assert {"date", "hardware", "versions", "command"} <= report.keys()


def test_a_report_has_a_table_and_the_command_that_repeats_it(files, tmp_path, capsys):
    out = tmp_path / "speed.json"
    code, printed, _ = run_command(
        capsys, "benchmark", files["end2end"], "--rounds", 1, "--size", "64x96", "--batch-size", 2, "--out", out
    )
    assert code == 0
    report = json.loads(out.read_text())
    assert report["sides"][0]["size_wh"] == [64, 96]
    words = report["command"].split()
    assert words[:3] == ["rtmo", "benchmark", str(files["end2end"])]
    assert "--size 64x96" in report["command"]
    given = find_command("benchmark").make_parser("rtmo benchmark").parse_args(words[2:])
    assert (given.models, given.size, given.batch_size, given.rounds) == ([str(files["end2end"])], "64x96", 2, 1)
    heads = ["runtime", "computes", "in", "ms", "p90", "ms", "network", "ms", "images/s", "peak", "MiB", "file", "MB"]
    table = printed.splitlines()[3:5]
    assert table[0].split()[: len(heads)] == heads
    assert table[1].startswith(str(files["end2end"]))
    assert "images: noise" in printed


def test_one_file_is_measured_in_several_runtimes(files, people, capsys):
    images, annotations = people
    report = measure(
        capsys, files["decoded"], "--runtime", "openvino,onnxruntime", "--images", images, "--annotations", annotations,
        "--score-thr", 0.01,
    )  # fmt: skip
    assert [side["name"] for side in report["sides"]] == [
        f"{files['decoded']}, openvino",
        f"{files['decoded']}, onnxruntime",
    ]
    assert [side["runtime"] for side in report["sides"]] == ["openvino", "onnxruntime"]
    assert all(0 <= side["ap"] <= 1 for side in report["sides"])
    assert {name.rpartition("/")[2] for name in report["sides"][0]["metrics"]} >= {"AP", "AP .5", "AR"}


def test_ap_of_a_checkpoint_is_that_of_rtmo_eval(tiny_model, people, capsys):
    config, checkpoint = tiny_model
    images, annotations = people
    given = model_speed.SpeedOptions(config=config, images=images, annotations=annotations)
    found = model_speed.compute_precision([str(checkpoint)], given)[str(checkpoint)]
    options = [f"test_dataloader.dataset.ann_file={annotations}", f"test_dataloader.dataset.data_prefix.img={images}"]
    options += ["test_dataloader.dataset.data_root=", f"test_evaluator.ann_file={annotations}"]
    code, out, err = run_command(capsys, "eval", config, checkpoint, "--json", "--cfg-options", *options)
    assert code == 0, err
    expected = json.loads(out)
    assert found["ap"] == pytest.approx(expected["coco/AP"])
    assert found["metrics"].keys() == expected.keys() - {"milliseconds"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["none.onnx"], "error: The model file none.onnx does not exist."),
        (["none.pth"], "error: The checkpoint file none.pth does not exist."),
        (["rtmo-s_cocoo"], "error: No model or config is named rtmo-s_cocoo: did you mean rtmo-s_coco?"),
        (["rtmo-s_custom"], "error: rtmo-s_custom is a config: name an exported file"),
        (["{file}", "--runtime", "tensor"], "error: The runtime 'tensor' is unknown: choose openvino, onnxruntime"),
        (["{file}", "--size", "big"], "error: --size big: write WIDTHxHEIGHT"),
        (["{file}", "--config", "rtmo-s_coco"], "error: config is an option of checkpoints alone, and {file} is"),
        (["{file}", "--images", "none"], "error: The image or folder none does not exist."),
        (["{file}", "--annotations", "a.json"], "error: Annotations need the folder of their images"),
        (["{file}", "--out", "{file}"], "error: {file} is an input and would be overwritten"),
        (["{file}", "none.onnx"], "error: The model file none.onnx does not exist."),
        (["{file}", "--rounds", "0"], "rtmo benchmark: error: argument --rounds: '0' is not a whole number"),
        (["infer", "--peers", "x"], "error: rtmo benchmark measures your own models: run `python -m benchmarks infer`"),
        (["learning"], "error: rtmo benchmark measures your own models: run `python -m benchmarks learning` in a"),
    ],
)
def test_what_is_wrong_is_one_sentence(arguments, sentence, files, capsys, no_measurement):
    file = str(files["end2end"])
    code, out, err = run_command(capsys, "benchmark", *(word.format(file=file) for word in arguments))
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith(sentence.format(file=file))


def test_a_damaged_file_is_refused_beforehand(files, tmp_path, capsys, no_measurement):
    shutil.copy(files["end2end"], tmp_path / "damaged.onnx")
    with (tmp_path / "damaged.onnx").open("r+b") as file:
        file.truncate(5000)
    code, out, err = run_command(capsys, "benchmark", files["end2end"], tmp_path / "damaged.onnx")
    assert (code, out) == (2, "")
    assert "damaged.onnx cannot be read" in err


def test_first_images_of_a_folder_are_used(tmp_path):
    for index in range(10):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((8, 8, 3), index, np.uint8))
    samples = model_speed.read_samples(tmp_path, 3)
    assert [int(image.max()) for image in samples] == [0, 1, 2]
    assert len({image.tobytes() for image in model_speed.read_samples(None, 3)}) == 3


def test_a_checkpoint_is_measured_with_its_streams(checkpoint_model, monkeypatch):
    """A checkpoint on a GPU has two, as ``Pose.stream`` uses them."""
    monkeypatch.setattr(checkpoint_model, "streams", 2)
    side = model_speed._Side("tiny.pth", "tiny.pth", None, None, {})
    image = np.zeros((20, 30, 3), np.uint8)
    found = model_speed._time_throughput(
        [side], {"tiny.pth": checkpoint_model}, [image], model_speed.SpeedOptions(rounds=1)
    )
    assert found["tiny.pth"]["streams"] == 2
