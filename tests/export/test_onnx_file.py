"""ONNX files: they say what PyTorch says, and a file that does not is not kept."""

import copy

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from rtmo_plugin.errors import ConfigError, DataError, ExportError
from rtmo_plugin.export.checks.comparison import compare_with_pytorch
from rtmo_plugin.export.checks.reference import Reference
from rtmo_plugin.export.checks.tolerance import FLOAT32, INT8
from rtmo_plugin.export.export_options import ExportOptions, parse_size
from rtmo_plugin.export.graphs import build_graph
from rtmo_plugin.export.writers import onnx_file
from rtmo_plugin.export.writers.onnx_file import convert_to_onnx, open_content, write_onnx
from rtmo_plugin.runtime.model_info import ModelInfo
from tests.export.conftest import build_tiny

SIZE_WH = (96, 64)


def make_options(**options):
    return ExportOptions(**{"size_wh": SIZE_WH, "top_k": 20, **options})


def make_info(model, options):
    return ModelInfo(model.head.schema, size_wh=options.size_wh, cut=options.cut, training_ap=0.5, version="1.2")


def write(model, folder, **options):
    """Write a file, and return it, what was found, and the session that runs it."""
    wanted = make_options(**options)
    path = folder / "model.onnx"
    found = write_onnx(model, path, wanted, make_info(model, wanted))
    return path, found, onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def convert(model, **options):
    """Return the session of a file that was not compared with anything."""
    wanted = make_options(**options)
    content = convert_to_onnx(build_graph(model, wanted), wanted, make_info(model, wanted).to_strings())
    return onnxruntime.InferenceSession(content.SerializeToString(), providers=["CPUExecutionProvider"])


def describe(tensors):
    return {each.name: (each.type, each.shape) for each in tensors}


@pytest.fixture(scope="module")
def default(tiny, tmp_path_factory):
    """Return the file with default options, what was found, and the session that runs it."""
    return write(tiny, tmp_path_factory.mktemp("default"))


@pytest.fixture(scope="module")
def run_default(default):
    """Return what runs the file with default options."""
    return open_content(default[0].read_bytes())


def test_default_file_has_mmdeploys_signature(default):
    path, found, session = default
    assert describe(session.get_inputs()) == {"input": ("tensor(float)", ["batch", 3, 64, 96])}
    assert describe(session.get_outputs()) == {
        "dets": ("tensor(float)", ["batch", "people", 5]),
        "keypoints": ("tensor(float)", ["batch", "people", 17, 3]),
    }
    assert found.num_images == 15  # one and four, with three thresholds
    assert found.num_people > 50
    assert max(found.score, found.box, found.keypoint) < 1
    model = onnx.load(path)
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 17)]
    assert {node.domain for node in model.graph.node} == {""}
    assert list(path.parent.iterdir()) == [path]


def test_everything_dynamic(tiny, tmp_path):
    _, found, session = write(tiny, tmp_path, dynamic=("batch", "size"))
    assert session.get_inputs()[0].shape == ["batch", 3, "height", "width"]
    assert found.num_images == 45
    tall, wide = (session.run(None, {"input": np.zeros((1, 3, h, w), np.float32)}) for h, w in ((128, 32), (32, 192)))
    assert tall[0].shape[2] == wide[0].shape[2] == 5


