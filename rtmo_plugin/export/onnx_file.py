"""An ONNX file, written, read back and compared with PyTorch before it gets its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.errors import ConfigError, write_install_line
from rtmo_plugin.export.comparison import Run, check_constants
from rtmo_plugin.export.draft import write_verified
from rtmo_plugin.export.export_options import ExportOptions
from rtmo_plugin.export.graphs import build_graph
from rtmo_plugin.export.onnx_writer import (
    INPUT_NAME,
    SCORE_THRESHOLD,
    convert_to_onnx,
    expose_score_threshold,
    read_constants,
)
from rtmo_plugin.export.quantization import quantize
from rtmo_plugin.export.tolerance import Differences
from rtmo_plugin.runtime.model_info import ModelInfo


def write_onnx(model: Any, path: Path, options: ExportOptions, info: ModelInfo) -> Differences:
    """Write a model as ONNX, see ``write_verified``.

    Args:
        model: Trained model, in eval mode.
        path: Name of the file.
        options: Options of the file.
        info: Metadata to be stored in the file.

    Returns:
        Differences between the file, run by ONNX Runtime, and PyTorch.

    Raises:
        ExportError: The file does not compute what PyTorch computes, and was not kept.
        OutputError: The file cannot be written.
        ConfigError: A package is missing.
    """
    proto = convert_to_onnx(build_graph(model, options), options, info.to_strings())
    if options.int8:
        proto = quantize(proto, options, info, keeps_sums=False)

    def save(draft: Path) -> None:
        draft.write_bytes(proto.SerializeToString())

    def load(draft: Path) -> Run:
        content = draft.read_bytes()
        check_constants(read_constants(content), options, path)
        return open_content(content)

    return write_verified(model, path, options, save, load)


def open_content(content: bytes) -> Run:
    """Return what runs a file's content in ONNX Runtime, with any score threshold."""
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise ConfigError(f"Comparing needs the package {error.name}: {write_install_line('export')}") from error
    exposed = expose_score_threshold(onnx.load_from_string(content))
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3  # it warns of the input that was added
    session = onnxruntime.InferenceSession(exposed, settings, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    takes_threshold = SCORE_THRESHOLD in {each.name for each in session.get_overridable_initializers()}

    def run(images: NDArray[Any], score_thr: float) -> dict[str, NDArray[Any]]:
        threshold = {SCORE_THRESHOLD: np.array([score_thr], np.float32)} if takes_threshold else {}
        return dict(zip(names, session.run(names, {INPUT_NAME: images, **threshold})))

    return run
