"""Channels-last weights: the same numbers up to rounding, from faster convolutions."""

from __future__ import annotations

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from rtmo_plugin.registry import HOOKS


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Keep the model's convolution weights in channels-last memory.

    A convolution with such weights takes maps in either format and returns channels-last ones, so
    that images need no conversion.  Shapes, state dicts and what checkpoints load stay as they are.
    https://pytorch.org/tutorials/intermediate/memory_format_tutorial.html
    """

    priority = "VERY_HIGH"  # before EMAHook copies the model

    def before_run(self, runner: Runner) -> None:
        """Convert the weights, before any checkpoint is read and any step is made."""
        runner.model.to(memory_format=torch.channels_last)
