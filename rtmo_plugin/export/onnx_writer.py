"""Write a graph as ONNX: standard operators, named axes, metadata inside."""

from __future__ import annotations

import inspect
import io
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rtmo_plugin.errors import ConfigError, write_install_line
from rtmo_plugin.export.export_options import NMS_CONSTANTS, ExportOptions
from rtmo_plugin.export.graphs import DecodedGraph, EndToEndGraph, RawGraph

try:
    import onnx
except ImportError:  # an extra: ``pip install "rtmo-plugin[export]"``
    onnx = None  # type: ignore[assignment]

OPSET = 17
INPUT_NAME = "input"
SCORE_THRESHOLD = "score_thr"  # the initializer of an end-to-end file
_FIRST_CONSTANT = 2  # input of NonMaxSuppression


def convert_to_onnx(graph: RawGraph, options: ExportOptions, metadata: Mapping[str, str]) -> Any:
    """Return the ``onnx.ModelProto`` of a graph.

    torch's TorchScript exporter writes it: it is in every torch from 2.1 to 2.13, needs no other
    package, and takes operators such as NMS as they are meant.

    Args:
        graph: Module to be written.
        options: Options of the file: its dynamic axes, and the size.
        metadata: Strings by name, which programs read back.

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


def make_example(options: ExportOptions, num_images: int = 2) -> Tensor:
    """Return an input of the kind that ``options`` describe, grey all over.

    Two images, so that a tracer cannot take the number for a constant 1.
    """
    width, height = options.size_wh
    if options.input == "uint8":
        return torch.full((num_images, height, width, 3), 114, dtype=torch.uint8)
    return torch.full((num_images, 3, height, width), 114.0)


def _trace(graph: RawGraph, options: ExportOptions) -> bytes:
    buffer = io.BytesIO()
    keywords: dict[str, Any] = {"opset_version": OPSET, "input_names": [INPUT_NAME]}
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:  # torch 2.5 and newer
        keywords["dynamo"] = False
    example = make_example(options, 2 if "batch" in options.dynamic else 1)
    with warnings.catch_warnings(), torch.no_grad():
        # of the exporter's age, and of tests of shapes whose outcome a file of one size fixes
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph,
            (example,),
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
    """Say how many rows the outputs have, which the exporter cannot tell; ``model`` is our own."""
    for output in model.graph.output:
        rows = output.type.tensor_type.shape.dim[1]
        if isinstance(graph, EndToEndGraph):
            rows.dim_param = "people"
        elif isinstance(graph, DecodedGraph) and graph.is_fixed:
            rows.dim_value = graph.top_k
        elif isinstance(graph, DecodedGraph):
            rows.dim_param = "priors"


def read_constants(content: bytes) -> dict[str, float]:
    """Return the constants ``NMS_CONSTANTS`` that the NMS of a file takes; none for a file without NMS."""
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

    For the comparison alone: the file that users get has the input that MMDeploy's have.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    if any(tensor.name == SCORE_THRESHOLD for tensor in changed.graph.initializer):
        value = onnx.helper.make_tensor_value_info(SCORE_THRESHOLD, onnx.TensorProto.FLOAT, [1])
        changed.graph.input.append(value)
    content: bytes = changed.SerializeToString()
    return content
