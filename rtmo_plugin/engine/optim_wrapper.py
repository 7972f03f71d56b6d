"""Mixed-precision training on CPUs as well as GPUs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from rtmo_plugin.registry import OPTIM_WRAPPERS

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """Run forward passes in half precision: what ``tools/train.py --amp`` switches on.

    MMEngine's ``AmpOptimWrapper`` refuses CPUs, where bfloat16 is twice as fast if the processor
    has it.  bfloat16 keeps the range of float32 and needs no loss scaling; float16 does, and its
    scaler is kept in checkpoints under the same name as MMEngine's, so that either wrapper resumes
    the other.

    Args:
        dtype: ``"bfloat16"`` or ``"float16"``. Default: bfloat16 on CPUs and on GPUs that have it, float16 on others.
        loss_scale: Arguments of torch's ``GradScaler``, for float16.
        **kwargs: Arguments of MMEngine's ``OptimWrapper``.

    Raises:
        ValueError: Another dtype, or float16 without a GPU.
    """

    def __init__(self, *, dtype: str | None = None, loss_scale: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._device_type = get_device()
        self.dtype = _DTYPES[self._choose_dtype(dtype)]
        # Since torch 2.3 the scaler is no longer CUDA's own; a disabled one passes everything through.
        scaler_class = getattr(torch.amp, "GradScaler", torch.cuda.amp.GradScaler)
        self.loss_scaler = scaler_class(**(loss_scale or {}), enabled=self.dtype is torch.float16)

    def _choose_dtype(self, dtype: str | None) -> str:
        if dtype not in (None, *_DTYPES):
            raise ValueError(f"Mixed precision knows {' and '.join(_DTYPES)}, got dtype={dtype!r}.")
        if dtype == "float16" and self._device_type != "cuda":
            raise ValueError(f"float16 needs a GPU, and this is a {self._device_type}: choose dtype='bfloat16'.")
        has_bfloat16 = self._device_type != "cuda" or torch.cuda.is_bf16_supported()
        return dtype or ("bfloat16" if has_bfloat16 else "float16")

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast the forward pass, besides what ``OptimWrapper`` does for accumulated gradients."""
        with super().optim_context(model), torch.autocast(self._device_type, dtype=self.dtype):
            yield

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Propagate the scaled loss."""
        super().backward(self.loss_scaler.scale(loss), **kwargs)

    def step(self, **kwargs: Any) -> None:
        """Update the parameters, unless a scaled gradient overflowed."""
        if self.clip_grad_kwargs:
            self.loss_scaler.unscale_(self.optimizer)
            self._clip_grad()
        self.loss_scaler.step(self.optimizer, **kwargs)
        self.loss_scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """Return the optimizer's state, and the scaler's if there is one."""
        state = super().state_dict()
        return {**state, "loss_scaler": self.loss_scaler.state_dict()} if self.loss_scaler.is_enabled() else state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state of this wrapper or of another, with or without a scaler."""
        state = dict(state_dict)
        scaler_state = state.pop("loss_scaler", None)
        if scaler_state and self.loss_scaler.is_enabled():
            self.loss_scaler.load_state_dict(scaler_state)
        super().load_state_dict(state)
