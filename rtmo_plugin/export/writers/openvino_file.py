"""An OpenVINO file (.xml and .bin), converted from the ONNX graph; compared with PyTorch before it gets its name."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.errors import ConfigError, write_install_line
from rtmo_plugin.export.checks.comparison import Run, check_constants
from rtmo_plugin.export.checks.tolerance import Differences
from rtmo_plugin.export.export_options import NMS_CONSTANTS, ExportOptions
from rtmo_plugin.export.graphs import build_graph
from rtmo_plugin.export.writers.draft import write_verified
from rtmo_plugin.export.writers.onnx_file import check_onnx, convert_to_onnx
from rtmo_plugin.export.writers.quantization import quantize
from rtmo_plugin.runtime.engines.sibling_files import hash_siblings
from rtmo_plugin.runtime.model_info import ModelInfo

_SCORE_INPUT = 4  # of OpenVINO's NonMaxSuppression


def write_openvino(model: Any, path: Path, options: ExportOptions, info: ModelInfo) -> Differences:
    """Write a model as an ``.xml`` file with a ``.bin`` beside it, see ``write_verified``.

    Args:
        model: Trained model, in eval mode.
        path: Name of the ``.xml`` file.
        options: Options of the file.
        info: Metadata to store in the file.

    Returns:
        Differences between the file, run by OpenVINO in float32, and PyTorch.

    Raises:
        ExportError: The file does not compute what PyTorch computes, and was not kept.
        OutputError: A file cannot be written.
        ConfigError: A package is missing.
    """
    check_openvino(options, path)
    import openvino

    from rtmo_plugin.runtime.engines.openvino_runtime import METADATA, get_core

    proto = convert_to_onnx(build_graph(model, options), options, info.to_strings())
    if options.int8:
        proto = quantize(proto, options, info, fuses_activation=True)
    core = get_core()

    def save(draft: Path) -> None:
        converted = core.read_model(proto.SerializeToString())
        openvino.save_model(converted, draft, compress_to_fp16=False)
        for name, value in hash_siblings(draft.with_suffix(".bin")).items():
            converted.set_rt_info(value, [*METADATA, name])
        openvino.save_model(converted, draft, compress_to_fp16=False)  # the same weights, and their hash

    def load(draft: Path) -> Run:
        graph = core.read_model(draft)
        check_constants(_read_constants(graph), options, path)
        return _open_model(core, graph)

    return write_verified(model, path, options, save, load)


def check_openvino(options: ExportOptions, path: Path) -> None:
    """Check that the packages that write and run OpenVINO's files are installed.

    Raises:
        ConfigError: One is missing.
    """
    if find_spec("openvino") is None:
        raise ConfigError(f"Writing OpenVINO files needs the package openvino: {write_install_line('export')}")
    check_onnx(options, path)  # from which it is converted


def _list_nms(model: Any) -> list[Any]:
    return [node for node in model.get_ops() if node.get_type_name() == "NonMaxSuppression"]


def _read_constants(model: Any) -> dict[str, float]:
    """Return the constants ``NMS_CONSTANTS`` of the NMS of a model; empty for a model without NMS."""
    nodes = {
        name: nms.input_value(place).get_node()
        for nms in _list_nms(model)
        for place, name in enumerate(NMS_CONSTANTS, start=2)
    }
    return {name: node.data.item() for name, node in nodes.items() if node.get_type_name() == "Constant"}


def _open_model(core: Any, model: Any) -> Run:
    """Return a function that runs a model with any score threshold."""
    names = [output.get_any_name() for output in model.outputs]
    takes_threshold = _expose_score_threshold(model)
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(images: NDArray[Any], score_thr: float) -> dict[str, NDArray[Any]]:
        threshold = [np.array([score_thr], np.float32)] if takes_threshold else []
        outputs = compiled([images, *threshold])
        return {name: np.array(value) for name, value in zip(names, outputs.values())}

    return run


def _expose_score_threshold(model: Any) -> bool:
    """Make the score threshold of ``model`` an input, in place, and return whether the model has one."""
    from openvino import opset8

    found = _list_nms(model)
    for node in found:
        threshold = opset8.parameter([1], np.float32)
        node.input(_SCORE_INPUT).replace_source_output(threshold.output(0))
        model.add_parameters([threshold])
    return bool(found)
