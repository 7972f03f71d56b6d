"""The engine of ONNX Runtime, with its execution providers for CPUs, CUDA and TensorRT."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as errors

from rtmo_plugin.errors import ConfigError, DataError
from rtmo_plugin.files import compute_hash
from rtmo_plugin.runtime.engines.bound_session import BoundSession
from rtmo_plugin.runtime.engines.engine import count_cores, read_info
from rtmo_plugin.runtime.engines.onnx_weights import check_onnx_weights

_UNREADABLE = (
    errors.Fail,
    errors.InvalidArgument,
    errors.InvalidGraph,
    errors.InvalidProtobuf,
    errors.NoModel,
    errors.NoSuchFile,
    errors.NotImplemented,
    errors.RuntimeException,
)
_CPU, _CUDA, _TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
_HALF = "float16"
_HASH_LENGTH = 16  # digits that name the folder of a file's engines


class OnnxRuntimeEngine:
    """An ONNX file in ONNX Runtime.

    On a GPU, batches are copied into a buffer that is used again (``BoundSession``). TensorRT builds an engine for
    each file, input shape and precision, which takes minutes; engines are kept in ``get_engine_folder()`` and read from
    there the next time; a file with other weights has others. What TensorRT cannot compute is computed by CUDA.

    Args:
        path: Path of the file.
        device: Device: ``"cpu"``, ``"cuda"`` or ``"cuda:1"``. Default: ``"cuda"`` for TensorRT, else ``"cpu"``.
        threads: CPU threads. Default: all cores.
        precision: Precision: ``"auto"`` or ``"float32"``, both the file's own; with TensorRT also ``"float16"``.
        streams: Number of batches that are computed side by side, each with its share of the threads.
        tensorrt: Whether TensorRT computes the file.

    Raises:
        ConfigError: The device or the execution provider is not there, or the precision is unknown.
        DataError: The file cannot be read, or is not an RTMO model.
        NonFiniteError: A weight is NaN or infinite.
    """

    def __init__(
        self,
        path: Path,
        *,
        device: str | None = None,
        threads: int | None = None,
        precision: str = "auto",
        streams: int = 1,
        tensorrt: bool = False,
    ) -> None:
        if precision not in ("auto", "float32") and not (tensorrt and precision == _HALF):
            raise ConfigError(
                f"ONNX Runtime does not compute in {precision}: take openvino, export with --half, or "
                "take tensorrt for float16."
            )
        self.streams = streams
        if streams > 1:
            threads = max(1, (threads or count_cores()) // streams)
        device = device or ("cuda" if tensorrt else "cpu")
        try:
            self._session = open_session(path, device, threads, tensorrt=tensorrt, half=precision == _HALF)
        except _UNREADABLE as error:
            # The first sentence of ONNX Runtime's message, without its codes.
            words = " ".join(str(error).split()).rpartition(" : ")[2]
            reason = words.partition("Status Message:")[2].strip() or words.rstrip(".")
            raise DataError(f"{path} cannot be read as an ONNX model: {reason}.") from error
        self._names = [each.name for each in self._session.get_outputs()]
        first = self._session.get_inputs()[0]
        self._input_name = first.name
        shapes = {each.name: each.shape for each in self._session.get_outputs()}
        self.info = read_info(path, self._session.get_modelmeta().custom_metadata_map, first.shape, shapes)
        check_onnx_weights(path)
        self._bound = None if device == "cpu" else BoundSession(self._session, device)
        self.computes_in = _HALF if precision == _HALF else self.info.precision

    def run(self, images: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Run a batch, see ``Engine``."""
        if self._bound is not None:
            return dict(zip(self._names, self._bound.run(images)))
        return dict(zip(self._names, self._session.run(self._names, {self._input_name: images})))


