"""The engine of ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as errors

from rtmo_plugin.errors import ConfigError, DataError
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
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxRuntimeEngine:
    """An ONNX file in ONNX Runtime.

    Args:
        path: Path of the file.
        device: Device: ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.
        threads: CPU threads. Default: all cores.
        precision: Precision, ``"auto"`` or ``"float32"``; both are the file's own, which this runtime does not change.
        streams: Number of batches that are computed side by side, each with its share of the threads.

    Raises:
        ConfigError: The device is not there.
        DataError: The file cannot be read, or is not an RTMO model.
        NonFiniteError: A weight is NaN or infinite.
    """

    def __init__(
        self,
        path: Path,
        *,
        device: str = "cpu",
        threads: int | None = None,
        precision: str = "auto",
        streams: int = 1,
    ) -> None:
        if precision not in ("auto", "float32"):
            raise ConfigError(f"ONNX Runtime does not compute in {precision}: take openvino, or export with --half.")
        self.streams = streams
        if streams > 1:
            threads = max(1, (threads or count_cores()) // streams)
        try:
            self._session = open_session(path, device, threads)
        except _UNREADABLE as error:
            raise DataError(f"{path} cannot be read as an ONNX model: {_explain(error)}.") from error
        self._names = [each.name for each in self._session.get_outputs()]
        first = self._session.get_inputs()[0]
        self._input_name = first.name
        shapes = {each.name: each.shape for each in self._session.get_outputs()}
        self.info = read_info(path, self._session.get_modelmeta().custom_metadata_map, first.shape, shapes)
        check_onnx_weights(path)
        self.computes_in = self.info.precision

    def run(self, images: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Run a batch, see ``Engine``."""
        return dict(zip(self._names, self._session.run(self._names, {self._input_name: images})))


def open_session(path: str | Path, device: str = "cpu", threads: int | None = None) -> onnxruntime.InferenceSession:
    """Open any ONNX file with the settings under which this package measures and runs files.

    Args:
        path: The file.
        device: Device: ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.
        threads: CPU threads. Default: all cores.

    Raises:
        ConfigError: The device is not there.
    """
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    settings.intra_op_num_threads = threads or 0
    return onnxruntime.InferenceSession(
        str(path),
        settings,
        providers=[_choose_provider(device)],
        disabled_optimizers=list_harmful(onnxruntime.__version__),
    )


def list_harmful(version: str) -> list[str]:
    """Return the optimizers that slow a version of ONNX Runtime down.

    Before 1.25, the operator that fuses x * sigmoid(x) has no blocked layout: the maps are reordered before and after
    each, which takes 15 % of the time. From 1.25 on it saves 5 %.
    """
    major, minor = map(int, version.split(".")[:2])
    return ["QuickGeluFusion"] if (major, minor) < (1, 25) else []


def _choose_provider(device: str) -> Any:
    kind, _, number = device.partition(":")
    available = onnxruntime.get_available_providers()
    if _PROVIDERS.get(kind) not in available or not (number or "0").isdecimal():
        raise ConfigError(
            f"The device {device} cannot be used: ONNX Runtime has {', '.join(available)}. For NVIDIA GPUs install "
            "onnxruntime-gpu in place of onnxruntime."
        )
    return (_PROVIDERS[kind], {"device_id": int(number)}) if number else _PROVIDERS[kind]


def _explain(error: Exception) -> str:
    """Return the first sentence of ONNX Runtime's message, without its codes."""
    words = " ".join(str(error).split())
    return words.rpartition(" : ")[2].partition("Status Message:")[2].strip() or words.rpartition(" : ")[2].rstrip(".")
