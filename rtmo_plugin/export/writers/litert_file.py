"""A LiteRT file (.tflite) for Android, converted by litert-torch; compared with PyTorch before it gets its name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rtmo_plugin.engine.console import suppress_output
from rtmo_plugin.errors import ConfigError, write_install_line
from rtmo_plugin.export.checks.tolerance import Differences
from rtmo_plugin.export.export_options import ExportOptions
from rtmo_plugin.export.graphs import RawGraph, make_example
from rtmo_plugin.export.writers.draft import write_for_engine
from rtmo_plugin.export.writers.quantization import Int8Inputs
from rtmo_plugin.runtime.engines.appended_metadata import append_metadata
from rtmo_plugin.runtime.engines.engine import count_cores
from rtmo_plugin.runtime.model_info import ModelInfo

_SIGNATURE = "serving_default"
# Layers that stay in float32, by the names that litert-torch gives their outputs: attention, the last convolution of
# each branch of the head, and the outputs, which are transposed.
_SENSITIVE = (
    r"MapEncoder",
    r"head_module/(?!torch\.nn\.modules\.container)",
    rf"{_SIGNATURE}_",
)


def write_litert(model: Any, path: Path, options: ExportOptions, info: ModelInfo) -> Differences:
    """Write a model as LiteRT, see ``write_for_engine``.

    Args:
        model: Trained model, in eval mode.
        path: Name of the file.
        options: Options of the file; only the head's maps for one image of one size are possible.
        info: Metadata to store in the file.

    Returns:
        Differences between the file, run by LiteRT, and PyTorch.

    Raises:
        ExportError: The file does not compute what PyTorch computes, and was not kept.
        OutputError: A file cannot be written.
        ConfigError: A package is missing, or the format does not support the options.
    """
    check_litert(options, path)
    from rtmo_plugin.runtime.engines.litert_runtime import LiteRtEngine

    def convert(graph: RawGraph, draft: Path) -> None:
        content = _convert(graph, options)
        draft.write_bytes(_quantize(content, options, info) if options.int8 else content)
        append_metadata(draft, info.to_strings())

    return write_for_engine(model, path, options, convert, LiteRtEngine)


def check_litert(options: ExportOptions, path: Path) -> None:
    """Check that the packages are installed, and that the format can hold what the options ask for.

    Raises:
        ConfigError: A package is missing, or the format cannot.
    """
    packages = ["litert_torch", "ai_edge_litert", *(["ai_edge_quantizer"] if options.int8 else [])]
    if any(find_spec(package) is None for package in packages):
        raise ConfigError(f"Writing LiteRT files needs the package litert-torch: {write_install_line('litert')}")
    if options.cut != "raw" or options.dynamic or options.half:
        raise ConfigError(
            f"{path.name} can hold the head's maps of one image of one size: export it with --cut raw --dynamic none, "
            "without --half."
        )


class _NamedOutputs(nn.Module):
    """A graph whose input and outputs have names, which litert-torch takes from the argument and the keys."""

    def __init__(self, graph: RawGraph) -> None:
        super().__init__()
        self.network = graph  # a module of torch.fx has its own `graph`

    def forward(self, input: Tensor) -> dict[str, Tensor]:  # noqa: A002  (the name in the file)
        """Map an image to the graph's outputs by name."""
        return dict(zip(self.network.output_names, self.network(input)))


def _convert(graph: RawGraph, options: ExportOptions) -> bytes:
    """Return the content of a LiteRT file in float32, without metadata."""
    with suppress_output(), torch.no_grad():
        import litert_torch

        converted = litert_torch.convert(_NamedOutputs(graph).eval(), sample_kwargs={"input": make_example(options)})
        content: bytes = converted.model_content()
    return content


def _quantize(content: bytes, options: ExportOptions, info: ModelInfo) -> bytes:
    """Return a file whose layers compute in eight bits, except the sensitive ones; input and outputs stay as they are.

    Weights have one scale per channel, maps one scale; their ranges are means over the images.
    """
    from ai_edge_quantizer.algorithm_manager import AlgorithmName
    from ai_edge_quantizer.qtyping import TFLOperationName as Operation
    from ai_edge_quantizer.quantizer import Quantizer

    quantizer = Quantizer(bytearray(content))
    quantizer.add_static_config(".*", Operation.ALL_SUPPORTED, activation_num_bits=8, weight_num_bits=8)
    for pattern in _SENSITIVE:
        quantizer.update_quantization_recipe(pattern, Operation.ALL_SUPPORTED, algorithm_key=AlgorithmName.NO_QUANTIZE)
    for end in (Operation.INPUT, Operation.OUTPUT):
        quantizer.update_quantization_recipe(".*", end, algorithm_key=AlgorithmName.NO_QUANTIZE)
    images = _NamedInputs(Int8Inputs(options, info))
    with suppress_output():
        ranges = quantizer.calibrate({_SIGNATURE: images}, num_threads=count_cores())
        quantized: bytes = bytes(quantizer.quantize(ranges).quantized_model)
    return quantized


@dataclass(frozen=True)
class _NamedInputs:
    """Inputs by name; the quantizer goes through them twice, to count them first."""

    images: Int8Inputs

    def __iter__(self) -> Iterator[dict[str, NDArray[Any]]]:
        return ({"input": image} for image in self.images)
