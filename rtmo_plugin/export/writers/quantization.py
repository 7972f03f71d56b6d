"""Eight-bit convolutions: an ONNX graph with quantizing operators, whose ranges calibration images show.

Weights get one scale a channel, maps one scale.  What decides coordinates and scores stays in float32:
the last convolution of each of the head's branches, the encoder's attention, and everything after.
"""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from rtmo_plugin.errors import ConfigError, write_install_line
from rtmo_plugin.export.export_options import ExportOptions
from rtmo_plugin.media.images import read_image
from rtmo_plugin.runtime.letterbox import Image, apply_letterbox, make_input
from rtmo_plugin.runtime.model_info import ModelInfo

# ONNX Runtime saves time only where maps stay in eight bits between convolutions; OpenVINO loses some.
_QUANTIZED = {True: ["Conv"], False: ["Conv", "Concat", "MaxPool", "Resize", "Add"]}  # by ``keeps_sums``
_DENSE = re.compile(r"/(backbone|neck|head_module)/")  # what comes after has coordinates and scores in it
# Heads end with convolutions of their own whose outputs are decoded.
_SENSITIVE = re.compile(r"/neck/encoder\.|/head_module/.*out_(cls|bbox|kpt_vis|pose)")


def quantize(model: Any, options: ExportOptions, info: ModelInfo, *, keeps_sums: bool) -> Any:
    """Return a quantized copy of an ONNX model.

    Args:
        model: ``onnx.ModelProto`` in float32.
        options: Options of the file, with ``calibration_images``.
        info: Metadata of the file.
        keeps_sums: Whether convolutions pass their sums unrounded to the activation, which OpenVINO fuses.
            ONNX Runtime computes in eight bits only where both ends have eight bits.

    Raises:
        ConfigError: The package is missing.
        DataError: An image cannot be read.
    """
    try:
        import onnx
        from onnxruntime import quantization
    except ImportError as error:
        raise ConfigError(f"Quantizing needs the package {error.name}: {write_install_line('export')}") from error
    extra: dict[str, Any] = {"CalibMovingAverage": True}  # the mean over the images of their ranges
    if keeps_sums:
        extra["OpTypesToExcludeOutputQuantization"] = ["Conv"]
    with tempfile.TemporaryDirectory() as folder, _without_advice():
        given, path = Path(folder, "given.onnx"), Path(folder, "quantized.onnx")
        onnx.save(model, given)
        quantization.quantize_static(
            given,
            path,
            _Reader(model.graph.input[0].name, options, info),
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            op_types_to_quantize=_QUANTIZED[keeps_sums],
            nodes_to_exclude=[node.name for node in model.graph.node if is_sensitive(node.name)],
            extra_options=extra,
        )
        quantized = onnx.load(path)
    onnx.helper.set_model_props(quantized, info.to_strings())
    return quantized


def is_sensitive(name: str) -> bool:
    """Tell whether a node, by its name, stays in float32."""
    return _DENSE.search(name) is None or _SENSITIVE.search(name) is not None


def read_calibration_images(options: ExportOptions, pad_value: tuple[int, int, int]) -> Iterator[Image]:
    """Yield the calibration images as (H, W, 3) inputs.

    Raises:
        DataError: One of them cannot be read or scaled.
    """
    for path in options.calibration_images:
        yield apply_letterbox(read_image(path), options.size_wh, pad_value, str(path))[0]


class _Reader:
    """Inputs of the graph, one by one, as ONNX Runtime's calibration asks for them."""

    def __init__(self, input_name: str, options: ExportOptions, info: ModelInfo) -> None:
        self._name = input_name
        self._kind = options.input
        self._images = read_calibration_images(options, info.pad_value)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """Return the next input, or None after the last."""
        image = next(self._images, None)
        return None if image is None else {self._name: make_input(image[None], self._kind)}


@contextmanager
def _without_advice() -> Iterator[None]:
    """Silence the advice to fold norms first; they are folded."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
