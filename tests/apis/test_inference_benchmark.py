"""The benchmark of inference: what it refuses, and, where the peers are, one short run of everything."""

import json
import os
from pathlib import Path

import pytest

from rtmo_plugin.apis.benchmarks.inference import run
from rtmo_plugin.errors import ConfigError, MissingFileError
from tests.conftest import ROOT


def test_what_cannot_be_measured_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="--num-images and --rounds must be at least 1"):
        run(peers=str(tmp_path), rounds=0)
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
    assert people["ONNX Runtime, 100 people"] == 300
    assert {"before", "network", "after"} == set(content["results"]["parts of OpenVINO float32, ms"])
