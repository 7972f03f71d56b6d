"""The benchmark of inference: what it refuses, and, where the peers are, one short run of everything."""

import json
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks.inference import run
from benchmarks.inference_sides import WEIGHTS, open_yolo
from rtmo_plugin.errors import ConfigError, MissingFileError
from tests.conftest import ROOT


def test_what_cannot_be_measured_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="--num-images and --rounds must be at least 1"):
        run(peers=str(tmp_path), rounds=0)
    with pytest.raises(ConfigError, match="--int8 is calibrated with a folder of images"):
        run(peers=str(tmp_path), int8=True)
    with pytest.raises(MissingFileError, match=f"{WEIGHTS} does not exist: --peers names a folder with"):
        run(peers=str(tmp_path))
    with pytest.raises(MissingFileError, match="--yolo names a pose model that Ultralytics' package exported"):
        run(peers=str(tmp_path), yolo=str(tmp_path / "yolo.onnx"))


def test_a_yolo_is_read_as_its_makers_do(tmp_path):
    """A network that finds the same two places, and one of them twice, in whatever it is shown."""
    rows = np.zeros((1, 56, 5), np.float32)
    rows[0, :5, 0] = 32, 32, 20, 40, 0.9
    rows[0, :5, 1] = 33, 32, 20, 40, 0.8  # the same person
    rows[0, :5, 2] = 10, 32, 10, 10, 0.05  # nobody
    rows[0, :5, 3] = 55, 40, 10, 10, 0.5
    rows[0, 5::3], rows[0, 6::3] = rows[0, 0], rows[0, 1]  # all keypoints are where the box is
    nodes = [
        helper.make_node("ReduceMax", ["images"], ["largest"], keepdims=0),
        helper.make_node("Sub", ["largest", "largest"], ["zero"]),
        helper.make_node("Add", ["zero", "rows"], ["output0"]),
    ]
    shapes = {"images": (1, 3, 64, 64), "output0": rows.shape}
    given, found = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items())
    graph = helper.make_graph(nodes, "yolo", [given], [found], [numpy_helper.from_array(rows, "rows")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "yolo.onnx")
    ((name, find),) = open_yolo(tmp_path / "yolo.onnx").items()
    assert name == "Ultralytics, yolo.onnx"
    keypoints = find(np.zeros((128, 128, 3), np.uint8))
    assert keypoints.shape == (2, 17, 2)
    np.testing.assert_allclose(keypoints[:, 0], [[64, 64], [110, 80]], rtol=0, atol=1e-3)


@pytest.mark.slow
def test_all_sides_are_measured_and_find_the_same_people(tmp_path):
    data = Path(os.environ.get("RTMO_DATA", ROOT.parent / "shared" / "data"))
    peers = data.parent / "peers"
    if not peers.is_dir():
        pytest.skip(f"no files of other projects at {peers}")
    report = run(peers=str(peers), images=str(data / "coco/val2017"), num_images=3, rounds=1)
    report.write(tmp_path / "report.json")
    content = json.loads((tmp_path / "report.json").read_text())
    people = content["results"]["people"]
    assert people["MMPose, PyTorch"] == people["ONNX Runtime float32"] == people["OpenVINO float32"] > 10
    assert people["100 people, ONNX Runtime float32"] == 300
    assert all(0 < each["import"] < each["first people"] for each in content["results"]["cold start, s"].values())
    assert set(content["results"]["JPEG files per second"]) >= {"MMPose, PyTorch", "OpenVINO, the default"}
    assert {"before", "network", "after"} == set(content["results"]["parts of OpenVINO float32, ms"])
