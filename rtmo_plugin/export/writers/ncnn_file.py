"""An ncnn file (.param and .bin), converted from TorchScript by pnnx; compared with PyTorch before it gets its name.

ncnn's files hold neither metadata nor names of outputs, so these are in a .json file beside them.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from rtmo_plugin.errors import ConfigError, ExportError
from rtmo_plugin.export.checks.tolerance import Differences
from rtmo_plugin.export.export_options import ExportOptions
from rtmo_plugin.export.graphs import RawGraph, make_example
from rtmo_plugin.export.writers.draft import write_for_engine
from rtmo_plugin.files import write_json
from rtmo_plugin.runtime.engines.sibling_files import hash_siblings
from rtmo_plugin.runtime.model_info import OUTPUT_NAMES, ModelInfo

_SCRIPT = "model.pt"
_WRITTEN = "model.ncnn"  # by pnnx, with .param and .bin


def write_ncnn(model: Any, path: Path, options: ExportOptions, info: ModelInfo) -> Differences:
    """Write a model as ``.param`` with ``.bin``, ``.json`` and ``.npz`` beside it, see ``write_for_engine``.

    Args:
        model: Trained model, in eval mode.
        path: Name of the ``.param`` file.
        options: Options of the file; only the head's maps for one image of one size, in float32, are possible.
        info: Metadata to store in the ``.json`` file.

    Returns:
        Differences between the file, run by ncnn, and PyTorch.

    Raises:
        ExportError: The file does not compute what PyTorch computes, and was not kept.
        OutputError: A file cannot be written.
        ConfigError: A package is missing, or the format does not support the options.
    """
    check_ncnn(options, path)
    from rtmo_plugin.runtime.engines.ncnn_runtime import NcnnEngine

    def convert(graph: RawGraph, draft: Path) -> None:
        _convert(graph, draft, options)
        siblings = hash_siblings(draft, draft.with_suffix(".bin"))
        strings = {**info.to_strings(), OUTPUT_NAMES: ",".join(graph.output_names), **siblings}
        write_json(draft.with_suffix(".json"), strings, indent=1)

    return write_for_engine(model, path, options, convert, NcnnEngine)


def check_ncnn(options: ExportOptions, path: Path) -> None:
    """Check that the packages are installed, and that the format can hold what the options ask for.

    Raises:
        ConfigError: A package is missing, or the format cannot.
    """
    if any(find_spec(package) is None for package in ("ncnn", "pnnx")):
        raise ConfigError("Writing ncnn files needs its packages: pip install ncnn pnnx")
    if options.cut != "raw" or options.dynamic or options.input != "float32" or options.half or options.int8:
        raise ConfigError(
            f"{path.name} can hold the head's maps of one image alone, in float32: export it with "
            "--cut raw --dynamic none, without --input, --half and --int8."
        )


def _convert(graph: RawGraph, path: Path, options: ExportOptions) -> None:
    """Write a ``.param`` file with its ``.bin`` beside it."""
    import pnnx

    width, height = options.size_wh
    with tempfile.TemporaryDirectory() as folder:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # tests of shapes become constants, as a file of one size needs
            script = torch.jit.trace(graph, make_example(options), check_trace=False)  # type: ignore[no-untyped-call]
            torch.jit.save(script, str(Path(folder, _SCRIPT)))
        command = [pnnx.EXEC_PATH, _SCRIPT, f"inputshape=[1,3,{height},{width}]", "fp16=0"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        written = Path(folder, f"{_WRITTEN}.param")
        if done.returncode or not written.is_file():
            reason = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
            raise ExportError(f"pnnx could not convert the model: {reason[-1]}")
        path.write_text(_repair_attention(written.read_text(encoding="utf-8")), encoding="utf-8")
        shutil.copyfile(written.with_suffix(".bin"), path.with_suffix(".bin"))


def _repair_attention(text: str) -> str:
    """Return the text of a .param file with three inputs for attention: queries, keys and values.

    If queries are keys, pnnx writes two inputs, queries and values. ncnn reads the second as keys and values, so the
    keys would have no positions.
    """
    magic, counts, *lines = text.splitlines()
    repaired = []
    for line in lines:
        words = line.split()
        if words[:1] != ["MultiHeadAttention"] or words[2] != "2":
            repaired.append(line)
            continue
        kind, name, _, _, query, value, *rest = words
        queries, keys = f"{query}_queries", f"{query}_keys"
        repaired.append(" ".join(["Split", f"{name}_split", "1", "2", query, queries, keys]))
        repaired.append(" ".join([kind, name, "3", "1", queries, keys, value, *rest]))
    num_layers, num_blobs = map(int, counts.split())
    added = len(repaired) - len(lines)
    return "\n".join([magic, f"{num_layers + added} {num_blobs + 2 * added}", *repaired, ""])
