"""An ONNX file, written, read back and compared with PyTorch before it gets its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.errors import ConfigError, write_install_line
from rtmo_plugin.export.comparison import Run, verify
from rtmo_plugin.export.graphs import build_graph
from rtmo_plugin.export.onnx_writer import INPUT_NAME, SCORE_THRESHOLD, convert_to_onnx, expose_score_threshold
from rtmo_plugin.export.options import ExportOptions
from rtmo_plugin.export.parameters import collect_parameters
from rtmo_plugin.export.quantization import quantize
from rtmo_plugin.export.tolerance import Differences
from rtmo_plugin.files import replace_file
from rtmo_plugin.inference.coordinates import locate_parameters
from rtmo_plugin.inference.model_info import ModelInfo


def write_onnx(model: Any, path: Path, options: ExportOptions, info: ModelInfo) -> Differences:
    """Write a model as ONNX, compare what was written with it, and only then give the file its name.

    Args:
        model: As it was trained, in eval mode.
        path: For the file; the parameters of the cut ``raw`` are written beside it, as ``.npz``.
        options: What it shall be.
        info: What it shall say of itself.

    Returns:
        How far ONNX Runtime's answers are from PyTorch's.

    Raises:
        ExportError: They are further apart than the tolerance; there is no file then.
        ConfigError: A package is missing.
    """
    proto = convert_to_onnx(build_graph(model, options), options, info.to_strings())
    if options.int8:
        proto = quantize(proto, options, info, keeps_sums=False)
    with replace_file(path) as draft:
        draft.write_bytes(proto.SerializeToString())
        found = verify(model, open_content(draft.read_bytes()), options, path)
        if options.cut == "raw":
            collect_parameters(model).save(locate_parameters(path))
    return found


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
