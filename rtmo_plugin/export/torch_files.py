"""Files of PyTorch itself: TorchScript (.pt) and exported programs (.pt2), compared before they get their names.

NMS is a loop as long as the people need, which neither format can hold: both end at ``decoded`` or
``raw``, and whoever runs them suppresses duplicates (``rtmo_plugin.inference`` does).
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from rtmo_plugin.errors import ConfigError, OutputError
from rtmo_plugin.export.comparison import Run, verify
from rtmo_plugin.export.graphs import RawGraph, build_graph
from rtmo_plugin.export.onnx_writer import make_example
from rtmo_plugin.export.options import ExportOptions
from rtmo_plugin.export.parameters import collect_parameters
from rtmo_plugin.export.tolerance import Differences
from rtmo_plugin.inference.coordinates import locate_parameters
from rtmo_plugin.inference.model_info import OUTPUT_NAMES, ModelInfo
from rtmo_plugin.inference.trusted_files import trust

_Save = Callable[[RawGraph, Path, ExportOptions, ModelInfo], None]
_Load = Callable[[Path], Callable[[Tensor], tuple[Tensor, ...]]]


def write_torchscript(model: Any, path: Path, options: ExportOptions, info: ModelInfo) -> Differences:
    """Write a model as TorchScript, see ``write_onnx`` for arguments and errors."""
    return _write(model, path, options, info, _save_script, _load_script)


def write_program(model: Any, path: Path, options: ExportOptions, info: ModelInfo) -> Differences:
    """Write a model as an exported program, see ``write_onnx`` for arguments and errors."""
    if "size" in options.dynamic:
        raise ConfigError("A .pt2 file takes one size: leave out --dynamic size.")
    return _write(model, path, options, info, _save_program, _load_program)


def _write(model: Any, path: Path, options: ExportOptions, info: ModelInfo, save: _Save, load: _Load) -> Differences:
    if options.int8:
        raise ConfigError(f"{path.name} cannot hold eight-bit convolutions: export --int8 to onnx or openvino.")
    if options.cut == "end2end":
        raise ConfigError(f"{path.name} cannot hold NMS: export it with --cut decoded or --cut raw.")
    graph = build_graph(model, options)
    with tempfile.TemporaryDirectory(prefix=".partial_", dir=path.parent) as folder:
        draft = Path(folder, path.name)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of tests of shapes whose outcome a file of one size fixes
            save(graph, draft, options, info)
        run = _make_run(load(draft), graph.output_names)
        found = verify(model, run, options, path)
        try:
            if options.cut == "raw":
                collect_parameters(model).save(locate_parameters(path))
            trust(draft.read_bytes(), path)  # which opens it here without --trust
            draft.replace(path)
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror}.") from error
    return found


def _make_run(loaded: Callable[[Tensor], tuple[Tensor, ...]], names: list[str]) -> Run:
    def run(images: NDArray[Any], score_thr: float) -> dict[str, NDArray[Any]]:
        with torch.no_grad():
            return {name: value.numpy() for name, value in zip(names, loaded(torch.from_numpy(images)))}

    return run


def _save_script(graph: RawGraph, path: Path, options: ExportOptions, info: ModelInfo) -> None:
    example = make_example(options, _count(options))
    script = torch.jit.trace(graph, (example,), check_trace=False)  # type: ignore[no-untyped-call]
    torch.jit.save(script, str(path), _extra_files=_list_extra_files(graph, info))


def _load_script(path: Path) -> Callable[[Tensor], tuple[Tensor, ...]]:
    loaded: Callable[[Tensor], tuple[Tensor, ...]] = torch.jit.load(str(path))  # type: ignore[no-untyped-call]
    return loaded


def _save_program(graph: RawGraph, path: Path, options: ExportOptions, info: ModelInfo) -> None:
    shapes = {"image": {0: torch.export.Dim("batch", min=1, max=1024)}} if "batch" in options.dynamic else None
    program = torch.export.export(graph, (make_example(options, _count(options)),), dynamic_shapes=shapes)
    torch.export.save(program, path, extra_files=_list_extra_files(graph, info))


def _load_program(path: Path) -> Callable[[Tensor], tuple[Tensor, ...]]:
    loaded: Callable[[Tensor], tuple[Tensor, ...]] = torch.export.load(path).module()
    return loaded


def _count(options: ExportOptions) -> int:
    return 2 if "batch" in options.dynamic else 1


def _list_extra_files(graph: RawGraph, info: ModelInfo) -> dict[str, str]:
    """Return the metadata, and the names of the outputs, which these formats do not keep."""
    return {**info.to_strings(), OUTPUT_NAMES: ",".join(graph.output_names)}
