"""Files of an exported model: graph, weights, names and the parameters of the coordinate classifier."""

from __future__ import annotations

from pathlib import Path

from rtmo_plugin.runtime.coordinate_decoder import locate_parameters

_BESIDE = {".xml": (".bin",), ".param": (".bin", ".json"), ".engine": (".json",)}


def list_model_files(path: Path, cut: str = "end2end") -> list[Path]:
    """Return the files of an exported model that exist, the named one first.

    Args:
        path: Path of the file that opens the model.
        cut: Cut of the model; with ``raw``, a file of parameters lies beside it, and with ``fused`` may lie those of
            DeepStream.
    """
    if path.is_dir():
        return sorted(each for each in path.rglob("*") if each.is_file())
    beside = [path.with_suffix(suffix) for suffix in _BESIDE.get(path.suffix.lower(), ())]
    beside += [locate_parameters(path)] if cut == "raw" else []
    beside += locate_deepstream_files(path) if cut == "fused" else []
    return [path, *(each for each in beside if each.is_file())]


def locate_deepstream_files(path: Path) -> tuple[Path, Path]:
    """Return the paths of the configuration and the labels for DeepStream beside an ONNX file of the cut ``fused``."""
    return path.with_name(f"{path.stem}_deepstream.txt"), path.with_name(f"{path.stem}_labels.txt")
