"""The engine of TensorRT's own files (.engine), which are built for one kind of GPU; PyTorch holds the memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import tensorrt
import torch
from numpy.typing import NDArray

from rtmo_plugin.errors import ConfigError, DataError
from rtmo_plugin.files import read_bytes
from rtmo_plugin.runtime.engines.engine import read_strings_beside
from rtmo_plugin.runtime.model_info import OUTPUT_NAMES, ModelInfo
from rtmo_plugin.runtime.trusted_files import check_trusted

_MAX_BYTES = 4 * 1024**3
_DTYPES = {"FLOAT": torch.float32, "HALF": torch.float16, "INT32": torch.int32, "INT64": torch.int64}


class TensorRtEngine:
    """A file that TensorRT built.

    Args:
        path: Path of the ``.engine`` file; ``.json`` is beside it.
        device: Device, ``"cuda"`` or ``"cuda:1"``.
        threads: CPU threads, which it does not use.
        precision: Precision, ``"auto"``, which is the file's own.
        trust: Whether the file may be opened though it was not exported here.

    Raises:
        ConfigError: The device is not an NVIDIA GPU or does not exist, the precision is another one, or the file is not
            trusted.
        DataError: The file cannot be read, or was built for another GPU or version of TensorRT.
    """

    streams = 1

    def __init__(
        self,
        path: Path,
        *,
        device: str = "cuda",
        threads: int | None = None,
        precision: str = "auto",
        trust: bool = False,
    ) -> None:
        if precision != "auto":
            raise ConfigError(f"{path} is built in one precision: leave out {precision}.")
        check_gpu(device, str(path))
        strings = read_strings_beside(path)
        self.info = ModelInfo.from_strings(strings, str(path))
        self.computes_in = self.info.precision
        self._names = strings.get(OUTPUT_NAMES, "").split(",")
        content = read_bytes(path, _MAX_BYTES)
        check_trusted(content, path, "TensorRT", is_trusted_now=trust)
        self._device, self._lock = torch.device(device), Lock()
        make_stream: Any = torch.cuda.Stream
        with torch.cuda.device(self._device):
            self._stream = make_stream()  # on the default one TensorRT waits more often
            runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.ERROR))
            self._engine = runtime.deserialize_cuda_engine(content)
            if self._engine is None:
                raise DataError(
                    f"{path} cannot be opened by TensorRT {tensorrt.__version__} on this GPU: it is damaged, or was "
                    "built for another GPU or version; export it again here."
                )
            self._context = self._engine.create_execution_context()
        tensors = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        if set(tensors) < set(self._names) or len(tensors) != len(self._names) + 1:
            raise DataError(f"{path} has the inputs and outputs {', '.join(tensors)}: its .json is of another file.")
        (self._input,) = set(tensors) - set(self._names)

    @torch.no_grad()
    def run(self, images: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Run a batch, see ``Engine``."""
        with self._lock, torch.cuda.stream(self._stream):
            given = torch.from_numpy(np.ascontiguousarray(images)).to(self._device)
            if not self._context.set_input_shape(self._input, tuple(given.shape)):
                raise ConfigError(f"The engine takes no batch of {len(images)} images: take a smaller one.")
            self._context.set_tensor_address(self._input, given.data_ptr())
            outputs = {name: self._allocate(name) for name in self._names}
            for name, values in outputs.items():
                self._context.set_tensor_address(name, values.data_ptr())
            if not self._context.execute_async_v3(self._stream.cuda_stream):
                raise DataError("TensorRT cannot run the engine; its messages above say why.")
            return {name: values.float().cpu().numpy() for name, values in outputs.items()}

    def _allocate(self, name: str) -> torch.Tensor:
        kind = self._engine.get_tensor_dtype(name).name
        return torch.empty(tuple(self._context.get_tensor_shape(name)), dtype=_DTYPES[kind], device=self._device)


def check_gpu(device: str, what: str) -> None:
    """Check that a device is an NVIDIA GPU that PyTorch can use.

    Args:
        device: Device in torch's notation.
        what: What needs it, for the message.

    Raises:
        ConfigError: It is not.
    """
    try:
        is_gpu = torch.device(device).type == "cuda" and torch.version.hip is None
        if is_gpu:
            torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        is_gpu = False
    if not is_gpu:
        raise ConfigError(f"{what} needs an NVIDIA GPU that PyTorch can use, and {device} is none here.")
