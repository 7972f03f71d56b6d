"""Channels-last weights, for faster convolutions with the same results up to rounding."""

from __future__ import annotations

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from rtmo_plugin.registry import HOOKS

CHANNELS_LAST_HOOK = "rtmo_plugin.ChannelsLastHook"


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Store the model's convolution weights in channels-last memory format.

    A convolution with such weights takes maps in either format and returns channels-last ones, so
    images need no conversion.  Shapes, state dicts and checkpoints do not change.
    https://pytorch.org/tutorials/intermediate/memory_format_tutorial.html
    """

    priority = "VERY_HIGH"  # before EMAHook copies the model

    def before_run(self, runner: Runner) -> None:
        """Convert the weights, before a checkpoint is loaded and before the first step."""
        runner.model.to(memory_format=torch.channels_last)
