"""Optimizer wrappers that need not wait for the GPU, in full and in mixed precision on CPUs and GPUs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from rtmo_plugin.ops.host_copy import HostCopy
from rtmo_plugin.registry import OPTIM_WRAPPERS

_SLOW_BFLOAT16 = (
    "This processor computes in bfloat16 more slowly than in float32: train without --amp, which is faster here."
)
_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def has_fast_bfloat16() -> bool:
    """Whether this machine has a GPU, or a CPU that computes in bfloat16 (with AVX-512, AMX or on Arm)."""
    if get_device() != "cpu":
        return True
    has_kernels = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]  # torch has no types there
    return bool(has_kernels and torch.ops.mkldnn._is_mkldnn_bf16_supported())


@OPTIM_WRAPPERS.register_module(name="OptimWrapper")
class NoWaitOptimWrapper(OptimWrapper):
    """MMEngine's ``OptimWrapper``, which need not read the norm of the gradients before the next step begins.

    Args:
        **kwargs: Arguments of MMEngine's ``OptimWrapper``.

    Attributes:
        reads_late: Whether the norm of the gradients is logged one step late, so that nothing waits for the device.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reads_late = False
        self._last_norm: HostCopy | None = None

    def _clip_grad(self) -> None:
        """Clip the gradients and log their norm, of this step or of the one before."""
        if not self.reads_late:
            super()._clip_grad()
            return
        weights = [weight for group in self.optimizer.param_groups for weight in group["params"]]
        norm = self.clip_func([each for each in weights if each.grad is not None], **self.clip_grad_kwargs)
        if norm is None:  # of clipping by value
            return
        last, self._last_norm = self._last_norm, HostCopy(norm)
        self.message_hub.update_scalar(f"train/{self.grad_name}", (last or self._last_norm).read())


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(NoWaitOptimWrapper):
    """Run forward passes in half precision (``--amp`` of ``rtmo train``).

    MMEngine's ``AmpOptimWrapper`` refuses CPUs, where bfloat16 is twice as fast if the processor
    supports it.  bfloat16 has the range of float32 and needs no loss scaling.  float16 needs it, and its
    scaler has the same name in checkpoints as MMEngine's, so each wrapper can resume runs of the other.

    Args:
        dtype: ``"bfloat16"`` or ``"float16"``. Default: bfloat16 on CPUs and on GPUs that support it, else float16.
        loss_scale: Arguments of torch's ``GradScaler`` (float16 only).
        **kwargs: Arguments of MMEngine's ``OptimWrapper``.

    Raises:
        ValueError: The dtype is not supported, or it is float16 without a GPU.
    """

    def __init__(self, *, dtype: str | None = None, loss_scale: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._device_type = get_device()
        if dtype not in (None, *_DTYPES):
            raise ValueError(f"Mixed precision supports {' and '.join(_DTYPES)}, got dtype={dtype!r}.")
        if dtype == "float16" and self._device_type != "cuda":
            raise ValueError(f"float16 needs a GPU, and the device is {self._device_type}: choose dtype='bfloat16'.")
        has_bfloat16 = self._device_type != "cuda" or torch.cuda.is_bf16_supported()
        self.dtype = _DTYPES[dtype or ("bfloat16" if has_bfloat16 else "float16")]
        if self._device_type == "cpu" and not has_fast_bfloat16():
            print_log(_SLOW_BFLOAT16, logger="current", level=logging.WARNING)
        # torch 2.3 moved the scaler out of torch.cuda; a disabled one passes everything through.
        scaler_class = getattr(torch.amp, "GradScaler", torch.cuda.amp.GradScaler)
        self.loss_scaler = scaler_class(**(loss_scale or {}), enabled=self.dtype is torch.float16)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast the forward pass, in addition to what ``OptimWrapper`` does for accumulated gradients."""
        with super().optim_context(model), torch.autocast(self._device_type, dtype=self.dtype):
            yield

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Backpropagate the scaled loss."""
        super().backward(self.loss_scaler.scale(loss), **kwargs)

    def step(self, **kwargs: Any) -> None:
        """Update the parameters, unless a scaled gradient has overflowed."""
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
        """Load the state of this wrapper or of MMEngine's wrappers, with or without a scaler."""
        state = dict(state_dict)
        scaler_state = state.pop("loss_scaler", None)
        if scaler_state and self.loss_scaler.is_enabled():
            self.loss_scaler.load_state_dict(scaler_state)
        super().load_state_dict(state)
