"""A session of ONNX Runtime whose input has a buffer on the device, instead of new memory for each batch.

https://onnxruntime.ai/docs/performance/tune-performance/iobinding.html
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray


class BoundSession:
    """Runs a session with one input; each thread that calls it has a buffer of its own.

    Args:
        session: Session of ONNX Runtime.
        device: Device that computes: ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.
    """

    def __init__(self, session: onnxruntime.InferenceSession, device: str) -> None:
        kind, _, number = device.partition(":")
        self._session = session
        self._device = kind, int(number or 0)
        self._input_name = session.get_inputs()[0].name
        self._output_names = [each.name for each in session.get_outputs()]
        self._of_thread = threading.local()

    def run(self, images: NDArray[Any]) -> list[NDArray[Any]]:
        """Return the outputs of a batch, in memory of the host, in the session's order.

        Args:
            images: Input of any shape that the session takes; another shape than that of the batch before costs a new
                buffer.
        """
        binding, buffer = self._get_binding(images)
        buffer.update_inplace(np.ascontiguousarray(images))
        binding.clear_binding_outputs()  # as many people as in the batch before would be expected again
        for name in self._output_names:
            binding.bind_output(name, "cpu")
        self._session.run_with_iobinding(binding)
        outputs: list[NDArray[Any]] = binding.copy_outputs_to_cpu()
        return outputs

    def _get_binding(self, images: NDArray[Any]) -> tuple[Any, Any]:
        """Return the binding and the input buffer of this thread for batches of this shape and type."""
        key = images.shape, images.dtype
        if getattr(self._of_thread, "key", None) != key:
            binding = self._session.io_binding()
            buffer = onnxruntime.OrtValue.ortvalue_from_shape_and_type(
                [*images.shape], images.dtype.type, *self._device
            )
            binding.bind_ortvalue_input(self._input_name, buffer)
            self._of_thread.key, self._of_thread.bound = key, (binding, buffer)
        bound: tuple[Any, Any] = self._of_thread.bound
        return bound
