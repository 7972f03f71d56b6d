"""The engine of OpenVINO, for its own files and for ONNX; the fastest one on CPUs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from rtmo_plugin.errors import ConfigError, DataError
from rtmo_plugin.runtime.engines.engine import make_weight_error, read_info
from rtmo_plugin.runtime.engines.onnx_weights import check_onnx_weights
from rtmo_plugin.runtime.engines.openvino_mixed import compile_mixed, is_divisible
from rtmo_plugin.runtime.engines.sibling_files import check_siblings

_PRECISIONS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
_NAMES = {name: precision for precision, name in _PRECISIONS.items()}
_AUTO = "auto"
_Network = Callable[[NDArray[Any]], list[NDArray[Any]]]
METADATA = ("framework",)  # where OpenVINO keeps an ONNX file's metadata, also in its own files


@cache
def get_core() -> Any:
    """Return the one OpenVINO of this process, which lives as long.

    Its CPU plugin gives the first thread a stack for signals and frees that memory with the last model,
    in whatever thread: the next signal, of a data loader's worker that ends, say, then ended the process.

    Its binding of NumPy is set up by the first array. Two threads that give it their first arrays at the same
    time wait for each other without end, so it gets one here.
    """
    openvino.Tensor(np.zeros(1, np.float32)).element_type.to_dtype()
    return openvino.Core()


class OpenVinoEngine:
    """An ONNX or OpenVINO file in OpenVINO.

    Args:
        path: Path of the ``.xml`` or ``.onnx`` file.
        device: Device by OpenVINO's name: ``"cpu"``, ``"gpu"``, ``"npu"``.
        threads: CPU threads. Default: all cores.
        precision: ``"float32"``; ``"bfloat16"`` or ``"float16"`` for most layers, see ``openvino_mixed``; or
            ``"auto"``: bfloat16 on CPUs that have it, where it is 1.5 times as fast, and float32 on others.
        streams: Number of batches that are computed side by side, each with its share of the threads.

    Raises:
        ConfigError: The device is not there, or the precision is unknown.
        DataError: The file cannot be read, or is not an RTMO model.
        NonFiniteError: A weight is NaN or infinite.
    """

    def __init__(
        self,
        path: Path,
        *,
        device: str = "cpu",
        threads: int | None = None,
        precision: str = _AUTO,
        streams: int = 1,
    ) -> None:
        if precision not in (_AUTO, *_PRECISIONS):
            raise ConfigError(f"The precision {precision} is unknown: choose {', '.join((_AUTO, *_PRECISIONS))}.")
        core = get_core()
        if device.upper().partition(".")[0] not in core.available_devices:
            raise ConfigError(
                f"The device {device} cannot be used: OpenVINO finds {', '.join(core.available_devices)}."
            )
        model = _read(core, path)
        self._names = [output.get_any_name() for output in model.outputs]
        shapes = {output.get_any_name(): _list_shape(output) for output in model.outputs}
        strings = model.get_rt_info(list(METADATA)).value if model.has_rt_info(list(METADATA)) else {}
        strings = {name: str(value) for name, value in strings.items()}
        self.info = read_info(path, strings, _list_shape(model.input(0)), shapes)
        if path.suffix.lower() == ".onnx":
            check_onnx_weights(path)
        else:
            check_siblings(path, strings)
            _check_constants(model, path)
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if streams > 1:
            settings = {"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": streams}
        if device.lower() == "cpu" and threads:
            settings["INFERENCE_NUM_THREADS"] = threads

        def compile_model(part: Any, name: str) -> Any:
            return core.compile_model(part, device.upper(), {**settings, "INFERENCE_PRECISION_HINT": name})

        hint = _PRECISIONS.get(precision, "f32")
        if precision == _AUTO and device.lower() == "cpu":
            own = core.get_property(device.upper(), "INFERENCE_PRECISION_HINT")
            hint = "bf16" if own == openvino.Type.bf16 else "f32"  # where the processor computes in it
        if hint == "f32" or not is_divisible(model):
            hint = "f32" if precision == _AUTO else hint
            make_network: Callable[[], _Network] = partial(_open_network, compile_model(model, hint))
            self.computes_in = self.info.precision if hint == "f32" else _NAMES[hint]
        else:
            make_network = compile_mixed(model, core, compile_model, hint)
            own = "" if self.info.precision == "float32" else f"{self.info.precision}, "
            self.computes_in = f"{own}{_NAMES[hint]} and float32"
        self.streams = streams
        self._idle: SimpleQueue[_Network] = SimpleQueue()
        for _ in range(streams):
            self._idle.put(make_network())

    def run(self, images: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Run a batch, see ``Engine``."""
        network = self._idle.get()
        try:
            return dict(zip(self._names, network(images)))
        finally:
            self._idle.put(network)


def _check_constants(model: Any, path: Path) -> None:
    """Check that the weights of an OpenVINO file are finite.

    Raises:
        NonFiniteError: One is NaN or infinite; the message names the operator.
    """
    for each in model.get_ops():
        is_number = each.get_type_name() == "Constant" and each.get_element_type().is_real()
        if is_number and not np.isfinite(each.data.astype(np.float32)).all():
            raise make_weight_error(path, each.get_friendly_name())


def _open_network(compiled: Any) -> _Network:
    """Return one that runs at the same time as others of the same compiled model."""
    request = compiled.create_infer_request()
    return lambda images: list(request.infer([images], share_inputs=True).values())


def _read(core: Any, path: Path) -> Any:
    """Read a file.

    Raises:
        DataError: It is damaged, or its weights are missing.
    """
    weights = path.with_suffix(".bin")
    if path.suffix.lower() == ".xml" and not weights.is_file():
        raise DataError(f"{path} cannot be read: its weights, {weights.name}, are not beside it.")
    try:
        return core.read_model(path)
    except RuntimeError as error:
        reason = [line.strip() for line in str(error).splitlines() if line.strip() and "Exception from" not in line]
        raise DataError(
            f"{path} cannot be read as a model: {(reason or ['it is damaged'])[-1].rstrip('.')}."
        ) from error


def _list_shape(port: Any) -> list[Any]:
    """Return a shape with names or None for what is dynamic."""
    return [dim.get_length() if dim.is_static else None for dim in port.partial_shape]
