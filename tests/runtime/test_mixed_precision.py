"""OpenVINO in half precision: two networks give the answers of one, and what places keypoints stays in float32."""

import numpy as np
import pytest

from rtmo_plugin.runtime.engines.openvino_mixed import compile_mixed, is_divisible
from rtmo_plugin.runtime.engines.openvino_runtime import get_core
from rtmo_plugin.runtime.exported_model import ExportedModel
from tests.tiny_files import make_image

CORE = get_core()


def compile_model(model, precision):
    return CORE.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": 1})


def list_precisions(request):
    """Return the precision of each convolution that a network runs, by name."""
    nodes = request.get_compiled_model().get_runtime_model().get_ops()
    infos = {node.get_friendly_name(): node.get_rt_info() for node in nodes}
    values = {name: (info["layerType"].value, info["runtimePrecision"].value) for name, info in infos.items()}
    return {name: precision for name, (kind, precision) in values.items() if kind == "Convolution"}


@pytest.mark.parametrize("cut", ["end2end", "decoded", "raw"])
def test_two_networks_give_the_answers_of_one(files, cut):
    model = CORE.read_model(files[cut])
    assert is_divisible(model)
    images = np.stack([make_image(96, 64, seed) for seed in range(2 if cut != "raw" else 1)])
    given = images if cut == "decoded" else np.moveaxis(images, -1, 1).astype(np.float32, order="C")
    whole = list(compile_model(model, "f32")(given).values())
    parts = compile_mixed(model, CORE, compile_model, "f32")()(given)
    assert len(parts) == len(whole)
    for part, other in zip(parts, whole):
        np.testing.assert_allclose(part, other, rtol=1e-3, atol=1e-3)


@pytest.mark.skipif("BF16" not in CORE.get_property("CPU", "OPTIMIZATION_CAPABILITIES"), reason="no bfloat16 here")
def test_layers_keep_the_precision_that_keypoints_need(files):
    network = compile_mixed(CORE.read_model(files["end2end"]), CORE, compile_model, "bf16")()
    first, second = list_precisions(network._first), list_precisions(network._second)
    assert set(second.values()) == {"f32"}
    exact = {name for name, precision in first.items() if precision == "f32"}
    assert exact == {name for name in first if any(part in name for part in ("/stem/", "/pan_blocks", "/projector"))}
    assert len(exact) > 5
    assert len(first) - len(exact) > 40


def test_models_say_what_they_compute_in(files):
    mixed = "BF16" in CORE.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    assert ExportedModel(files["decoded"], runtime="openvino").computes_in == (
        "bfloat16 and float32" if mixed else "float32"
    )
    assert ExportedModel(files["decoded"], runtime="openvino", precision="float32").computes_in == "float32"
    assert ExportedModel(files["decoded"], runtime="onnxruntime").computes_in == "float32"


def test_default_is_close_to_float32(files):
    image = make_image()
    default, exact = ExportedModel(files["decoded"]), ExportedModel(files["decoded"], precision="float32")
    ours, theirs = default.predict(image), exact.predict(image)
    assert len(theirs) > 3
    nearest = [np.abs(ours.boxes - box).max(axis=1).argmin() for box in theirs.boxes]
    # untrained weights multiply rounding
    assert np.median(np.abs(ours.scores[nearest] - theirs.scores)) < 0.02
    assert np.median(np.abs(ours.keypoints[nearest] - theirs.keypoints)) < 1
