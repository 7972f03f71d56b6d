"""Eight-bit convolutions: an ONNX graph with quantizing operators; sample images show the value ranges of its maps.

Weights have one scale per channel, maps one scale.  Layers that decide coordinates and scores stay in float32:
the last convolution of each branch of the head, the encoder's attention, and everything after the head.
"""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from rtmo_plugin.engine.console import raise_log_level
from rtmo_plugin.errors import ConfigError, write_install_line
from rtmo_plugin.export.export_options import ExportOptions
from rtmo_plugin.media.image_files import list_images
from rtmo_plugin.media.images import read_image
from rtmo_plugin.runtime.letterbox import apply_letterbox, make_input
from rtmo_plugin.runtime.model_info import ModelInfo

_NUM_IMAGES = 128  # of a folder, for the value ranges
# ONNX Runtime is faster only if maps stay in eight bits between convolutions; OpenVINO is slower then.
_QUANTIZED = {True: ["Conv"], False: ["Conv", "Concat", "MaxPool", "Resize", "Add"]}  # by ``fuses_activation``
_DENSE = re.compile(r"/(backbone|neck|head_module)/")  # everything after computes coordinates and scores
# The outputs of a branch's last convolution are decoded.
_SENSITIVE = re.compile(r"/neck/encoder\.|/head_module/.*out_(cls|bbox|kpt_vis|pose)")


def choose_int8_images(folder: str | Path) -> tuple[Path, ...]:
    """Return the images of a folder that show the value ranges: all, or 128 of them, evenly spread.

    Raises:
        MissingFileError: The folder does not exist or holds no image.
    """
    paths = list_images(folder)
    step = max(1.0, len(paths) / _NUM_IMAGES)
    return tuple(paths[int(index * step)] for index in range(min(_NUM_IMAGES, len(paths))))


def quantize(
    model: Any, options: ExportOptions, info: ModelInfo, *, fuses_activation: bool, symmetric: bool = False
) -> Any:
    """Return a quantized copy of an ONNX model.

    Args:
        model: ``onnx.ModelProto`` in float32.
        options: Options of the file, with ``int8_images``.
        info: Metadata of the file.
        fuses_activation: Whether convolutions pass their sums unrounded to the activation, as OpenVINO fuses them.
            ONNX Runtime computes in eight bits only between eight-bit inputs and outputs.
        symmetric: Whether value ranges lie around 0, biases and convolutions in groups stay in float32, and weights
            do, too, before a pair of QuantizeLinear and DequantizeLinear, as TensorRT needs.

    Raises:
        ConfigError: The package is missing.
        DataError: An image cannot be read.
    """
    try:
        import onnx
        from onnxruntime import quantization
    except ImportError as error:
        raise ConfigError(f"Quantizing needs the package {error.name}: {write_install_line('export')}") from error
    extra: dict[str, Any] = {"CalibMovingAverage": True}  # the mean of the images' ranges
    if fuses_activation:
        extra["OpTypesToExcludeOutputQuantization"] = ["Conv"]
    if symmetric:
        extra |= {"ActivationSymmetric": True, "QuantizeBias": False, "AddQDQPairToWeight": True}
    kind = quantization.QuantType.QInt8 if symmetric else quantization.QuantType.QUInt8
    # without the advice of ONNX Runtime to fold norms first: they are folded
    quiet = raise_log_level(logging.getLogger(), logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, quiet:
        given, path = Path(folder, "given.onnx"), Path(folder, "quantized.onnx")
        onnx.save(model, given)
        quantization.quantize_static(
            given,
            path,
            _Reader(model.graph.input[0].name, options, info),
            per_channel=True,
            activation_type=kind,
            weight_type=quantization.QuantType.QInt8,
            op_types_to_quantize=_QUANTIZED[fuses_activation],
            nodes_to_exclude=[
                node.name
                for node in model.graph.node
                # TensorRT has no eight-bit convolution for groups of any number of channels, such as 18.
                if is_sensitive(node.name) or (symmetric and count_groups(node) > 1)
            ],
            extra_options=extra,
        )
        quantized = onnx.load(path)
    onnx.helper.set_model_props(quantized, info.to_strings())
    return quantized


def is_sensitive(name: str) -> bool:
    """Tell whether a node, by its name, stays in float32."""
    return _DENSE.search(name) is None or _SENSITIVE.search(name) is not None


def count_groups(node: Any) -> int:
    """Return the number of groups of a convolution, an ``onnx.NodeProto``; 1 for any other node."""
    return next((int(each.i) for each in node.attribute if each.name == "group"), 1)


class Int8Inputs:
    """The images that show the value ranges, each as an input of the file; read again for each loop.

    Args:
        options: Options of the file, with ``int8_images``.
        info: Metadata of the file.
    """

    def __init__(self, options: ExportOptions, info: ModelInfo) -> None:
        self._options, self._info = options, info

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """Yield the inputs.

        Raises:
            DataError: An image cannot be read.
        """
        for path in self._options.int8_images:
            image, _ = apply_letterbox(read_image(path), self._options.size_wh, self._info.pad_value, str(path))
            yield make_input(image[None], self._options.input)


class _Reader:
    """Inputs of the graph, as ONNX Runtime asks for them."""

    def __init__(self, input_name: str, options: ExportOptions, info: ModelInfo) -> None:
        self._name = input_name
        self._inputs = iter(Int8Inputs(options, info))

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """Return the next input, or None after the last."""
        image = next(self._inputs, None)
        return None if image is None else {self._name: image}
