"""Exported files as functions from images to people: the answers of PyTorch, whatever the file and the image."""

import functools
import platform
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from PIL import Image

from rtmo_plugin import Pose
from rtmo_plugin.errors import ConfigError, DataError, MissingFileError
from rtmo_plugin.media.images import decode_image
from rtmo_plugin.runtime.engines import open_engine
from rtmo_plugin.runtime.engines.onnx_runtime import list_harmful
from rtmo_plugin.runtime.exported_model import ExportedModel
from rtmo_plugin.runtime.letterbox import apply_letterbox
from tests.tiny_files import make_image

CUTS = ("end2end", "decoded", "fused", "raw")


def assert_same_people(found, expected, atol=0.05):
    """Compare with the detections of MMPose's test pipeline."""
    assert len(found) == len(expected)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=0, atol=1e-3)
    np.testing.assert_allclose(found.boxes, expected.boxes, rtol=1e-3, atol=atol)
    np.testing.assert_allclose(found.keypoint_scores, expected.keypoint_scores, rtol=0, atol=1e-3)
    np.testing.assert_allclose(found.keypoints, expected.keypoints, rtol=0, atol=20 * atol)
    assert np.median(np.abs(found.keypoints - expected.keypoints)) < atol


@pytest.fixture(scope="module")
def open_file(files):
    """Return a function that opens the file of a cut, once for the same options."""
    return functools.cache(lambda cut, **options: ExportedModel(files[cut], **options))


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(
    ("size_wh", "runtime"),
    [((150, 70), "onnxruntime"), ((40, 111), "onnxruntime"), ((96, 64), "onnxruntime"), ((150, 70), "openvino")],
)
def test_people_are_those_of_pytorch(open_file, checkpoint_model, cut, size_wh, runtime):
    image = make_image(*size_wh)
    expected = checkpoint_model.predict_batch([image])[0]
    assert len(expected) > 0
    model = open_file(cut, runtime=runtime, precision="float32")
    assert_same_people(model.predict(image), expected)


@pytest.mark.parametrize("cut", CUTS)
def test_one_pixel_is_an_image(open_file, checkpoint_model, cut):
    image = make_image(1, 1)
    people, expected = open_file(cut).predict(image), checkpoint_model.predict_batch([image])[0]
    # Many priors see the same, and which of equals comes first is rounding.
    np.testing.assert_allclose(people.scores, expected.scores, rtol=0, atol=1e-3)
    assert np.isfinite(people.keypoints).all()


def test_other_sizes_of_a_dynamic_file(files):
    assert len(ExportedModel(files["end2end"], size_wh=(128, 96)).predict(make_image())) > 0
    with pytest.raises(ConfigError, match="takes 96x64 pixels alone"):
        ExportedModel(files["raw"], size_wh=(128, 96))
    with pytest.raises(ConfigError, match="The size 100x96 cannot be"):
        ExportedModel(files["end2end"], size_wh=(100, 96))


@pytest.mark.parametrize("cut", CUTS)
def test_batch_gives_the_people_of_each_image(files, cut):
    model = ExportedModel(files[cut], threads=1)
    images = [make_image(150, 70, seed) for seed in range(3)] + [np.zeros((20, 20, 3), np.uint8)]
    together = model.predict_batch(images)
    for image, people in zip(images, together):
        alone = model.predict(image)
        assert len(people) == len(alone)
        np.testing.assert_allclose(people.keypoints, alone.keypoints, rtol=0, atol=0.1)


