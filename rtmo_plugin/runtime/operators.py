"""Operators in the graph of an exported file, counted without running it: what a converter for a device must know."""

from __future__ import annotations

import mmap
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rtmo_plugin.errors import ConfigError, DataError
from rtmo_plugin.files import read_text
from rtmo_plugin.runtime.engines.appended_metadata import read_model
from rtmo_plugin.runtime.engines.onnx_weights import GRAPH, split_message
from rtmo_plugin.silence import drop_stderr

_NODE, _TYPE, _ATTRIBUTE, _SUBGRAPH = 1, 4, 5, 6  # numbers of fields in ONNX's messages
_NOT_COMPUTED = ("Constant", "Parameter", "Result", "Input")
_NCNN_HEADER = 2  # lines
_MAX_NCNN_BYTES = 10**7


def count_operators(path: Path) -> dict[str, int]:
    """Return how often each operator is in a file, the most frequent first; constants and inputs are not counted.

    Args:
        path: File of ONNX (.onnx), OpenVINO (.xml), ncnn (.param), LiteRT (.tflite) or ExecuTorch (.pte). A part of an
            ExecuTorch file that a backend computes counts as one operator.

    Raises:
        ConfigError: The format is another, or the package that reads it is not installed.
        DataError: The file cannot be read.
    """
    listers = {
        ".onnx": _list_onnx,
        ".xml": _list_openvino,
        ".param": _list_ncnn,
        ".tflite": _list_litert,
        ".pte": _list_executorch,
    }
    if path.suffix.lower() not in listers:
        raise ConfigError(f"{path} has operators that cannot be listed: known are files with {', '.join(listers)}.")
    counts = Counter(name for name in listers[path.suffix.lower()](path) if name not in _NOT_COMPUTED)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _list_onnx(path: Path) -> Iterable[str]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        graphs = [(begin, end) for number, begin, end in split_message(content, 0, len(content)) if number == GRAPH]
        names = []
        while graphs:
            for number, first, last in split_message(content, *graphs.pop()):
                if number != _NODE:
                    continue
                for field, begin, end in split_message(content, first, last):
                    if field == _TYPE:
                        names.append(content[begin:end].decode(errors="replace"))
                    elif field == _ATTRIBUTE:
                        graphs += [each[1:] for each in split_message(content, begin, end) if each[0] == _SUBGRAPH]
        return names


def _list_openvino(path: Path) -> Iterable[str]:
    try:
        from rtmo_plugin.runtime.engines.openvino_runtime import get_core
    except ImportError as error:
        raise ConfigError(f"{path} needs the package openvino: pip install openvino") from error
    try:
        return [node.get_type_name() for node in get_core().read_model(path).get_ops()]
    except RuntimeError as error:
        raise DataError(f"{path} cannot be read as a model of OpenVINO: it is damaged.") from error


def _list_ncnn(path: Path) -> Iterable[str]:
    lines = read_text(path, _MAX_NCNN_BYTES).splitlines()[_NCNN_HEADER:]
    return [line.split()[0] for line in lines if line.strip()]


def _list_litert(path: Path) -> Iterable[str]:
    content, _ = read_model(path)
    with _read_with("ai-edge-litert", path):
        from ai_edge_litert import schema_py_generated as schema

        names = {number: name for name, number in vars(schema.BuiltinOperator).items()}
        model = schema.Model.GetRootAs(content)
        graphs = [model.Subgraphs(index) for index in range(model.SubgraphsLength())]
        codes = [graph.Operators(index).OpcodeIndex() for graph in graphs for index in range(graph.OperatorsLength())]
        return [names[model.OperatorCodes(code).BuiltinCode()] for code in codes]


def _list_executorch(path: Path) -> Iterable[str]:
    content, _ = read_model(path)
    names = []
    with _read_with("executorch", path):
        with drop_stderr():
            from executorch.exir._serialize import _deserialize_pte_binary
            from executorch.exir.schema import DelegateCall, KernelCall

        for plan in _deserialize_pte_binary(content).program.execution_plan:
            for call in (each.instr_args for chain in plan.chains for each in chain.instructions):
                if isinstance(call, KernelCall):
                    names.append(".".join(filter(None, vars(plan.operators[call.op_index]).values())))
                elif isinstance(call, DelegateCall):
                    names.append(plan.delegates[call.delegate_index].id)
    return names


@contextmanager
def _read_with(package: str, path: Path) -> Iterator[None]:
    """Turn the errors of a package's reader into sentences.

    Raises:
        ConfigError: The package is not installed.
        DataError: The file cannot be read.
    """
    try:
        yield
    except ImportError as error:
        raise ConfigError(f"{path} needs the package {package} to be read: pip install {package}") from error
    except (struct.error, LookupError, TypeError, ValueError) as error:
        raise DataError(f"{path} cannot be read by {package}: it is damaged.") from error
