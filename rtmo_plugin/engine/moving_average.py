"""The moving average of a model's weights in two operators instead of two for each tensor."""

from __future__ import annotations

import math
from typing import Any

import torch
from mmengine.model import BaseAveragedModel
from torch import Tensor, nn

from rtmo_plugin.registry import MODELS


@MODELS.register_module()
class ForeachEMA(BaseAveragedModel):
    """Exponential moving average whose momentum falls from 1 to ``momentum``, as in YOLOX (arXiv 2107.08430).

    An average becomes ``(1 - m) average + m weight`` with ``m = (1 - momentum) exp(-(1 + steps) / gamma) + momentum``,
    as of MMPose 1.3's ``ExpMomentumEMA``, whose state dicts it reads and writes.  All tensors are averaged at
    once by torch's foreach operators, and nothing waits for the device.  Integer buffers, such as the batches that
    BatchNorm has counted, keep their values of the first update, and so do frozen weights and the buffers of frozen
    modules, which averaging would round.

    Args:
        model: Model whose weights are averaged.
        momentum: Weight of the model in the average after many steps.
        gamma: Number of steps in which the momentum falls by a factor e.
        interval: Steps between two updates.
        device: Device of the average. Default: that of the model.
        update_buffers: Whether floating-point buffers are averaged too, instead of copied.

    Raises:
        ValueError: A ``momentum`` outside 0..1 or a ``gamma`` that is not positive.
    """

    def __init__(
        self,
        model: nn.Module,
        momentum: float = 0.0002,
        gamma: int = 2000,
        interval: int = 1,
        device: torch.device | None = None,
        update_buffers: bool = False,
    ) -> None:
        super().__init__(model, interval, device, update_buffers)
        if not 0 < momentum < 1:
            raise ValueError(f"The momentum of a moving average is between 0 and 1, got {momentum}.")
        if not gamma > 0:
            raise ValueError(f"The gamma of a moving average is positive, got {gamma}.")
        self.momentum = momentum
        self.gamma = gamma
        self._num_updates: int | None = None  # as the buffer ``steps``, without a wait for the device
        self.register_load_state_dict_post_hook(_forget_updates)

    def avg_func(self, averaged_param: Tensor, source_param: Tensor, steps: int) -> None:
        """Average one tensor, as MMEngine's base class asks for; ``update_parameters`` averages all at once."""
        self._average([averaged_param], [source_param], steps)

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Update the average with the weights of ``model``."""
        if self._num_updates is None:
            self._num_updates = int(self.steps)
        averages, sources = _list_tensors(self.module, self.update_buffers), _list_tensors(model, self.update_buffers)
        if self._num_updates == 0:
            torch._foreach_copy_(averages, sources)
        elif self._num_updates % self.interval == 0:
            frozen = _find_frozen(model)
            moving = [(a, s) for a, s in zip(averages, sources) if a.is_floating_point() and s not in frozen]
            pairs = [(average, source.to(average.device)) for average, source in moving]
            self._average([average for average, _ in pairs], [source for _, source in pairs], self._num_updates)
        if not self.update_buffers and (buffers := list(self.module.buffers())):
            torch._foreach_copy_(buffers, list(model.buffers()))
        self._num_updates += 1
        self.steps += 1

    def _average(self, averages: list[Tensor], sources: list[Tensor], steps: int) -> None:
        momentum = (1 - self.momentum) * math.exp(-float(1 + steps) / self.gamma) + self.momentum
        torch._foreach_mul_(averages, 1 - momentum)
        torch._foreach_add_(averages, sources, alpha=momentum)


def _forget_updates(average: ForeachEMA, _: Any) -> None:
    average._num_updates = None


def _list_tensors(model: nn.Module, with_buffers: bool) -> list[Tensor]:
    """Return the parameters of a model, and with them the buffers that its state dict has."""
    tensors: list[Tensor] = list(model.parameters())
    if with_buffers:
        for module in model.modules():
            absent = module._non_persistent_buffers_set
            tensors += [each for name, each in module._buffers.items() if each is not None and name not in absent]
    return tensors


def _find_frozen(model: nn.Module) -> set[Tensor]:
    """Return the weights without gradients, and the buffers of modules that have only such ones and do not train."""
    frozen: set[Tensor] = {each for each in model.parameters() if not each.requires_grad}
    for module in model.modules() if frozen else ():
        own = list(module.parameters(recurse=False))
        if own and not module.training and frozen.issuperset(own):
            frozen.update(module.buffers(recurse=False))
    return frozen
