"""Files of PyTorch: TorchScript (.pt) and exported programs (.pt2), compared before they get their names.

Neither format can hold NMS, which is a loop of variable length. Both end at ``decoded`` or ``raw``, and the program
that runs them applies NMS, as ``rtmo_plugin.runtime`` does.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
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

Forward = Callable[[Tensor], Sequence[Tensor]]


def write_torchscript(model: Any, path: Path, options: ExportOptions, info: ModelInfo) -> Differences:
    """Write a model as TorchScript, see ``write_onnx`` for arguments and errors."""

    def save(graph: RawGraph, draft: Path, strings: dict[str, str]) -> None:
        script = torch.jit.trace(graph, (make_example(options),), check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.save(script, str(draft), _extra_files=strings)

    def load(draft: Path) -> Forward:
        return torch.jit.load(str(draft))  # type: ignore[no-any-return, no-untyped-call]

    return write_torch_file(model, path, options, info, save, load)


def write_program(model: Any, path: Path, options: ExportOptions, info: ModelInfo) -> Differences:
    """Write a model as an exported program, see ``write_onnx`` for arguments and errors."""
    check_program(options, path)

    def save(graph: RawGraph, draft: Path, strings: dict[str, str]) -> None:
        torch.export.save(export_program(graph, options), draft, extra_files=strings)

    def load(draft: Path) -> Forward:
        return torch.export.load(draft).module()

    return write_torch_file(model, path, options, info, save, load)


def check_torch_file(options: ExportOptions, path: Path) -> None:
    """Check that a file of PyTorch can hold what the options ask for.

    Raises:
        ConfigError: It cannot.
    """
    if options.int8:
        raise ConfigError(f"{path.name} cannot hold eight-bit convolutions: export --int8 to onnx or openvino.")
    if options.cut == "end2end":
        raise ConfigError(f"{path.name} cannot hold NMS: export it with --cut decoded, fused or raw.")


def check_program(options: ExportOptions, path: Path) -> None:
    """Check that an exported program can hold what the options ask for.

    Raises:
        ConfigError: It cannot.
    """
    if "size" in options.dynamic:
        raise ConfigError("A .pt2 file takes one size: leave out --dynamic size.")
    check_torch_file(options, path)


def export_program(graph: RawGraph, options: ExportOptions) -> torch.export.ExportedProgram:
    """Return the exported program of a graph, on the graph's device."""
    shapes = {"image": {0: torch.export.Dim("batch", min=1, max=1024)}} if "batch" in options.dynamic else None
    return torch.export.export(graph, (make_example(options).to(options.device),), dynamic_shapes=shapes)


def write_torch_file(
    model: Any,
    path: Path,
    options: ExportOptions,
    info: ModelInfo,
    save: Callable[[RawGraph, Path, dict[str, str]], None],
    load: Callable[[Path], Forward],
) -> Differences:
    """Write a file that PyTorch runs, see ``write_onnx``; it opens on this machine without ``--trust``.

    Args:
        model: Trained model, in eval mode.
        path: Name of the file.
        options: Options of the file.
        info: Metadata to store in the file.
        save: Function that writes a graph and its metadata.
        load: Function that opens the draft.

    Raises:
        ExportError: The file does not compute what PyTorch computes, and was not kept.
        ConfigError: The format cannot hold what the options ask for.
    """
    check_torch_file(options, path)
    graph = build_graph(model, options).to(options.device)
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
                outputs = forward(torch.from_numpy(images).to(options.device))
            return {name: value.cpu().numpy() for name, value in zip(graph.output_names, outputs)}

        return run

    found = write_verified(model, path, options, save_draft, load_draft)
    trust(path.read_bytes(), path)
    return found
