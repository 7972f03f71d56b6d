"""Files of PyTorch: TorchScript (.pt) and exported programs (.pt2), compared before they get their names.

Neither format can hold NMS, which is a loop of variable length. Both end at ``decoded`` or ``raw``, and the program
that runs them applies NMS, as ``rtmo_plugin.runtime`` does.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from rtmo_plugin.errors import ConfigError
from rtmo_plugin.export.checks.comparison import Run
from rtmo_plugin.export.checks.tolerance import Differences
from rtmo_plugin.export.export_options import ExportOptions
from rtmo_plugin.export.graphs import RawGraph, build_graph, make_example
from rtmo_plugin.export.writers.draft import write_verified
from rtmo_plugin.runtime.model_info import OUTPUT_NAMES, ModelInfo
from rtmo_plugin.runtime.trusted_files import trust

_Forward = Callable[[Tensor], tuple[Tensor, ...]]


def write_torchscript(model: Any, path: Path, options: ExportOptions, info: ModelInfo) -> Differences:
    """Write a model as TorchScript, see ``write_onnx`` for arguments and errors."""

    def save(graph: RawGraph, draft: Path, strings: dict[str, str]) -> None:
        script = torch.jit.trace(graph, (make_example(options),), check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.save(script, str(draft), _extra_files=strings)

    def load(draft: Path) -> _Forward:
        return torch.jit.load(str(draft))  # type: ignore[no-any-return, no-untyped-call]

    return _write(model, path, options, info, save, load)


def write_program(model: Any, path: Path, options: ExportOptions, info: ModelInfo) -> Differences:
    """Write a model as an exported program, see ``write_onnx`` for arguments and errors."""
    if "size" in options.dynamic:
        raise ConfigError("A .pt2 file takes one size: leave out --dynamic size.")

    def save(graph: RawGraph, draft: Path, strings: dict[str, str]) -> None:
        shapes = {"image": {0: torch.export.Dim("batch", min=1, max=1024)}} if "batch" in options.dynamic else None
        program = torch.export.export(graph, (make_example(options),), dynamic_shapes=shapes)
        torch.export.save(program, draft, extra_files=strings)

    def load(draft: Path) -> _Forward:
        return torch.export.load(draft).module()

    return _write(model, path, options, info, save, load)


def _write(
    model: Any,
    path: Path,
    options: ExportOptions,
    info: ModelInfo,
    save: Callable[[RawGraph, Path, dict[str, str]], None],
    load: Callable[[Path], _Forward],
) -> Differences:
    if options.int8:
        raise ConfigError(f"{path.name} cannot hold eight-bit convolutions: export --int8 to onnx or openvino.")
    if options.cut == "end2end":
        raise ConfigError(f"{path.name} cannot hold NMS: export it with --cut decoded, fused or raw.")
    graph = build_graph(model, options)
    # Neither format keeps the names of the outputs.
    strings = {**info.to_strings(), OUTPUT_NAMES: ",".join(graph.output_names)}

    def save_draft(draft: Path) -> None:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # tests of shapes become constants, as a file of one size needs
            save(graph, draft, strings)

    def load_draft(draft: Path) -> Run:
        forward = load(draft)

        def run(images: NDArray[Any], score_thr: float) -> dict[str, NDArray[Any]]:
            with torch.no_grad():
                outputs = forward(torch.from_numpy(images))
            return {name: value.numpy() for name, value in zip(graph.output_names, outputs)}

        return run

    found = write_verified(model, path, options, save_draft, load_draft)
    trust(path.read_bytes(), path)  # opens on this machine without --trust
    return found