def test_decoded_and_raw_cuts(tiny, tmp_path):
    _, found, session = write(tiny, tmp_path, cut="decoded")
    assert {each.name: each.shape[1:] for each in session.get_outputs()} == {
        "dets": [20, 5],
        "labels": [20],
        "keypoints": [20, 17, 3],
    }
    assert found.num_people == 5 * 20
    _, found, session = write(tiny, tmp_path, cut="raw", dynamic=("size",))
    shapes = {each.name: each.shape for each in session.get_outputs()}
    assert len(shapes) == 8
    assert shapes["box_deltas_32"] == [1, 4, "height_32", "width_32"]
    assert 0 < found.maps < 1
    operators = {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    assert not operators & {"NonMaxSuppression", "TopK", "GatherElements", "ScatterND"}


def test_uint8_input_has_the_preprocessor_inside():
    model = build_tiny(data_preprocessor={"mean": [10, 20, 30], "std": [50, 60, 70], "bgr_to_rgb": True})
    session = convert(model, input="uint8", cut="raw")
    assert describe(session.get_inputs()) == {"input": ("tensor(uint8)", ["batch", 64, 96, 3])}
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    planes = [torch.from_numpy(image.transpose(2, 0, 1).copy())]
    with torch.no_grad():
        expected = model.head(
            model.extract_feat(model.data_preprocessor({"inputs": planes, "data_samples": []})["inputs"])
        )
    got = session.run(["class_logits_16"], {"input": image[None]})[0]
    np.testing.assert_allclose(got, expected.class_logits[0].numpy(), atol=1e-3, rtol=1e-3)


def test_half_precision_keeps_inputs_and_outputs(tiny, tmp_path):
    if not can_convolve_in_half_precision():
        with pytest.raises(ConfigError, match="cannot compute in float16 on CPUs, which --half needs"):
            write(tiny, tmp_path, half=True, dynamic=())
        return
    path, found, session = write(tiny, tmp_path, half=True, dynamic=())
    assert describe(session.get_inputs()) == {"input": ("tensor(float)", [1, 3, 64, 96])}
    assert {each.type for each in session.get_outputs()} == {"tensor(float)"}
    weights = onnx.load(path).graph.initializer
    assert sum(each.data_type == onnx.TensorProto.FLOAT16 for each in weights) > 100
    assert found.num_images == 3


def can_convolve_in_half_precision():
    try:
        torch.nn.Conv2d(1, 1, 1).half()(torch.zeros(1, 1, 1, 1).half())
    except RuntimeError:
        return False
    return True


def test_nobody_is_one_row_of_zeros(run_default):
    outputs = run_default(np.zeros((2, 3, 64, 96), np.float32), 1.0)
    assert {name: value.shape for name, value in outputs.items()} == {"dets": (2, 1, 5), "keypoints": (2, 1, 17, 3)}
    assert not any(value.any() for value in outputs.values())


def test_most_certain_people_are_kept(tiny):
    session = convert(tiny, max_people=3, score_thr=0.0, nms_thr=1.0)
    image = np.random.default_rng(0).uniform(0, 255, (2, 3, 64, 96)).astype(np.float32)
    dets, keypoints = session.run(None, {"input": image})
    reference = Reference(tiny, torch.from_numpy(image))
    best, priors = reference.scores.topk(3)
    np.testing.assert_allclose(dets[..., 4], best, rtol=0, atol=1e-4)
    for index in range(2):
        expected = reference.predictions.boxes[index, priors[index]]
        np.testing.assert_allclose(dets[index, :, :4], expected, rtol=1e-3, atol=1e-2)
        np.testing.assert_allclose(keypoints[index, ..., 2], reference.locate(index, priors[index])[..., 2], atol=1e-4)


def test_metadata_travel_in_the_file(tiny, default):
    strings = default[2].get_modelmeta().custom_metadata_map
    info = ModelInfo.from_strings(strings, "model.onnx")
    assert info == make_info(tiny, make_options())
    assert info.schema.skeleton
    assert (info.training_ap, info.version, info.size_wh) == (0.5, "1.2", SIZE_WH)
    with pytest.raises(DataError, match=r"model\.onnx has metadata that this version cannot read"):
        ModelInfo.from_strings({**strings, "keypoint_sigmas": "[1"}, "model.onnx")


def change(model, layer, index, addend):
    """Return a copy of a model with something added to the last biases of its head."""
    changed = copy.deepcopy(model)
    with torch.no_grad():
        getattr(changed.head.head_module, layer)[0].bias[index] += addend
    return changed


@pytest.mark.parametrize(
    ("layer", "index", "addend", "sentence"),
    [
        ("out_pose", slice(None), 0.3, "a keypoint differs by"),
        ("out_bbox", 2, 0.03, "a box differs by|other people than PyTorch"),
        ("out_kpt_vis", 3, 0.05, "a score differs by"),
        ("out_cls", 0, 5.0, "a score differs by|other people than PyTorch"),
        ("out_cls", 0, -0.7, "a score differs by|other people than PyTorch"),
    ],
)
def test_file_of_other_weights_is_told_apart(tiny, run_default, layer, index, addend, sentence):
    other = change(tiny, layer, index, addend)
    with pytest.raises(ExportError, match=sentence):
        compare_with_pytorch(other, run_default, make_options(), FLOAT32).check("The file", FLOAT32)


def test_eight_bits_may_be_wrong_about_some_people_and_not_about_most(tiny, run_default):
    def move(share):
        def run_wrongly(images, score_thr):
            outputs = run_default(images, score_thr)
            moved = outputs["keypoints"].copy()
            moved[:, : int(share * moved.shape[1])] += 100
            return {**outputs, "keypoints": moved}

        return compare_with_pytorch(tiny, run_wrongly, make_options(), INT8)

    move(0.4).check("The file", INT8)
    with pytest.raises(ExportError, match="a score differs by"):  # of keypoints
        move(1).check("The file", INT8)


def test_file_that_is_wrong_is_not_kept(tiny, tmp_path, monkeypatch):
    other = change(tiny, "out_pose", slice(None), 0.3)
    monkeypatch.setattr(onnx_file, "build_graph", lambda _, options: build_graph(other, options))
    with pytest.raises(ExportError, match=r"model\.onnx does not compute what .*, and was not kept: the maps differ"):
        write(tiny, tmp_path, cut="raw")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"size_wh": (640, 400)}, "The size 640x400 is not possible: .* multiples of 32, such as 640x416"),
        ({"size_wh": (0, 32)}, "The size 0x32 is not possible"),
        ({"cut": "half"}, "--cut half: choose end2end, decoded, fused, raw"),
        ({"input": "int8"}, "--input int8: choose float32, uint8"),
        ({"dynamic": ("width",)}, "--dynamic width: choose batch"),
        ({"score_thr": 2.0}, "score_thr must be a number from 0 to 1"),
        ({"max_people": 0}, "max_people must be a whole number from 1"),
    ],
)
def test_impossible_options_are_refused(options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        ExportOptions(**options)


@pytest.mark.parametrize("text", ["640x", "axb", "1x2x3", "-32", "32.0"])
def test_size_that_is_none_is_refused(text):
    with pytest.raises(ConfigError, match="write WIDTHxHEIGHT"):
        parse_size(text)


def test_a_model_that_regresses_coordinates_is_refused():
    model = build_tiny(head={"coordinates": "proxy"})
    with pytest.raises(ConfigError, match="coordinates='proxy': this does not export"):
        build_graph(model, make_options())
