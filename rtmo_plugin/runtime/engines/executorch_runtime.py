"""The engine of ExecuTorch, PyTorch's runtime for phones, for one image of one size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from executorch.extension.pybindings.portable_lib import _threadpool_get_thread_count, _unsafe_reset_threadpool
from executorch.runtime import Runtime
from numpy.typing import NDArray

from rtmo_plugin.errors import ConfigError, DataError
from rtmo_plugin.files import read_bytes
from rtmo_plugin.runtime.engines.appended_metadata import read_metadata
from rtmo_plugin.runtime.engines.engine import read_info
from rtmo_plugin.runtime.model_info import OUTPUT_NAMES

_MAX_BYTES = 4 * 1024**3
_METHOD = "forward"
# Bytes 4 to 12 of every file with weights: identifiers of the program and of its header.
_IDENTIFIERS = b"ET12eh00"
_SEGMENTS = slice(24, 40)  # in the header: offset and size of the weights, 8 bytes each


class ExecuTorchEngine:
    """An ExecuTorch file, computed by its kernels for CPUs (XNNPACK, and portable ones for the rest).

    Args:
        path: Path of the ``.pte`` file.
        device: Device, which must be ``"cpu"``.
        threads: CPU threads of ExecuTorch in this whole process. Default: unchanged.
        precision: Precision, ``"auto"`` or ``"float32"``; both are the file's own.

    Raises:
        ConfigError: Another device or precision.
        DataError: The file cannot be read, or is not an RTMO model.
    """

    streams = 1

    def __init__(self, path: Path, *, device: str = "cpu", threads: int | None = None, precision: str = "auto") -> None:
        if device != "cpu" or precision not in ("auto", "float32"):
            raise ConfigError(f"ExecuTorch runs here on the cpu in float32, not on {device} in {precision}.")
        content = read_bytes(path, _MAX_BYTES)
        _check_whole(content, path)
        strings = read_metadata(content, path)
        if threads and threads != _threadpool_get_thread_count():
            _unsafe_reset_threadpool(threads)
        try:
            self._program = Runtime.get().load_program(content)
            signature: Any = self._program.metadata(_METHOD)
            self._method: Any = self._program.load_method(_METHOD)
        except (RuntimeError, KeyError) as error:
            reason = str(error).strip().splitlines() or ["it is damaged"]
            raise DataError(f"{path} cannot be read as a model of ExecuTorch: {reason[0].rstrip('.')}.") from error
        shapes = [signature.output_tensor_meta(index).sizes() for index in range(signature.num_outputs())]
        self._names = strings.get(OUTPUT_NAMES, "").split(",")
        self.info = read_info(path, strings, signature.input_tensor_meta(0).sizes(), dict(zip(self._names, shapes)))
        self.computes_in = self.info.precision
        self._lock = Lock()  # a method has one set of buffers

    def run(self, images: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Run a batch of one, see ``Engine``."""
        with self._lock:
            outputs = self._method.execute((torch.from_numpy(np.ascontiguousarray(images)),))
        return {name: value.numpy() for name, value in zip(self._names, outputs)}


def _check_whole(content: bytes, path: Path) -> None:
    """Check the header of a file, because ExecuTorch prints lines about a damaged one.

    Raises:
        DataError: The file is of another kind, or its end is missing.
    """
    begin, size = (int.from_bytes(content[_SEGMENTS][each], "little") for each in (slice(8), slice(8, 16)))
    reason = ""
    if content[4:12] != _IDENTIFIERS:
        reason = "it does not begin as an ExecuTorch file"
    elif len(content) < begin + size:
        reason = "its end is missing"
    if reason:
        raise DataError(f"{path} cannot be read as a model of ExecuTorch: {reason}.")
