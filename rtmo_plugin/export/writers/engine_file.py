"""An engine of TensorRT: built here, for the GPU of this machine, from the ONNX model that ``onnx_file`` writes.

The network is strongly typed, so that every layer computes in the type that it has in the ONNX model: float32, float16
with ``--half``, and eight bits between QuantizeLinear and DequantizeLinear with ``--int8``, in our value ranges.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from rtmo_plugin.errors import ConfigError, ExportError
from rtmo_plugin.export.checks.comparison import Run
from rtmo_plugin.export.checks.tolerance import Differences
from rtmo_plugin.export.export_options import ExportOptions
from rtmo_plugin.export.graphs import build_graph
from rtmo_plugin.export.writers.draft import wrap_engine, write_verified
from rtmo_plugin.export.writers.onnx_file import INPUT_NAME, check_onnx, convert_to_onnx
from rtmo_plugin.export.writers.quantization import quantize
from rtmo_plugin.files import write_json
from rtmo_plugin.runtime.model_info import OUTPUT_NAMES, ModelInfo
from rtmo_plugin.runtime.trusted_files import trust

_LARGEST_BATCH = 32
_OLDEST = 10  # the version that has strongly typed networks and explicit batches alone


def write_engine(model: Any, path: Path, options: ExportOptions, info: ModelInfo) -> Differences:
    """Write a model as an engine of TensorRT, see ``write_onnx`` for arguments and errors."""
    check_engine(options, path)
    tensorrt = _import_tensorrt()
    from rtmo_plugin.runtime.engines.tensorrt_runtime import TensorRtEngine

    device = _choose_gpu(options)
    names = build_graph(model, options).output_names
    onnx_model = make_typed_onnx(model, options, info).SerializeToString()
    with torch.cuda.device(device):
        content = build_engine(tensorrt, onnx_model, options)

    def save(draft: Path) -> None:
        draft.write_bytes(content)
        write_json(draft.with_suffix(".json"), {**info.to_strings(), OUTPUT_NAMES: ",".join(names)}, indent=1)

    def load(draft: Path) -> Run:
        trust(content, path)
        return wrap_engine(TensorRtEngine(draft, device=device), names)

    return write_verified(model, path, options, save, load)


def check_engine(options: ExportOptions, path: Path) -> None:
    """Check that TensorRT, a GPU and the packages for ONNX are there, and that an engine can hold what is asked for.

    Raises:
        ConfigError: Something is missing, or an option asks for more.
    """
    if options.cut == "end2end":
        raise ConfigError("--format engine leaves NMS to the runtime: export it with --cut decoded, fused or raw.")
    if "size" in options.dynamic:
        raise ConfigError("--format engine is built for one size: leave out --dynamic size.")
    if options.input != "float32":
        raise ConfigError(f"--format engine takes float32: leave out --input {options.input}.")
    _import_tensorrt()
    from rtmo_plugin.runtime.engines.tensorrt_runtime import check_gpu

    check_gpu(_choose_gpu(options), "--format engine")
    check_onnx(options, path)  # from which it is built


def _choose_gpu(options: ExportOptions) -> str:
    return "cuda" if options.device == "cpu" else options.device


def make_typed_onnx(model: Any, options: ExportOptions, info: ModelInfo) -> Any:
    """Return the ``onnx.ModelProto`` that TensorRT parses; its eight-bit ranges are symmetric, as TensorRT's."""
    proto = convert_to_onnx(build_graph(model, options), options, info.to_strings())
    return quantize(proto, options, info, fuses_activation=True, symmetric=True) if options.int8 else proto


def list_shapes(options: ExportOptions) -> tuple[tuple[int, ...], ...]:
    """Return the smallest, the usual and the largest shape of the input."""
    width, height = options.size_wh
    largest = _LARGEST_BATCH if "batch" in options.dynamic else 1
    return tuple((number, 3, height, width) for number in (1, 1, largest))


def build_engine(tensorrt: Any, onnx_model: bytes, options: ExportOptions) -> bytes:
    """Return an engine for the current GPU.

    Args:
        tensorrt: The package.
        onnx_model: Content of an ONNX file.
        options: Options of the file.

    Raises:
        ExportError: TensorRT cannot read the model, or cannot build an engine for it.
    """
    logger = tensorrt.Logger(tensorrt.Logger.ERROR)
    builder = tensorrt.Builder(logger)
    network = builder.create_network(1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse(onnx_model):
        raise ExportError(f"TensorRT {tensorrt.__version__} cannot read the model: {parser.get_error(0).desc()}")
    config, profile = builder.create_builder_config(), builder.create_optimization_profile()
    profile.set_shape(INPUT_NAME, *list_shapes(options))
    config.add_optimization_profile(profile)
    built = builder.build_serialized_network(network, config)
    if built is None:
        raise ExportError("TensorRT cannot build an engine of the model; its messages above say why.")
    return bytes(built)


def _import_tensorrt() -> Any:
    """Return the package.

    Raises:
        ConfigError: It is not installed, or too old.
    """
    if find_spec("tensorrt") is None:
        raise ConfigError("--format engine needs the package tensorrt and an NVIDIA GPU: pip install tensorrt")
    tensorrt = import_module("tensorrt")
    version = tensorrt.__version__
    if int(version.partition(".")[0]) < _OLDEST:
        raise ConfigError(f"--format engine needs TensorRT {_OLDEST} or newer, and {version} is installed.")
    return tensorrt
