"""Metadata that do not fit their file, or have wrong types, are one sentence, without control characters."""

import itertools
import json

import numpy as np
import onnx
import pytest

from rtmo_plugin import Pose
from rtmo_plugin.errors import DataError
from rtmo_plugin.keypoints.sets import COCO
from rtmo_plugin.runtime.engines import open_engine
from rtmo_plugin.runtime.model_info import ModelInfo
from tests.conftest import run_command
from tests.tiny_files import make_image

NAMES = [f"point {index}" for index in range(1000)]


@pytest.fixture
def change(files, tmp_path):
    """Return what writes a copy of a file with other metadata."""

    def write(of, /, **values):
        model = onnx.load(files[of])
        strings = {each.key: each.value for each in model.metadata_props}
        strings |= {name: json.dumps(value) for name, value in values.items()}
        onnx.helper.set_model_props(model, strings)
        path = tmp_path / "changed.onnx"
        onnx.save(model, path)
        if of == "raw":
            path.with_suffix(".npz").write_bytes(files[of].with_suffix(".npz").read_bytes())
        return path

    return write


COUNTS, CUTS, RUNTIMES = (18, 1, 5, 16, 1000), ("end2end", "decoded", "raw"), ("onnxruntime", "openvino")


@pytest.mark.parametrize(
    ("count", "cut", "runtime"),
    [
        # By default, each count in one file, and one count in each file of each runtime.
        pytest.param(*each, marks=[] if COUNTS[0] in each or each[1:] == (CUTS[0], RUNTIMES[0]) else pytest.mark.slow)
        for each in itertools.product(COUNTS, CUTS, RUNTIMES)
    ],
)
def test_names_are_as_many_as_the_keypoints_of_the_outputs(change, cut, count, runtime):
    names = {"keypoint_names": NAMES[:count], "keypoint_sigmas": [0.1] * count}
    path = change(cut, **names, keypoint_flip_pairs=[], keypoint_skeleton=[])
    with pytest.raises(
        DataError, match=rf"metadata of {count} keypoint names, and its output \w+ is of 17: they do not"
    ):
        open_engine(path, runtime=runtime)


def test_classes_and_sizes_belong_to_the_file_too(change):
    with pytest.raises(DataError, match="metadata of 2 class names, and its output class_logits_16 is of 1"):
        open_engine(change("raw", classes=["a", "b"]))
    with pytest.raises(
        DataError, match=r"metadata of float32 images of 64x64, and its input has the shape \[1, 3, 64, 96\]"
    ):
        open_engine(change("raw", size_wh=[64, 64]))
    with pytest.raises(DataError, match="uint8 images of 96x64, and its input has the shape"):
        open_engine(change("raw", input="uint8"))
    with pytest.raises(DataError, match="has no output dets, which its metadata promise"):
        open_engine(change("raw", cut="end2end"))
    with pytest.raises(DataError, match="has no output visibility_logits_8, which"):
        open_engine(change("raw", strides=[8, 16]))


def test_outputs_whose_shapes_are_known_later_are_checked_then():
    info = ModelInfo(COCO)
    info.check_outputs({"dets": ["b", "n", 5], "keypoints": ["b", "n", None, 3]}, "m.onnx")
    with pytest.raises(DataError, match="is of 5"):
        info.check_outputs({"dets": (1, 2, 5), "keypoints": (1, 2, 5, 3)}, "m.onnx")


def save_constants(path, classes=("person",), **arrays):
    """Write a file that returns arrays whatever it is given, with the metadata of 17 keypoints."""
    nodes = [
        onnx.helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(value))
        for name, value in arrays.items()
    ]
    given = onnx.helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, [1, 3, 64, 96])
    returned = [
        onnx.helper.make_tensor_value_info(
            name, onnx.helper.np_dtype_to_tensor_dtype(value.dtype), [None] * max(value.ndim, 1)
        )
        for name, value in arrays.items()
    ]
    graph = onnx.helper.make_graph(nodes, "constants", [given], returned)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.helper.set_model_props(model, ModelInfo(COCO, size_wh=(96, 64), dynamic=(), classes=classes).to_strings())
    onnx.save(model, path)
    return path


def fill(*shape, value=0.5):
    return np.full(shape, value, np.float32)


SHAPES = [
    ((1, 2, 5), (1, 2, 17, 2), r"keypoints has the shape \(1, 2, 17, 2\) instead of \(1, 2, 17, 3\)"),
    ((2, 5), (1, 2, 17, 3), r"dets has the shape \(2, 5\)"),
    ((1, 3, 5), (1, 2, 17, 3), r"keypoints has the shape \(1, 2, 17, 3\) instead of \(1, 3, 17, 3\)"),
    ((2, 2, 5), (2, 2, 17, 3), r"dets has the shape \(2, 2, 5\) instead of \(1, 2, 5\)"),
    ((1, 2, 1, 5), (1, 2, 17, 3), "dets has the shape"),
]


@pytest.mark.parametrize(("dets", "keypoints", "sentence"), SHAPES)
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_shapes_that_are_known_when_the_file_runs_are_checked_then(tmp_path, dets, keypoints, sentence, runtime):
    path = save_constants(tmp_path / "m.onnx", dets=fill(*dets), keypoints=fill(*keypoints))
    with pytest.raises(DataError, match=f"^The model's output {sentence}.*: the file is damaged, or its metadata"):
        Pose(path, runtime=runtime)(make_image())


