"""Rules that have one copy: ranks with ties, CrowdPose's files, settings of ONNX Runtime."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from scipy.stats import spearmanr

import rtmo_plugin.analysis.measures.calibration as reports
import studies.observing as studies
from benchmarks.inference_sides import open_yolo
from rtmo_plugin.errors import DataError
from rtmo_plugin.evaluation import is_crowdpose
from rtmo_plugin.runtime.engines.onnx_runtime import OnnxRuntimeEngine
from studies.observing import FoundKeypoints
from studies.top_down import TopDownModel


@pytest.mark.parametrize("seed", range(4))
def test_ranks_with_ties_correlate_as_scipy_says(seed):
    random = np.random.default_rng(seed)
    first, second = random.integers(0, 5, (2, 40)).astype(float)
    assert studies.correlate_ranks is reports.correlate_ranks
    assert reports.correlate_ranks(first, second) == pytest.approx(spearmanr(first, second)[0], abs=1e-12)


def test_what_does_not_vary_has_no_correlation():
    assert np.isnan(reports.correlate_ranks(np.ones(3), np.arange(3.0)))
    found = FoundKeypoints(np.ones(1), np.full(3, 0.1), np.array([0.1, 0.2, 0.3]), np.ones(3), np.ones(3))
    summary = studies._summarize(found, np.ones(3, bool))
    assert "correlation" not in summary


def test_a_file_without_images_is_not_crowdposes():
    assert not is_crowdpose({"images": []})
    assert is_crowdpose({"images": [{"crowdIndex": 0.5}]})
    assert not is_crowdpose({"images": [{"crowdIndex": 0.5}, {}]})


def write_network(path):
    """Write an ONNX file that returns its images, without the metadata of an RTMO."""
    shape = [1, 32, 32, 3]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["images"], ["out"])],
        "same",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("out", TensorProto.UINT8, shape)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_rivals_run_in_onnx_runtime_with_our_settings(tmp_path, monkeypatch):
    path, opened = write_network(tmp_path / "same.onnx"), []

    class Session(onnxruntime.InferenceSession):
        def __init__(self, file, settings, **options):
            opened.append((settings.intra_op_num_threads, settings.graph_optimization_level, options))
            super().__init__(file, settings, **options)

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    with pytest.raises(DataError):  # it is not an RTMO
        OnnxRuntimeEngine(path, threads=2)
    TopDownModel(path, path, crops_at_once=1, threads=2)
    assert len(opened) == 3
    assert opened[1:] == opened[:1] * 2
    opened.clear()
    with pytest.raises(DataError):
        OnnxRuntimeEngine(path)
    open_yolo(path)
    assert opened[0] == opened[1]
