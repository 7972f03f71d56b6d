"""An ExecuTorch file (.pte) for Android and iOS, with XNNPACK's kernels; compared before it gets its name.

``executorch`` lowers what XNNPACK computes to one blob after another, and the rest to its portable operators.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from rtmo_plugin.engine.console import suppress_output
from rtmo_plugin.errors import ConfigError, write_install_line
from rtmo_plugin.export.checks.tolerance import Differences
from rtmo_plugin.export.export_options import ExportOptions
from rtmo_plugin.export.graphs import RawGraph, make_example
from rtmo_plugin.export.writers.draft import write_for_engine
from rtmo_plugin.runtime.engines.appended_metadata import append_metadata
from rtmo_plugin.runtime.model_info import OUTPUT_NAMES, ModelInfo


def write_executorch(model: Any, path: Path, options: ExportOptions, info: ModelInfo) -> Differences:
    """Write a model for ExecuTorch, see ``write_for_engine``.

    Args:
        model: Trained model, in eval mode.
        path: Name of the ``.pte`` file.
        options: Options of the file; one image of one size is possible, before NMS, in float32.
        info: Metadata to store in the file.

    Returns:
        Differences between the file, run by ExecuTorch, and PyTorch.

    Raises:
        ExportError: The file does not compute what PyTorch computes, and was not kept.
        OutputError: A file cannot be written.
        ConfigError: The package is missing, or the format does not support the options.
    """
    check_executorch(options, path)
    from rtmo_plugin.runtime.engines.executorch_runtime import ExecuTorchEngine

    def convert(graph: RawGraph, draft: Path) -> None:
        draft.write_bytes(_convert(graph, options))
        append_metadata(draft, {**info.to_strings(), OUTPUT_NAMES: ",".join(graph.output_names)})

    return write_for_engine(model, path, options, convert, ExecuTorchEngine)


def check_executorch(options: ExportOptions, path: Path) -> None:
    """Check that the packages are installed, and that the format can hold what the options ask for.

    Raises:
        ConfigError: A package is missing, or the format cannot.
    """
    if find_spec("executorch") is None:
        raise ConfigError(f"Writing ExecuTorch files needs the package executorch: {write_install_line('executorch')}")
    if options.cut == "end2end" or options.dynamic or options.half or options.int8:
        raise ConfigError(
            f"{path.name} can hold one image of one size before NMS, in float32: export it with --cut decoded, fused "
            "or raw and --dynamic none, without --half and --int8."
        )


def _convert(graph: RawGraph, options: ExportOptions) -> bytes:
    """Return the content of an ExecuTorch file, without metadata."""
    with suppress_output(), torch.no_grad():
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower
        from executorch.exir.passes.constant_prop_pass import constant_prop_pass

        program = torch.export.export(graph, (make_example(options),))
        # XNNPACK takes constants as weights only, and some are slices of a larger one.
        program = constant_prop_pass(program.run_decompositions({}))
        # ExecuTorch 1.5 writes the start of a tensor's storage, so slices need storages of their own.
        program.constants.update({name: _copy_slice(value) for name, value in program.constants.items()})
        lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
        content: bytes = lowered.to_executorch().buffer
    return content


def _copy_slice(value: Any) -> Any:
    """Return a constant of a program, copied if it is a tensor that is a part of its storage."""
    if not isinstance(value, torch.Tensor) or value.untyped_storage().nbytes() == value.nbytes:
        return value
    return value.clone(memory_format=torch.contiguous_format)
