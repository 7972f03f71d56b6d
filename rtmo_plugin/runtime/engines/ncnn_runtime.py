"""ncnn, for phones and small boards: the head's maps of one image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ncnn
import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.errors import DataError
from rtmo_plugin.runtime.engines.engine import check_cpu, read_strings_beside
from rtmo_plugin.runtime.engines.sibling_files import check_siblings
from rtmo_plugin.runtime.model_info import OUTPUT_NAMES, ModelInfo

# pnnx numbers inputs and outputs.
_INPUT, _OUTPUT = "in0", "out{}"


class NcnnEngine:
    """An ncnn file.

    Args:
        path: Path of the ``.param`` file; ``.bin`` and ``.json`` are beside it.
        device: Device, which must be ``"cpu"``.
        threads: CPU threads. Default: as many as ncnn finds.
        precision: Precision, ``"auto"`` or ``"float32"``.

    Raises:
        ConfigError: Another device or precision.
        DataError: The file cannot be read, or is not an RTMO model.
    """

    streams = 1

    def __init__(self, path: Path, *, device: str = "cpu", threads: int | None = None, precision: str = "auto") -> None:
        check_cpu("ncnn", device, precision)
        strings = read_strings_beside(path)
        self.info = ModelInfo.from_strings(strings, str(path))
        self.computes_in = self.info.precision
        self._names = strings.get(OUTPUT_NAMES, "").split(",")
        self._network = ncnn.Net()
        if threads:
            self._network.opt.num_threads = threads
        for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
            setattr(self._network.opt, option, False)
        weights = path.with_suffix(".bin")
        if not weights.is_file():
            raise DataError(f"{path} cannot be read as a model of ncnn: {weights.name} is not there.")
        check_siblings(path.with_suffix(".json"), strings)
        if self._network.load_param(str(path)) or self._network.load_model(str(weights)):
            raise DataError(f"{path} cannot be read as a model of ncnn: it or {weights.name} is damaged.")

    def run(self, images: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Run a batch of one, see ``Engine``."""
        extractor = self._network.create_extractor()
        extractor.input(_INPUT, ncnn.Mat(np.ascontiguousarray(images[0])))
        outputs = (extractor.extract(_OUTPUT.format(index))[1] for index in range(len(self._names)))
        return {name: np.array(value)[None] for name, value in zip(self._names, outputs)}