def open_session(
    path: str | Path,
    device: str = "cpu",
    threads: int | None = None,
    *,
    tensorrt: bool = False,
    half: bool = False,
) -> onnxruntime.InferenceSession:
    """Open any ONNX file with the settings under which this package measures and runs files.

    Args:
        path: The file.
        device: Device: ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.
        threads: CPU threads. Default: all cores.
        tensorrt: Whether TensorRT computes the file.
        half: Whether TensorRT may compute in float16.

    Raises:
        ConfigError: The device or the execution provider is not there, or its libraries cannot be loaded.
    """
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    settings.intra_op_num_threads = threads or 0
    # ONNX Runtime knows engines by the name of the file and of its layers, which other weights have, too.
    engines = get_engine_folder() / compute_hash(Path(path))[:_HASH_LENGTH] if tensorrt else None
    providers = choose_providers(device, engines=engines, half=half)
    wanted = providers[0][0]
    if wanted != _CPU and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()  # CUDA's libraries of NVIDIA's packages or of torch
    if tensorrt and find_spec("tensorrt_libs"):
        import_module("tensorrt_libs")  # loads the libraries of this package, where ONNX Runtime does not look
    session = onnxruntime.InferenceSession(
        str(path), settings, providers=providers, disabled_optimizers=list_harmful(onnxruntime.__version__)
    )
    if wanted not in session.get_providers():  # ONNX Runtime would compute on the CPU
        raise ConfigError(
            f"The device {device} cannot be used: ONNX Runtime cannot load {wanted}; its messages above name what is "
            f"missing. {_how_to_install(tensorrt)}"
        )
    return session


def list_harmful(version: str) -> list[str]:
    """Return the optimizers that slow a version of ONNX Runtime down.

    Before 1.25, the operator that fuses x * sigmoid(x) has no blocked layout: the maps are reordered before and after
    each, which takes 15 % of the time. From 1.25 on it saves 5 %.
    """
    major, minor = map(int, version.split(".")[:2])
    return ["QuickGeluFusion"] if (major, minor) < (1, 25) else []


def get_engine_folder() -> Path:
    """Return the folder where TensorRT's engines are kept: below ``XDG_CACHE_HOME`` or ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "rtmo_plugin", "tensorrt").expanduser()


def choose_providers(device: str, *, engines: Path | None, half: bool) -> list[tuple[str, dict[str, str]]]:
    """Return execution providers with their options, best first; the folder of TensorRT's engines is made.

    Args:
        device: Device: ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.
        engines: Folder for the engines of the file, if TensorRT computes, which leaves the rest to CUDA.
        half: Whether TensorRT may compute in float16.

    Raises:
        ConfigError: The device is unknown, or its provider is not part of the installed ONNX Runtime.
    """
    kind, _, number = device.partition(":")
    tensorrt = engines is not None
    available = onnxruntime.get_available_providers()
    by_kind = {"cuda": _TENSORRT if tensorrt else _CUDA} | ({} if tensorrt else {"cpu": _CPU})
    if by_kind.get(kind) not in available or not (number or "0").isdecimal():
        raise ConfigError(
            f"The device {device} cannot be used{' with TensorRT' if tensorrt else ''}: ONNX Runtime has "
            f"{', '.join(available)}. {_how_to_install(tensorrt)}"
        )
    if kind == "cpu":
        return [(_CPU, {})]
    gpu = {"device_id": number or "0"}
    if engines is None:
        return [(_CUDA, gpu)]
    engines.mkdir(parents=True, exist_ok=True)
    # ONNX Runtime takes the words "True" and "False" alone.
    kept = {"trt_engine_cache_enable": "True", "trt_timing_cache_enable": "True", "trt_engine_cache_path": str(engines)}
    return [(_TENSORRT, {**gpu, **kept, "trt_fp16_enable": str(half)}), (_CUDA, gpu)]


def _how_to_install(tensorrt: bool) -> str:
    # ONNX Runtime up to 1.31 is linked with libnvinfer.so.10.
    needed = '"onnxruntime-gpu[cuda,cudnn]" "tensorrt<11"' if tensorrt else '"onnxruntime-gpu[cuda,cudnn]"'
    return f"For NVIDIA GPUs: pip uninstall onnxruntime, then pip install {needed}"
