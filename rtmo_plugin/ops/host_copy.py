"""Values of the device that are read on the host later, so that nothing waits for them now."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class HostCopy:
    """Copy of a tensor on its way to the host.

    On CUDA the copy is queued behind the work that computes the tensor, and goes to pinned memory. ``read`` waits for
    this copy alone, and not for work that was queued after it.

    Args:
        values: Tensor to copy; it may change afterwards.

    Examples:
        >>> HostCopy(torch.tensor([1.0, 2.0])).read()
        [1.0, 2.0]
    """

    def __init__(self, values: Tensor) -> None:
        self._event: Any = None
        if values.is_cuda:
            self._values = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self._values.copy_(values.detach(), non_blocking=True)
            self._event = torch.cuda.current_stream(values.device).record_event()
        else:
            self._values = values.detach().clone()

    def read(self) -> Any:
        """Return the values as numbers in nested lists, after the copy has arrived."""
        if self._event is not None:
            self._event.synchronize()
        return self._values.tolist()
