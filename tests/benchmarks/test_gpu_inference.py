"""The benchmark of people on a GPU: its rows, tried without one, and a threshold that finds as many people as asked."""

import json

import pytest
import torch

from benchmarks import gpu_inference
from benchmarks.gpu_inference import PlainRecorder, Side, choose_threshold, find_rows, load_images, run
from rtmo_plugin.engine.loaded_model import load_model
from rtmo_plugin.errors import ConfigError, MissingFileError
from rtmo_plugin.media.image_files import write_image
from rtmo_plugin.speed.speed_report import SpeedReport
from tests.tiny_files import make_image


@pytest.mark.slow
def test_every_row_is_measured_without_a_gpu(tmp_path):
    run(precision="float32", people=3, tiny=True, out=str(tmp_path / "report.json"))
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["command"].endswith("--precision float32 --rounds 2 --tiny")
    rows = {row["name"]: row for row in content["sides"]}
    parts = ("image to people", "two streams", "network alone")
    batches = [f"rtmo-t, float32, batch {number}: {part}" for number in (1, 2) for part in parts]
    opened = "rtmo-t, float32: opened and warmed up"
    assert list(rows) == [opened, *batches, "rtmo-t, MMPose, eager, float32, batch 1"]
    assert all(row["ms"] > 0 for row in rows.values())
    assert rows[opened]["remark"] == "without graphs"
    found = float(rows["rtmo-t, float32, batch 2: image to people"]["remark"].split()[0])
    assert 2 <= found <= 4  # scores of random weights differ by rounding


class NoRoom(PlainRecorder):
    """Records one image, and no batch."""

    def record_forward(self, function, given):
        recording = super().record_forward(function, given)
        if len(recording.outputs[0]) > 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2.00 GiB.")
        return recording


def test_what_cannot_be_measured_is_a_row_that_says_why(tiny_model, monkeypatch):
    monkeypatch.setattr(gpu_inference, "PlainRecorder", NoRoom)
    side = Side("rtmo-x", load_model(*tiny_model, device="cpu"), [make_image(150, 70)], "float32", 1)
    with pytest.warns(UserWarning, match="CUDA graphs are not used for 2 images at a time"):
        rows = {row["name"]: row for row in gpu_inference.measure_side(side, (1, 2))}
    assert len(rows) == 1 + 2 * 3 + 1
    missing = {name: row["remark"] for name, row in rows.items() if "ms" not in row}
    people, streams, network, theirs = missing.values()
    assert people == streams
    assert people.startswith("not measured: RuntimeError: 2 of 2 images are computed without graphs")
    assert network == "not measured: OutOfMemoryError: CUDA out of memory."
    assert theirs.startswith("not measured: KeyError")  # MMPose has no RTMO-x
    report = SpeedReport(title="", command="", columns=gpu_inference._COLUMNS, sides=tuple(rows.values()), settings={})
    assert report.format().count("not measured") == 4


def test_the_threshold_finds_so_many_people(tiny_model):
    loaded = load_model(*tiny_model, device="cpu")
    side = Side("rtmo-t", loaded, [make_image(150, 70), make_image(70, 80, 1)], "float32", 1)
    choose_threshold(side, 4)
    assert sum(len(find_rows(side, image)) for image in side.images) == 8


def test_images_of_a_folder_are_repeated_and_people_are_drawn(tmp_path):
    write_image(tmp_path / "a.png", make_image(30, 20))
    assert [image.shape for image in load_images(str(tmp_path), 3)] == [(20, 30, 3)] * 3
    assert [image.shape for image in load_images(None, 2)] == [(480, 640, 3)] * 2


def test_a_plain_recording_computes_in_place():
    given = torch.zeros(3)
    recording = PlainRecorder().record_forward(lambda values: (values + 1,), given)
    given.fill_(4)
    recording.replay()
    assert recording.outputs[0].tolist() == [5, 5, 5]


def test_missing_weights_are_found_before_anything_is_measured(tmp_path):
    (tmp_path / "rtmo-s.pth").touch()
    with pytest.raises(MissingFileError, match=r"rtmo-m\.pth does not exist"):
        gpu_inference.run(weights=str(tmp_path))


def test_an_unknown_precision_is_refused():
    with pytest.raises(ConfigError, match="--precision int8: choose float16, bfloat16, float32"):
        gpu_inference.run(precision="int8")
