"""The benchmark of inference: what it refuses, and, where the peers are, one short run of everything."""

import json
import os
from pathlib import Path

import pytest

from rtmo_plugin.apis.benchmarks.gpu_inference import measure
from rtmo_plugin.apis.benchmarks.inference import run
from rtmo_plugin.apis.benchmarks.inference_sides import CONFIG, WEIGHTS
from rtmo_plugin.errors import ConfigError, MissingFileError
from tests.conftest import ROOT


def test_what_cannot_be_measured_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="--num-images and --rounds must be at least 1"):
        run(peers=str(tmp_path), rounds=0)
    with pytest.raises(ConfigError, match="--int8 is calibrated with a folder of images"):
        run(peers=str(tmp_path), int8=True)
    with pytest.raises(MissingFileError, match="name the folder of the peers with --peers"):
        run(peers=str(tmp_path))


@pytest.mark.slow
def test_all_sides_are_measured_and_find_the_same_people(tmp_path):
    data = Path(os.environ.get("RTMO_DATA", ROOT.parent / "shared" / "data"))
    peers = data.parent / "peers"
    if not peers.is_dir():
        pytest.skip(f"no peers at {peers}")
    report = run(peers=str(peers), images=str(data / "coco/val2017"), num_images=3, rounds=1)
    report.write(tmp_path / "report.json")
    content = json.loads((tmp_path / "report.json").read_text())
    people = content["results"]["people"]
    assert people["MMPose, PyTorch"] == people["ONNX Runtime float32"] == people["OpenVINO float32"] > 10
    assert people["100 people, ONNX Runtime float32"] == 300
    assert all(0 < each["import"] < each["first people"] for each in content["results"]["cold start, s"].values())
    assert set(content["results"]["JPEG files a second"]) >= {"MMPose, PyTorch", "OpenVINO, the default"}
    assert {"before", "network", "after"} == set(content["results"]["parts of OpenVINO float32, ms"])


@pytest.mark.slow
def test_both_sides_of_the_gpu_run_on_a_cpu():
    data = Path(os.environ.get("RTMO_DATA", ROOT.parent / "shared" / "data"))
    weights = data.parent / "peers" / WEIGHTS
    if not weights.is_file():
        pytest.skip(f"no peers at {weights.parent}")
    found = measure(CONFIG, weights, 1, "cpu", lambda graph: graph, precisions=(False,), batches=(1, 2))
    assert list(found) == ["MMPose, eager", "ours, compiled, float32, before NMS"]
    assert all(0 < each["batch 1"] < each["batch 2"] for each in found.values())
