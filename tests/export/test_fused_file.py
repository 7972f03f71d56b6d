"""The cut "fused": rows in the order that DeepStream-Yolo-Pose's parser reads, and the files that nvinfer needs."""

import configparser

import numpy as np
import pytest

from rtmo_plugin.api import export
from rtmo_plugin.errors import ConfigError, DataError
from rtmo_plugin.export.export_options import ExportOptions
from rtmo_plugin.export.graphs import build_graph
from rtmo_plugin.runtime.engines import open_engine
from rtmo_plugin.runtime.exported_model import ExportedModel
from rtmo_plugin.runtime.letterbox import make_input
from rtmo_plugin.runtime.model_files import list_model_files
from tests.export.conftest import build_tiny
from tests.tiny_files import make_image

SIZE_WH, THEIR_NMS, THRESHOLD = (96, 64), 0.45, 0.2


@pytest.fixture(scope="module")
def file(tiny_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("fused") / "mine.onnx"
    export(*tiny_model, path, cut="fused", top_k=25, score_thr=THRESHOLD, nms_thr=THEIR_NMS)
    return path


def parse_as_deepstream(memory, num_rows, num_values, threshold):
    """Return (box, score, keypoints) of people, from floats in a row, as the repository documents their order."""
    width, height = SIZE_WH
    found = []
    for row in range(num_rows):
        x1, y1, x2, y2, score = memory[row * num_values : row * num_values + 5]
        if score < threshold:
            continue
        box = np.clip([x1, y1, x2, y2], 0, [width, height, width, height])
        points = [memory[row * num_values + 5 + 3 * k : row * num_values + 8 + 3 * k] for k in range(17)]
        found.append((box, score, np.array(points)))
    found.sort(key=lambda each: -each[1])
    kept = []
    for box, score, points in found:
        if all(measure_overlap(box, other) <= THEIR_NMS for other, _, _ in kept):
            kept.append((box, score, points))
    return kept


def measure_overlap(one, other):
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    shared = max(0.0, sides[0]) * max(0.0, sides[1])
    return shared / (np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]) - shared)


def test_their_parser_finds_the_people_that_our_runtime_finds(file):
    image = make_image(*SIZE_WH)  # as large as the input: no letterbox
    (output,) = open_engine(file, runtime="onnxruntime").run(make_input(image[None], "float32")).values()
    assert output.shape == (1, 25, 5 + 3 * 17)
    theirs = parse_as_deepstream(output.tobytes() and output.ravel(), *output.shape[1:], THRESHOLD)
    ours = ExportedModel(file, runtime="onnxruntime").predict(image)
    clipped = np.clip(ours.boxes, 0, [*SIZE_WH, *SIZE_WH])
    assert len(theirs) == len(ours) > 2
    np.testing.assert_allclose([box for box, _, _ in theirs], clipped, atol=1e-3)
    np.testing.assert_allclose([score for _, score, _ in theirs], ours.scores, atol=1e-6)
    np.testing.assert_allclose([points[:, :2] for _, _, points in theirs], ours.keypoints, atol=1e-3)
    np.testing.assert_allclose([points[:, 2] for _, _, points in theirs], ours.keypoint_scores, atol=1e-6)


def test_configuration_names_what_nvinfer_must_do(file):
    assert [path.name for path in list_model_files(file, "fused")] == [
        "mine.onnx", "mine_deepstream.txt", "mine_labels.txt",
    ]  # fmt: skip
    config = configparser.ConfigParser()
    config.read(file.with_name("mine_deepstream.txt"))
    values = config["property"]
    assert (values["onnx-file"], values["labelfile-path"]) == ("mine.onnx", "mine_labels.txt")
    assert values["infer-dims"] == "3;64;96"
    assert (values["net-scale-factor"], values["model-color-format"]) == ("1", "1")  # 0 to 255, BGR
    assert (values["maintain-aspect-ratio"], values["symmetric-padding"]) == ("1", "1")  # a letterbox in the middle
    assert (values["network-type"], values["cluster-mode"], values["output-instance-mask"]) == ("3", "4", "1")
    assert values["parse-bbox-instance-mask-func-name"] == "NvDsInferParseYoloPose"
    assert float(config["class-attrs-all"]["pre-cluster-threshold"]) == THRESHOLD
    assert file.with_name("mine_labels.txt").read_text() == "person\n"


def test_file_without_its_output_is_refused(file):
    info = ExportedModel(file).info
    for outputs, sentence in (({"dets": (1, 25, 5)}, "has no output output"), ({"output": (1, 25, 50)}, "is of 50")):
        with pytest.raises(DataError, match=sentence):
            info.check_outputs(outputs, "mine.onnx")


def test_what_the_rows_cannot_hold_is_refused():
    with pytest.raises(ConfigError, match="DeepStream, which gives float32: leave out --input uint8"):
        ExportOptions(cut="fused", input="uint8")
    with pytest.raises(ConfigError, match="no place for the class of a person, and the model has 2 classes"):
        build_graph(build_tiny(head={"num_classes": 2}), ExportOptions(SIZE_WH, cut="fused"))
