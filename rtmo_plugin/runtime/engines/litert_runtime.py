"""The engine of LiteRT (TensorFlow Lite), the runtime of Android, for one image of one size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from rtmo_plugin.errors import DataError
from rtmo_plugin.runtime.engines.appended_metadata import read_model
from rtmo_plugin.runtime.engines.engine import check_cpu, count_cores, read_info
from rtmo_plugin.silence import drop_stderr


class LiteRtEngine:
    """A LiteRT file, computed by its kernels for CPUs (XNNPACK).

    Args:
        path: Path of the ``.tflite`` file.
        device: Device, which must be ``"cpu"``.
        threads: CPU threads. Default: all cores.
        precision: Precision, ``"auto"`` or ``"float32"``; both are the file's own.

    Raises:
        ConfigError: Another device or precision.
        DataError: The file cannot be read, or is not an RTMO model.
    """

    streams = 1

    def __init__(self, path: Path, *, device: str = "cpu", threads: int | None = None, precision: str = "auto") -> None:
        check_cpu("LiteRT", device, precision)
        content, strings = read_model(path)
        try:
            with drop_stderr():  # a note on its kernels, and a line for each error
                self._interpreter = Interpreter(model_content=content, num_threads=threads or count_cores())
                self._interpreter.allocate_tensors()
                (signature,) = self._interpreter.get_signature_list().values()
                self._runner = self._interpreter.get_signature_runner()
            (self._input_name,) = signature["inputs"]
        except (ValueError, RuntimeError) as error:
            reason = str(error).strip().splitlines() or ["it is damaged"]
            raise DataError(f"{path} cannot be read as a model of LiteRT: {reason[0].rstrip('.')}.") from error
        shape = self._runner.get_input_details()[self._input_name]["shape"].tolist()
        shapes = {name: each["shape"].tolist() for name, each in self._runner.get_output_details().items()}
        self.info = read_info(path, strings, shape, shapes)
        self.computes_in = self.info.precision
        self._lock = Lock()  # an interpreter has one set of buffers

    def run(self, images: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Run a batch of one, see ``Engine``."""
        with self._lock:
            outputs: dict[str, NDArray[Any]] = self._runner(**{self._input_name: images})
        return outputs
