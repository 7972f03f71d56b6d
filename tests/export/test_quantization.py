"""Eight-bit files: they find about the same people, keep sensitive layers, and say what they cost."""

import json

import cv2
import numpy as np
import onnx
import pytest

from rtmo_plugin.api import export
from rtmo_plugin.engine.predicted_samples import predict_infos
from rtmo_plugin.errors import ConfigError, DataError, MissingFileError
from rtmo_plugin.export.export_options import ExportOptions
from rtmo_plugin.export.writers.quantization import is_sensitive
from rtmo_plugin.runtime.exported_model import ExportedModel
from tests.tiny_files import make_image
from tests.tools.test_tools import run_in_process


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Return a folder of images, with an annotation file of what the model itself finds."""
    folder = tmp_path_factory.mktemp("images")
    for seed in range(4):
        cv2.imwrite(str(folder / f"{seed}.png"), make_image(seed=seed))
    return folder


@pytest.fixture(scope="module")
def annotations(tiny_file, images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("truth")
    infos = [{"img_id": seed, "img_path": str(images / f"{seed}.png")} for seed in range(4)]
    samples, _ = predict_infos(tiny_file, infos)
    people = [
        {"image_id": sample["img_id"], "keypoints": np.append(points, np.full((17, 1), 2), 1).ravel().tolist()}
        for sample in samples
        for points in sample["pred_instances"]["keypoints"][:3]
    ]
    rest = {"category_id": 1, "bbox": [0, 0, 150, 70], "area": 10000.0, "num_keypoints": 17, "iscrowd": 0}
    content = {
        "images": [{"id": seed, "file_name": f"{seed}.png", "width": 150, "height": 70} for seed in range(4)],
        "annotations": [{"id": index + 1, **rest, **person} for index, person in enumerate(people)],
        "categories": [{"id": 1, "name": "person"}],
    }
    (folder / "truth.json").write_text(json.dumps(content))
    return folder / "truth.json"


@pytest.mark.parametrize(
    ("form", "name"), [("onnx", "int8.onnx"), pytest.param("openvino", "int8.xml", marks=pytest.mark.slow)]
)
def test_ap_before_and_after_is_reported(tiny_model, images, annotations, tmp_path, form, name):
    options = {"format": form, "int8": True, "int8_images": images, "input": "uint8", "dynamic": "none"}
    result = export(*tiny_model, tmp_path / name, annotations=annotations, **options)
    assert "AP on 4 images: " in result.describe()
    assert "in float32, " in result.describe()
    assert result.accuracy.before.precision > 0.3  # the file whose answers are the truth, on a part of its people
    assert 0 <= result.accuracy.after.precision <= result.accuracy.before.precision + 0.1
    model = ExportedModel(tmp_path / name)
    assert model.info.precision == "int8"
    if form == "onnx":  # coordinates and scores are not rounded to a 255th of their range
        rounded = [node.input[0] for node in onnx.load(tmp_path / name).graph.node if node.op_type == "QuantizeLinear"]
        assert len(rounded) > 20
        assert [each for each in rounded if not each.startswith(("/backbone/", "/neck/", "/head/"))][1:] == []  # input
    people = model.predict(make_image())
    assert len(people) > 0
    assert np.isfinite(people.keypoints).all()
    assert sorted(path.suffix for path in tmp_path.iterdir()) == ([".onnx"] if form == "onnx" else [".bin", ".xml"])


def test_sensitive_layers_stay_in_float32(tiny_model, images, tmp_path):
    path = tmp_path / "int8.onnx"
    result = export(*tiny_model, path, int8=True, int8_images=images, cut="raw", dynamic="none")
    assert 0.001 < result.differences.maps < 1  # rounded, and not to pieces
    model = onnx.load(path)
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 17)]
    makers = {output: node for node in model.graph.node for output in node.output}
    convs = [node for node in model.graph.node if node.op_type == "Conv"]
    eight_bit = {node.name: node.input[1] in makers for node in convs}  # weights come out of an operator
    assert sum(map(is_sensitive, eight_bit)) == 8
    assert all(eight_bit[name] != is_sensitive(name) for name in eight_bit)
    dtypes = {each.name: each.data_type for each in model.graph.initializer}
    weights = [makers[node.input[1]].input for node in convs if eight_bit[node.name]]
    assert {dtypes[each[0]] for each in weights} == {onnx.TensorProto.INT8}
    scales = {each.name: each.dims for each in model.graph.initializer}
    assert all(list(scales[each[1]]) == [scales[each[0]][0]] for each in weights)  # one a channel


def test_what_cannot_be_is_refused(tiny_model, images, annotations, tmp_path, capsys):
    with pytest.raises(ConfigError, match="--int8 measures its value ranges on images"):
        ExportOptions(int8=True)
    with pytest.raises(ConfigError, match="--int8-images is for --int8"):
        ExportOptions(int8_images=(images / "0.png",))
    with pytest.raises(ConfigError, match="--int8 and --half exclude each other"):
        ExportOptions(int8=True, half=True, int8_images=(images / "0.png",))
    with pytest.raises(ConfigError, match="--annotations is for the AP of --int8"):
        export(*tiny_model, tmp_path / "x.onnx", annotations=annotations)
    with pytest.raises(MissingFileError, match="No image was found"):
        export(*tiny_model, tmp_path / "x.onnx", int8=True, int8_images=tmp_path)
    with pytest.raises(MissingFileError, match="No image was found"):  # the option's earlier name
        export(*tiny_model, tmp_path / "x.onnx", int8=True, calibration_images=tmp_path)
    arguments = ["--out", str(tmp_path / "x.onnx"), "--int8", "--calibration-images", str(tmp_path)]
    code, _, err = run_in_process(capsys, "export", *tiny_model, *arguments)
    assert (code, "No image was found" in err) == (2, True)
    options = {"int8": True, "int8_images": images, "cut": "decoded"}
    with pytest.raises(ConfigError, match=r"x\.pt cannot hold eight-bit convolutions"):
        export(*tiny_model, tmp_path / "x.pt", format="torchscript", **options)
    (tmp_path / "bad.png").write_text("not an image")
    with pytest.raises(DataError, match=r"bad\.png is not an image"):
        export(*tiny_model, tmp_path / "x.onnx", int8=True, int8_images=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.png"]
