"""Engines that run exported files: one class per runtime, chosen by the file and the installed packages."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rtmo_plugin.errors import ConfigError, MissingFileError
from rtmo_plugin.number_ranges import STREAMS, THREADS
from rtmo_plugin.runtime.engines import torch_archive
from rtmo_plugin.runtime.engines.engine import Engine, count_cores

__all__ = ["RUNTIMES", "Engine", "check_runtime_name", "choose_runtime", "open_engine"]

# By name: the package, and how its files end.  On CPUs OpenVINO is the fastest, so it comes first.
RUNTIMES = {
    "openvino": ("openvino", (".xml", ".onnx")),
    "onnxruntime": ("onnxruntime", (".onnx",)),
    "torch": ("torch", torch_archive.SUFFIXES),
    "ncnn": ("ncnn", (".param",)),
    "tensorrt": ("onnxruntime", (".onnx",)),  # as an execution provider of ONNX Runtime
    "litert": ("ai_edge_litert", (".tflite",)),
    "engine": ("tensorrt", (".engine",)),
    "executorch": ("executorch", (".pte",)),
}
_ENGINES = {  # the module below this one, and the class
    "openvino": ("openvino_runtime", "OpenVinoEngine"),
    "onnxruntime": ("onnx_runtime", "OnnxRuntimeEngine"),
    "tensorrt": ("onnx_runtime", "OnnxRuntimeEngine"),
    "torch": ("torch_runtime", "TorchEngine"),
    "ncnn": ("ncnn_runtime", "NcnnEngine"),
    "litert": ("litert_runtime", "LiteRtEngine"),
    "engine": ("tensorrt_runtime", "TensorRtEngine"),
    "executorch": ("executorch_runtime", "ExecuTorchEngine"),
}
_WITH_CODE = ("torch", "engine")  # runtimes whose files hold code


# Runtimes that compute several batches side by side, and the default number of batches.
_WITH_STREAMS = ("openvino", "onnxruntime", "tensorrt")
_NUM_STREAMS = 2


def open_engine(
    file: str | Path, *, runtime: str | None = None, streams: int | None = 1, trust: bool = False, **options: Any
) -> Engine:
    """Open an exported file.

    Args:
        file: Exported file, such as ``rtmo-s.onnx``.
        runtime: Key of ``RUNTIMES``. Default: the first that is installed and reads such files; ``onnxruntime`` for an
            ONNX file on a CUDA device.
        streams: Number of batches that are computed side by side, each with its share of the threads: higher
            throughput, longer latency. None: two if the runtime computes several and there are threads for them.
        trust: Whether code in a file of PyTorch (.pt, .pt2) or TensorRT (.engine) may run though it was not exported
            here; other formats hold none.
        **options: Also ``device`` (``"cpu"`` or another device of the runtime), ``threads`` (CPU threads; None: all
            cores) and ``precision`` (``"auto"``: the fastest that keeps keypoints exact; ``"float32"``; others
            if the runtime has them).

    Raises:
        MissingFileError: The file does not exist.
        ConfigError: No runtime for it is installed, it has no streams, or the device is not there.
        DataError: The file is damaged or not an RTMO model.
    """
    path = Path(file)
    if not os.path.isfile(path):
        raise MissingFileError(f"The model file {path} does not exist.")
    if runtime is None and path.suffix.lower() == ".onnx" and str(options.get("device", "")).startswith("cuda"):
        runtime = "onnxruntime"  # OpenVINO knows no such device
    name = choose_runtime(path, runtime)
    if options.get("threads") is not None:
        THREADS.check("threads", options["threads"])
    streams = _choose_streams(name, streams, options.get("threads"))
    if name in _WITH_CODE:
        options["trust"] = trust
    return _import_engine(name)(path, **options, **({} if streams == 1 else {"streams": streams}))


def choose_runtime(path: Path, runtime: str | None = None) -> str:
    """Return the name of the runtime that opens a file: the given one, or the first that is installed and reads it.

    Raises:
        ConfigError: The runtime is unknown, does not read such files, or is not installed.
    """
    check_runtime_name(runtime)
    fitting = [name for name, (_, suffixes) in RUNTIMES.items() if path.suffix.lower() in suffixes]
    if runtime is not None and runtime not in fitting:
        endings = ", ".join(RUNTIMES[runtime][1])
        raise ConfigError(f"The runtime {runtime} reads files that end with {endings}, not files like {path.name}.")
    if not fitting:
        endings = ", ".join(sorted({suffix for _, suffixes in RUNTIMES.values() for suffix in suffixes}))
        raise ConfigError(f"No runtime reads files like {path.name}: the known ones end with {endings}.")
    wanted = [runtime] if runtime else fitting
    installed = [name for name in wanted if find_spec(RUNTIMES[name][0])]
    if not installed:
        package = RUNTIMES[wanted[0]][0].replace("_", "-")
        raise ConfigError(f"{path} needs the package {package}: pip install {package}")
    return installed[0]


def check_runtime_name(runtime: str | None) -> None:
    """Check that a runtime is known, whichever files it reads.

    Raises:
        ConfigError: It is not a key of ``RUNTIMES``.
    """
    if runtime is not None and runtime not in RUNTIMES:
        raise ConfigError(f"The runtime {runtime!r} is unknown: choose {', '.join(RUNTIMES)}.")


def _choose_streams(runtime: str, streams: int | None, threads: int | None) -> int:
    """Return how many batches to compute side by side."""
    if streams is None:
        return _NUM_STREAMS if runtime in _WITH_STREAMS and (threads or count_cores()) >= _NUM_STREAMS else 1
    STREAMS.check("streams", streams)
    if streams > 1 and runtime not in _WITH_STREAMS:
        raise ConfigError(
            f"The runtime {runtime} computes one batch at a time: streams are for {', '.join(_WITH_STREAMS)}."
        )
    return streams


def _import_engine(runtime: str) -> Callable[..., Engine]:
    """Return the class of a runtime; only the package of this one is imported."""
    module, name = _ENGINES[runtime]
    found: Callable[..., Engine] = getattr(import_module(f"{__name__}.{module}"), name)
    return partial(found, tensorrt=True) if runtime == "tensorrt" else found