@pytest.mark.parametrize("cut", CUTS)
def test_higher_threshold_leaves_people_out(files, open_file, cut):
    everyone = open_file(cut).predict(make_image())
    middle = float(np.median(everyone.scores))
    fewer = ExportedModel(files[cut], score_thr=middle).predict(make_image())
    assert 0 < len(fewer) < len(everyone)
    assert len(fewer) == (everyone.scores > middle).sum()
    assert len(ExportedModel(files[cut], score_thr=1.0).predict(make_image())) == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with good, odd and bad files, and the names of the bad ones."""
    folder = tmp_path_factory.mktemp("images")
    image = make_image(60, 40)
    wide = image.astype(np.uint16) * 257
    good = {"a.jpg": image, "b.png": image, "gray.png": image[..., 0], "16bit.png": wide, "pixel.bmp": image[:1, :1]}
    for name, content in good.items():
        (folder / name).write_bytes(cv2.imencode(name[-4:], content)[1].tobytes())
    (folder / "cut off.jpg").write_bytes((folder / "a.jpg").read_bytes()[:-300])
    (folder / "cut off.png").write_bytes((folder / "b.png").read_bytes()[:2000])
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("not an image")
    (folder / "thin.png").write_bytes(cv2.imencode(".png", np.zeros((1, 40000, 3), np.uint8))[1].tobytes())
    return folder


@pytest.mark.parametrize(("batch_size", "streams"), [(1, 1), (3, 1), (1, 3)])
@pytest.mark.parametrize("cut", ["end2end", "raw"])
def test_one_bad_file_never_stops_the_others(files, open_file, folder, cut, batch_size, streams):
    model = open_file(cut, score_thr=0.1)
    paths = [*sorted(folder.iterdir()), folder / "nowhere.jpg"]
    results = list(Pose(files[cut], streams=streams, score_thr=0.1).stream(paths, batch_size=batch_size))
    assert [result.frame.name for result in results] == list(map(str, paths))
    errors = {Path(result.frame.name).name: result.error for result in results if result.error}
    assert set(errors) - {"thin.png"} == {"cut off.jpg", "cut off.png", "empty.jpg", "text.jpg", "nowhere.jpg"}
    assert all(str(folder / name) in error for name, error in errors.items())
    people = {Path(result.frame.name).name: result.people for result in results}
    assert all(len(people[name]) == 0 for name in errors)
    expected = model.predict(cv2.imread(str(folder / "b.png")))
    for name in ("b.png", "16bit.png"):
        np.testing.assert_allclose(people[name].keypoints, expected.keypoints, rtol=0, atol=0.1)
    gray = model.predict(cv2.cvtColor(cv2.imread(str(folder / "b.png"))[..., :1], cv2.COLOR_GRAY2BGR))
    np.testing.assert_allclose(people["gray.png"].scores, gray.scores, rtol=0, atol=1e-3)


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_streams_compute_side_by_side_what_one_would(files, open_file, runtime):
    images = [make_image(90 + 7 * i, 60, seed=i) for i in range(12)]
    expected = open_file("end2end", runtime=runtime, precision="float32").predict_batch(images)
    model = ExportedModel(files["end2end"], runtime=runtime, precision="float32", streams=3)
    assert model.streams == 3
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(model.predict, images))
    for ours, one in zip(found, expected):
        np.testing.assert_allclose(ours.scores, one.scores, rtol=0, atol=1e-5)
        np.testing.assert_allclose(ours.keypoints, one.keypoints, rtol=0, atol=1e-2)


def test_streams_are_chosen_where_a_runtime_has_them(files, tmp_path):
    assert ExportedModel(files["end2end"], streams=None, threads=2).streams == 2
    assert ExportedModel(files["end2end"], streams=None, threads=1).streams == 1
    (tmp_path / "a.pt").touch()
    with pytest.raises(ConfigError, match="torch computes one batch at a time: streams are for openvino, onnxruntime"):
        ExportedModel(tmp_path / "a.pt", streams=2)
    with pytest.raises(ConfigError, match="streams must be a whole number from 1 to 64, got 0"):
        ExportedModel(files["end2end"], streams=0)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="not an x86-64 processor")
def test_maps_keep_their_layout_in_onnx_runtime(files, tmp_path):
    """Reordered twice around every activation, they would cost 15 % of the time."""
    settings = onnxruntime.SessionOptions()
    settings.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    settings.log_severity_level = 3
    harmful = list_harmful(onnxruntime.__version__)
    onnxruntime.InferenceSession(str(files["end2end"]), settings, disabled_optimizers=harmful)
    operators = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    assert 0 < operators.count("ReorderInput") < 10 < operators.count("Conv")


def test_no_file_is_no_result(files):
    assert ExportedModel(files["raw"]).predict_batch([]) == list(Pose(files["raw"]).stream([])) == []
    with pytest.raises(ConfigError, match="batch_size must be a whole number from 1 to"):
        Pose(files["raw"]).stream([], batch_size=0)


def test_pictures_of_all_kinds():
    import io

    def encode(image, **options):
        buffer = io.BytesIO()
        image.save(buffer, **options)
        return buffer.getvalue()

    array = cv2.GaussianBlur(make_image(60, 40), (9, 9), 3)
    image = Image.fromarray(array[..., ::-1].copy())
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was turned
    kinds = {
        "CMYK": encode(image.convert("CMYK"), format="JPEG", quality=98),
        "alpha": encode(image.convert("RGBA"), format="PNG"),
        "animated": encode(image, format="WEBP", save_all=True, append_images=[image.rotate(180)], lossless=True),
        "several pages": encode(image, format="TIFF", save_all=True, append_images=[image.rotate(180)]),
    }
    for name, content in kinds.items():
        assert np.abs(decode_image(content, name).astype(int) - array).mean() < 3, name
    upright = decode_image(encode(image, format="JPEG", exif=turned), "turned")
    assert np.abs(upright.astype(int) - cv2.rotate(array, cv2.ROTATE_90_CLOCKWISE)).mean() < 3
    jpeg = encode(image, format="JPEG")
    assert decode_image(jpeg + bytes(64), "padded").shape == array.shape
    with pytest.raises(DataError, match=r"cut off|not an image"):
        decode_image(jpeg[:-2], "cut short")


def test_huge_images_are_right_or_refused(files):
    model = ExportedModel(files["raw"])
    small = make_image(60, 40)
    large = cv2.resize(small, (6000, 4000), interpolation=cv2.INTER_NEAREST)
    people = model.predict(large)  # 24 million pixels
    assert len(people) > 0
    assert np.isfinite(people.keypoints).all()
    assert people.boxes.max() > 60
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)  # says that ten thousand million follow
    chunk = struct.pack(">I", len(header)) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    with pytest.raises(DataError, match=r"bomb\.png is not an image that can be read"):
        decode_image(b"\x89PNG\r\n\x1a\n" + chunk + bytes(100), "bomb.png")


def make_other_model(outputs=("logits",)):
    """Return an ONNX model that is not an RTMO model."""
    image = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 64, 64])
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 64, 64]) for name in outputs]
    nodes = [helper.make_node("Relu", ["input"], [name]) for name in outputs]
    graph = helper.make_graph(nodes, "other", [image], values)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_files_that_are_no_rtmo_are_refused(files, tmp_path):
    path = tmp_path / "model.onnx"
    with pytest.raises(MissingFileError, match=r"The model file .*model\.onnx does not exist"):
        ExportedModel(path)
    for content in (b"", b"not ONNX at all", files["raw"].read_bytes()[:5000]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"model\.onnx (cannot be read as an ONNX model|is not an RTMO model)"):
            ExportedModel(path, runtime="onnxruntime")
        with pytest.raises(DataError, match=r"model\.onnx (cannot be read as a model|is not an RTMO model)"):
            ExportedModel(path, runtime="openvino")
    for outputs in (["logits"], ["dets", "keypoints"]):
        onnx.save(make_other_model(outputs), path)
        with pytest.raises(DataError, match=r"model\.onnx is not an RTMO model: it has the outputs"):
            ExportedModel(path)
    outside = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 0}
    onnx.save(onnx.load(files["end2end"]), path, **outside)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(DataError, match=r"weights\.bin"):
        ExportedModel(path, runtime="onnxruntime")
    with pytest.raises(DataError, match=r"model\.onnx cannot be read as a model"):
        ExportedModel(path, runtime="openvino")


def test_raw_file_needs_its_parameters(files, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(files["raw"].read_bytes())
    with pytest.raises(MissingFileError, match=r"model\.npz is missing"):
        ExportedModel(path)
    path.with_suffix(".npz").write_bytes(b"junk")
    with pytest.raises(DataError, match="does not hold the parameters"):
        ExportedModel(path)


def test_runtimes_are_chosen_by_file_and_name(files, tmp_path):
    with pytest.raises(ConfigError, match="The runtime 'tensorflow' is unknown"):
        open_engine(files["raw"], runtime="tensorflow")
    (tmp_path / "model.h5").touch()
    with pytest.raises(ConfigError, match=r"No runtime reads files like model\.h5"):
        open_engine(tmp_path / "model.h5")
    words = r"The runtime litert reads files that end with \.tflite, not files like raw\.onnx"
    with pytest.raises(ConfigError, match=words):
        open_engine(files["raw"], runtime="litert")
    for runtime in ("onnxruntime", "openvino"):
        with pytest.raises(ConfigError, match="The device tpu cannot be used"):
            open_engine(files["raw"], device="tpu", runtime=runtime)


def test_file_of_mmdeploy_is_understood_without_metadata(files, tmp_path):
    model = onnx.load(files["end2end"])
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "model.onnx")
    ours, theirs = ExportedModel(files["end2end"]), ExportedModel(tmp_path / "model.onnx", size_wh=(96, 64))
    assert theirs.info.schema == ours.info.schema
    np.testing.assert_array_equal(theirs.predict(make_image()).keypoints, ours.predict(make_image()).keypoints)


def test_image_without_pixels_is_refused():
    with pytest.raises(DataError, match="Frame 3 has no pixels"):
        apply_letterbox(np.zeros((0, 5, 3), np.uint8), (64, 64), name="Frame 3")


def test_inference_imports_neither_torch_nor_openmmlab():
    code = "import sys, rtmo_plugin.runtime.exported_model, rtmo_plugin.runtime.engines.onnx_runtime; " \
        "print([name for name in ('torch', 'mmengine', 'mmcv', 'mmpose') if name in sys.modules])"  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
