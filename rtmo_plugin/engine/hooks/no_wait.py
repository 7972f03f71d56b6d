"""A training step that does not wait for the GPU: what it reports is read one step late."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from rtmo_plugin.data.batch_slots import pin_slots
from rtmo_plugin.data.preprocessor import PackedDataPreprocessor
from rtmo_plugin.engine.optim_wrapper import NoWaitOptimWrapper
from rtmo_plugin.models.heads.loss_check import LateLossCheck, LossCheck
from rtmo_plugin.ops.host_copy import HostCopy
from rtmo_plugin.registry import HOOKS


@HOOKS.register_module()
class NoWaitHook(Hook):
    """Let the host prepare a step while the GPU still works on the one before.

    Losses and, with our optimizer wrappers, the norm of the gradients are logged one step late; the first step's are
    logged twice. A loss that is not finite stops the run when the next step begins, or before a checkpoint or a
    validation (see ``LateLossCheck``). Packed batches are copied beside the step before, from where the data loader's
    workers wrote them (``pin_slots``). Weights are those of a run without this hook. ``rtmo train`` adds it on GPUs.

    Args:
        device_types: Types of devices on which the hook acts. On CPUs there is nothing to wait for.
    """

    priority = "HIGHEST"  # before RuntimeInfoHook, which reads the losses of a step

    def __init__(self, device_types: tuple[str, ...] = ("cuda",)) -> None:
        self._device_types = tuple(device_types)
        self._is_active = False
        self._last: tuple[list[str], HostCopy] | None = None

    def before_train(self, runner: Runner) -> None:
        """Let the parts of the run read late that can."""
        model: Any = getattr(runner.model, "module", runner.model)
        self._is_active = next(model.parameters()).device.type in self._device_types
        if not self._is_active:
            return
        head: Any = getattr(model, "head", None)
        if isinstance(getattr(head, "loss_check", None), LossCheck):
            head.loss_check = LateLossCheck()
        if isinstance(runner.optim_wrapper, NoWaitOptimWrapper):
            runner.optim_wrapper.reads_late = True
        if isinstance(model.data_preprocessor, PackedDataPreprocessor):
            model.data_preprocessor.copies_aside = True
            if torch.cuda.is_available():
                pin_slots()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Replace the losses of this step by those of the step before, which are numbers on the host, in place."""
        if not self._is_active or not outputs or not all(isinstance(each, Tensor) for each in outputs.values()):
            return
        last, self._last = self._last, (list(outputs), HostCopy(torch.stack([*outputs.values()]).float()))
        names, values = last or self._last
        outputs.clear()
        outputs.update(zip(names, values.read()))
