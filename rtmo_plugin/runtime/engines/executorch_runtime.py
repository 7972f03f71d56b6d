"""The engine of ExecuTorch, PyTorch's runtime for phones, for one image of one size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rtmo_plugin.errors import DataError
from rtmo_plugin.runtime.engines.appended_metadata import read_model
from rtmo_plugin.runtime.engines.engine import check_cpu, count_cores, read_info
from rtmo_plugin.runtime.model_info import OUTPUT_NAMES
from rtmo_plugin.silence import drop_stderr

_METHOD = "forward"


class ExecuTorchEngine:
    """An ExecuTorch file, computed by its kernels for CPUs (XNNPACK, and portable ones for the rest).

    Args:
        path: Path of the ``.pte`` file.
        device: Device, which must be ``"cpu"``.
        threads: CPU threads of all ExecuTorch files in this process. Default: all cores.
        precision: Precision, ``"auto"`` or ``"float32"``; both are the file's own.

    Raises:
        ConfigError: Another device or precision.
        DataError: The file cannot be read, or is not an RTMO model.
    """

    streams = 1

    def __init__(self, path: Path, *, device: str = "cpu", threads: int | None = None, precision: str = "auto") -> None:
        check_cpu("ExecuTorch", device, precision)
        content, strings = read_model(path)
        self._names = strings.get(OUTPUT_NAMES, "").split(",")
        try:
            with drop_stderr():  # notes on the processor and on other packages, and a line for each error
                self._program = _load_program(content, threads or count_cores())
                self._method = self._program.load_method(_METHOD)
            signature = self._method.metadata
            shape = signature.input_tensor_meta(0).sizes()
            shapes = [signature.output_tensor_meta(index).sizes() for index in range(signature.num_outputs())]
        except (RuntimeError, KeyError) as error:
            reason = str(error).strip().splitlines() or ["it is damaged"]
            raise DataError(f"{path} cannot be read as a model of ExecuTorch: {reason[0].rstrip('.')}.") from error
        self.info = read_info(path, strings, shape, dict(zip(self._names, shapes)))
        self.computes_in = self.info.precision
        self._lock = Lock()  # a method has one set of buffers

    def run(self, images: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Run a batch of one, see ``Engine``."""
        with self._lock:
            outputs = self._method.execute((torch.from_numpy(np.ascontiguousarray(images)),))
        return {name: value.numpy() for name, value in zip(self._names, outputs)}


def _load_program(content: bytes, threads: int) -> Any:
    """Return a program of ExecuTorch, which is imported here because the import prints as well.

    Raises:
        RuntimeError: The content is not a program.
    """
    from executorch.extension.pybindings.portable_lib import _threadpool_get_thread_count, _unsafe_reset_threadpool
    from executorch.runtime import Runtime

    if threads != _threadpool_get_thread_count():
        _unsafe_reset_threadpool(threads)
    return Runtime.get().load_program(content)
