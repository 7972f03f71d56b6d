"""An ONNX file: standard operators, named axes, metadata inside; compared with PyTorch before it gets its name."""

from __future__ import annotations

import inspect
import io
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rtmo_plugin.errors import ConfigError, write_install_line
from rtmo_plugin.export.checks.comparison import Run, check_constants
from rtmo_plugin.export.checks.tolerance import Differences
from rtmo_plugin.export.export_options import NMS_CONSTANTS, ExportOptions
from rtmo_plugin.export.graphs import DecodedGraph, EndToEndGraph, RawGraph, build_graph, make_example
from rtmo_plugin.export.writers.deepstream import write_deepstream_files
from rtmo_plugin.export.writers.draft import write_verified
from rtmo_plugin.export.writers.quantization import quantize
from rtmo_plugin.runtime.model_info import FUSED_OUTPUT, UNCERTAINTY, ModelInfo, count_fused_values

try:
    import onnx
except ImportError:  # an extra: ``pip install "rtmo-plugin[export]"``
    onnx = None  # type: ignore[assignment]

INPUT_NAME = "input"
SCORE_THRESHOLD = "score_thr"  # the initializer of an end-to-end file
_FIRST_CONSTANT = 2  # input of NonMaxSuppression


def write_onnx(model: Any, path: Path, options: ExportOptions, info: ModelInfo) -> Differences:
    """Write a model as ONNX, see ``write_verified``; with the cut ``fused`` also the files for DeepStream.

    Args:
        model: Trained model, in eval mode.
        path: Name of the file.
        options: Options of the file.
        info: Metadata to store in the file.

    Returns:
        Differences between the file, run by ONNX Runtime, and PyTorch.

    Raises:
        ExportError: The file does not compute what PyTorch computes, and was not kept.
        OutputError: The file cannot be written.
        ConfigError: A package is missing.
    """
    proto = convert_to_onnx(build_graph(model, options), options, info.to_strings())
    if options.int8:
        proto = quantize(proto, options, info, fuses_activation=False)

    def save(draft: Path) -> None:
        draft.write_bytes(proto.SerializeToString())
        if options.cut == "fused":
            write_deepstream_files(draft, info)

    def load(draft: Path) -> Run:
        content = draft.read_bytes()
        check_constants(read_constants(content), options, path)
        return open_content(content)

    return write_verified(model, path, options, save, load)


def check_onnx(_: ExportOptions, __: Path) -> None:
    """Check that the packages that write and run ONNX are installed.

    Raises:
        ConfigError: One is missing.
    """
    if onnx is None:
        raise ConfigError(f"Writing ONNX needs the package onnx: {write_install_line('export')}")
    if find_spec("onnxruntime") is None:
        raise ConfigError(f"Comparing needs the package onnxruntime: {write_install_line('export')}")


def convert_to_onnx(graph: RawGraph, options: ExportOptions, metadata: Mapping[str, str]) -> Any:
    """Return the ``onnx.ModelProto`` of a graph.

    PyTorch's TorchScript exporter writes it. Every PyTorch from 2.1 to 2.13 has it, and it needs no other package
    and keeps NMS as one operator.

    Args:
        graph: Module to be written.
        options: Options of the file: its dynamic axes, and the size.
        metadata: Metadata of the file: strings by name.

    Raises:
        ConfigError: The package ``onnx`` is missing.
    """
    if onnx is None:
        raise ConfigError(f"Writing ONNX needs the package onnx: {write_install_line('export')}")
    model = onnx.load_from_string(_trace(graph, options))
    _name_rows(model, graph)
    model.producer_name, model.producer_version = "rtmo-plugin", metadata.get("version", "").strip('"')
    for node in model.graph.node:
        node.doc_string = ""
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model)
    return model


def _trace(graph: RawGraph, options: ExportOptions) -> bytes:
    buffer = io.BytesIO()
    keywords: dict[str, Any] = {"opset_version": options.opset, "input_names": [INPUT_NAME]}
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:  # torch 2.5 and newer
        keywords["dynamo"] = False
    with warnings.catch_warnings(), torch.no_grad():
        # The exporter is deprecated, and tests of shapes become constants, as a file of one size needs.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph,
            (make_example(options),),
            buffer,  # type: ignore[arg-type]  # its annotation allows file paths only
            output_names=list(graph.output_names),
            dynamic_axes=_list_axes(graph.output_names, options),
            **keywords,
        )
    return buffer.getvalue()


def _list_axes(output_names: list[str], options: ExportOptions) -> dict[str, dict[int, str]]:
    """Return the dynamic axes of input and outputs, by name and number."""
    batch = {0: "batch"} if "batch" in options.dynamic else {}
    axes = {name: dict(batch) for name in (INPUT_NAME, *output_names)}
    if "size" in options.dynamic:
        first = 1 if options.input == "uint8" else 2
        axes[INPUT_NAME] |= {first: "height", first + 1: "width"}
        if options.cut == "raw":
            for name in output_names:
                stride = name.rsplit("_", 1)[1]
                axes[name] |= {2: f"height_{stride}", 3: f"width_{stride}"}
    return axes


def _name_rows(model: Any, graph: RawGraph) -> None:
    """Name the number of rows of the outputs in ``model``, in place, and set the lengths that the exporter misses."""
    num_keypoints = graph.head.dcc.num_keypoints
    row_shapes = {
        "dets": (5,),
        "keypoints": (num_keypoints, 3),
        UNCERTAINTY: (num_keypoints, 2),
        FUSED_OUTPUT: (count_fused_values(num_keypoints),),
    }
    for output in model.graph.output:
        _, rows, *others = output.type.tensor_type.shape.dim
        for dim, size in zip(others, row_shapes.get(output.name, ())):
            dim.dim_value = size
        if isinstance(graph, EndToEndGraph):
            rows.dim_param = "people"
        elif isinstance(graph, DecodedGraph) and graph.is_fixed:
            rows.dim_value = graph.top_k
        elif isinstance(graph, DecodedGraph):
            rows.dim_param = "priors"


def read_constants(content: bytes) -> dict[str, float]:
    """Return the constants ``NMS_CONSTANTS`` of the NMS of a file; empty for a file without NMS."""
    graph = onnx.load_from_string(content).graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    return {
        name: onnx.numpy_helper.to_array(tensors[given]).item()
        for node in graph.node
        if node.op_type == "NonMaxSuppression"
        for name, given in zip(NMS_CONSTANTS, node.input[_FIRST_CONSTANT:])
        if given in tensors
    }


def replace_constants(content: bytes, **values: float) -> bytes:
    """Return the content of an end-to-end file with other ``score_thr``, ``nms_thr`` or ``max_people``."""
    model = onnx.load_from_string(content)
    for tensor in model.graph.initializer:
        if tensor.name in values:
            dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.array([values[tensor.name]], dtype), tensor.name))
    changed: bytes = model.SerializeToString()
    return changed


def expose_score_threshold(model: Any) -> bytes:
    """Return the content of a file whose score threshold is an optional input; ``model`` stays as it is.

    Only the comparison uses it: the written file has the inputs of MMDeploy's files.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    if any(tensor.name == SCORE_THRESHOLD for tensor in changed.graph.initializer):
        value = onnx.helper.make_tensor_value_info(SCORE_THRESHOLD, onnx.TensorProto.FLOAT, [1])
        changed.graph.input.append(value)
    content: bytes = changed.SerializeToString()
    return content


def open_content(content: bytes) -> Run:
    """Return a function that runs a file's content in ONNX Runtime, with any score threshold."""
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
