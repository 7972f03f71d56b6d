"""An OpenVINO file (.xml and .bin), made of the ONNX graph and compared with PyTorch before it gets its name."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.errors import ConfigError, OutputError, write_install_line
from rtmo_plugin.export.comparison import Run, verify
from rtmo_plugin.export.graphs import build_graph
from rtmo_plugin.export.onnx_writer import convert_to_onnx
from rtmo_plugin.export.options import ExportOptions
from rtmo_plugin.export.parameters import collect_parameters
from rtmo_plugin.export.quantization import quantize
from rtmo_plugin.export.tolerance import Differences
from rtmo_plugin.inference.coordinates import locate_parameters
from rtmo_plugin.inference.model_info import ModelInfo

_SCORE_INPUT = 4  # of OpenVINO's NonMaxSuppression


def write_openvino(model: Any, path: Path, options: ExportOptions, info: ModelInfo) -> Differences:
    """Write a model as an ``.xml`` file with a ``.bin`` beside it.

    Args:
        model: As it was trained, in eval mode.
        path: For the ``.xml`` file.
        options: What it shall be.
        info: What it shall say of itself.

    Returns:
        How far OpenVINO's answers, in float32, are from PyTorch's.

    Raises:
        ExportError: They are further apart than the tolerance; there is no file then.
        ConfigError: A package is missing.
    """
    try:
        import openvino

        from rtmo_plugin.inference.engines.openvino_runtime import get_core
    except ImportError as error:
        raise ConfigError(
            f"Writing OpenVINO files needs the package openvino: {write_install_line('export')}"
        ) from error
    proto = convert_to_onnx(build_graph(model, options), options, info.to_strings())
    if options.int8:
        proto = quantize(proto, options, info, keeps_sums=True)
    core = get_core()
    with tempfile.TemporaryDirectory(prefix=".partial_", dir=path.parent) as folder:
        draft = Path(folder, path.name)
        openvino.save_model(core.read_model(proto.SerializeToString()), draft, compress_to_fp16=False)
        found = verify(model, _open(core, draft), options, path)
        try:
            if options.cut == "raw":
                collect_parameters(model).save(locate_parameters(path))
            draft.with_suffix(".bin").replace(path.with_suffix(".bin"))
            draft.replace(path)
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror}.") from error
    return found


def _open(core: Any, path: Path) -> Run:
    """Return what runs a file with any score threshold."""
    model = core.read_model(path)
    names = [output.get_any_name() for output in model.outputs]
    takes_threshold = _expose_score_threshold(model)
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(images: NDArray[Any], score_thr: float) -> dict[str, NDArray[Any]]:
        threshold = [np.array([score_thr], np.float32)] if takes_threshold else []
        outputs = compiled([images, *threshold])
        return {name: np.array(value) for name, value in zip(names, outputs.values())}

    return run


def _expose_score_threshold(model: Any) -> bool:
    """Make the threshold of ``model``, our own copy, an input, and tell whether there is one."""
    from openvino import opset8

    found = [node for node in model.get_ops() if node.get_type_name() == "NonMaxSuppression"]
    for node in found:
        threshold = opset8.parameter([1], np.float32)
        node.input(_SCORE_INPUT).replace_source_output(threshold.output(0))
        model.add_parameters([threshold])
    return bool(found)