@pytest.mark.parametrize(
    ("classes", "labels", "sentence"),
    [
        (("a", "b"), np.full((1, 2), 99), "labels has the class 99, and its metadata name 2 classes"),
        (("a", "b"), np.full((1, 2), -1), "labels has the class -1, and"),
        (("a", "b"), fill(1, 2, value=np.nan), "labels has the class nan, and"),
        (("a", "b"), fill(1, 2), r"labels has the class 0\.5, and"),
        (("a",), np.full((1, 2), 1), "labels has the class 1, and its metadata name 1 class,"),
        (("a", "b"), np.zeros((1, 3), np.int64), r"labels has the shape \(1, 3\)"),
        (("a", "b"), None, "has no output labels, which its metadata promise"),
    ],
)
def test_labels_are_of_classes_that_have_names(tmp_path, classes, labels, sentence):
    arrays = {"dets": fill(1, 2, 5), "keypoints": fill(1, 2, 17, 3)}
    arrays |= {} if labels is None else {"labels": labels}
    with pytest.raises(DataError, match=sentence):
        Pose(save_constants(tmp_path / "m.onnx", classes, **arrays))(make_image())


def test_labels_of_empty_rows_do_not_matter_and_may_be_floats(tmp_path):
    dets = fill(1, 2, 5)
    dets[0, 1, 4] = 0
    arrays = {"dets": dets, "keypoints": fill(1, 2, 17, 3), "labels": np.array([[1, -1]], np.float32)}
    model = Pose(save_constants(tmp_path / "m.onnx", ("a", "b"), **arrays))
    assert model.info.name_classes(model(make_image()).labels) == ["b"]


WRONG = {
    "keypoint_names": [5, "nose", {"a": 1}, [1] * 17, [""] * 17, None, [["a"]] * 17],
    "keypoint_sigmas": [
        1,
        "x",
        [None] * 17,
        ["0.1"] * 17,
        [True] * 17,
        "[NaN" + ", 1" * 16 + "]",
        [1e999] * 17,
        [0] * 17,
    ],
    "keypoint_flip_pairs": [3, [[0]], [["a", "b"]], [[0, 99]], [[0, 1.5]], [0, 1], {"0": 1}],
    "keypoint_skeleton": [None, [[0, -1]], [[True, False]]],
    "classes": ["person", [], [1], None, {"a": 1}],
    "size_wh": [640, [96], [96, 64, 3], [96.0, 64.0], ["96", "64"], [0, 0], [-96, 64], [10**9, 64], None],
    "cut": ["half", 5, ["raw"], None],
    "input": [8, "int8", None],
    "dynamic": ["batch", [1], ["width"], None],
    "precision": [32, "float8", None],
    "score_thr": ["0.1", 2, -1, None, True, "NaN", [0.1]],
    "nms_thr": ["x", 1.5, None, "Infinity"],
    "max_people": [0, -5, 1.5, "100", None, True, 10**30],
    "strides": [[], 16, [0], ["16"], [16.0, 32.0], None],
    "pad_value": [114, [114], [1, 2, 300], ["a", "b", "c"], None],
    "name": [5, None, ["a"]],
    "version": [1, {}],
    "training_ap": ["0.5", [], "NaN"],
    "rtmo_score_calibration": [5, {"kind": "logistic", "score_weight": "a"}, [[]]],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_type_is_one_sentence(name, value):
    strings = ModelInfo(COCO).to_strings()
    raw = value if isinstance(value, str) and not value.isalpha() and not value[0].isdigit() else json.dumps(value)
    raw = value if value in ("NaN", "Infinity") else raw
    with pytest.raises(DataError, match=r"^m\.onnx has metadata that this version cannot read|calibration"):
        ModelInfo.from_strings({**strings, name: raw}, "m.onnx")


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "nul", "1" * 10_000, "\x00", '"\\ud800'])
@pytest.mark.parametrize("name", ["keypoint_names", "size_wh", "score_thr"])
def test_what_is_not_json_is_one_sentence(name, text):
    with pytest.raises(DataError, match=r"m\.onnx has metadata that this version cannot read"):
        ModelInfo.from_strings({**ModelInfo(COCO).to_strings(), name: text}, "m.onnx")


def test_a_missing_value_is_named():
    strings = ModelInfo(COCO).to_strings()
    del strings["size_wh"]
    with pytest.raises(DataError, match="cannot read: 'size_wh' is missing"):
        ModelInfo.from_strings(strings, "m.onnx")


def test_what_is_right_stays_right(change, capsys):
    path = change("end2end", name="mine")
    code, out, err = run_command(capsys, "info", path, "--json")
    assert code == 0, err
    assert json.loads(out)["name"] == "mine"
    code, out, _ = run_command(capsys, "predict", path, str(path.with_name("none.jpg")))
    assert code == 2
    assert np.asarray(make_image()).dtype == np.uint8


def test_36_info_shows_control_characters_and_does_not_print_them(change, capsys):
    evil = "\x1b]0;owned\x07\x1b[2J\u202ename\r\n\x9b31m"
    path = change("end2end", name=evil, classes=[evil], version=evil)
    code, out, err = run_command(capsys, "info", path)
    assert code == 0, err
    assert all(each.isprintable() for line in out.splitlines() for each in line)
    assert r"\x1b]0;owned\x07\x1b[2J\u202ename\r\n\x9b31m" in out
    code, out, err = run_command(capsys, "info", change("end2end", precision=evil))
    assert (code, out) == (2, "")
    assert all(each.isprintable() for each in err.rstrip("\n"))
