"""YOLOXPosePAFPN, the neck of YOLOX-Pose: all convolution, for comparison and for small devices (arXiv 2107.08430)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from rtmo_plugin.models.layers.csp import CSPLayer
from rtmo_plugin.models.layers.pyramid import (
    LEVELS,
    check_features,
    check_levels,
    fuse_bottom_up,
    fuse_top_down,
    resolve_channels,
)
from rtmo_plugin.registry import MODELS

_BATCH_NORM = {"type": "BN", "momentum": 0.03, "eps": 0.001}
_SILU = {"type": "SiLU", "inplace": False}  # in place, autograd would copy the map first
# The default of PyTorch's convolutions, which YOLOX keeps.
_KAIMING = {
    "type": "Kaiming",
    "layer": "Conv2d",
    "a": math.sqrt(5),
    "distribution": "uniform",
    "mode": "fan_in",
    "nonlinearity": "leaky_relu",
}


@MODELS.register_module()
class YOLOXPosePAFPN(BaseModule):
    """A top-down and a bottom-up way through the pyramid.

    ``c3, c4, c5`` input channels, ``H x W`` the image, ``o`` output channels::

        P3 (c3, H/8,  W/8)  -----------------------> top_down --> P3 -> [out_conv]
                                                      ^ |          |
                                            upsample  | reduce     | downsample
                                                      |            v
        P4 (c4, H/16, W/16) ---------> top_down --> reduce -----> bottom_up P4 -> out_conv -> (o, H/16, W/16)
                                        ^ |                        |
                              upsample  | reduce                   | downsample
                                        |                          v
        P5 (c5, H/32, W/32) ---------> reduce ------------------> bottom_up P5 -> out_conv -> (o, H/32, W/32)

    With all three levels out, numbers, state dict and order of parameters are those of MMPose 1.3's
    ``YOLOXPAFPN``.  Blocks that only a level above the last output would use are not built.

    Args:
        widen_factor: Width of the backbone.
        deepen_factor: Each CSP layer has ``round(3 * deepen_factor)`` bottlenecks.
        in_channels: c3, c4, c5; by default those of a CSPDarknet of that width.
        out_channels: o; ``512 * widen_factor`` by default.
        out_levels: Levels to return, out of 3, 4 and 5.
        norm_cfg: Norm of every convolution; by default BatchNorm with momentum 0.03 and eps 0.001.
        act_cfg: Activation of every convolution.
        init_cfg: Initialization; Kaiming-uniform convolutions by default.

    Raises:
        ValueError: Not three ``in_channels``, an unknown or repeated level, or no output level.
    """

    def __init__(
        self,
        widen_factor: float = 1.0,
        deepen_factor: float = 1.0,
        *,
        in_channels: Sequence[int] | None = None,
        out_channels: int | None = None,
        out_levels: Sequence[int] = (4, 5),
        norm_cfg: dict[str, Any] | None = _BATCH_NORM,
        act_cfg: dict[str, Any] = _SILU,
        init_cfg: dict[str, Any] | None = _KAIMING,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels = resolve_channels(in_channels, widen_factor)
        self.out_levels = check_levels("out_levels", out_levels, required=True)
        out_channels = int(512 * widen_factor) if out_channels is None else out_channels
        cfgs: dict[str, Any] = {"norm_cfg": norm_cfg, "act_cfg": act_cfg}
        conv = partial(ConvModule, **cfgs)
        csp: Callable[..., CSPLayer] = partial(CSPLayer, num_blocks=round(3 * deepen_factor), **cfgs)
        steps = list(pairwise(self.in_channels))  # (fine, coarse) channels
        steps_up = steps[: LEVELS.index(self.out_levels[-1])]
        # The order of these lines is the order of the parameters in optimizer states; the plain
        # lists stop MMEngine's init_weights, so that every convolution keeps what init_cfg gave it.
        self.reduce_layers = nn.ModuleList(conv(coarse, fine, 1) for fine, coarse in reversed(steps))
        self.top_down_blocks = nn.ModuleList(csp(2 * fine, fine) for fine, _ in reversed(steps))
        self.downsamples = nn.ModuleList(conv(fine, fine, 3, stride=2, padding=1) for fine, _ in steps_up)
        self.bottom_up_blocks = nn.ModuleList(csp(2 * fine, coarse) for fine, coarse in steps_up)
        self.out_convs = nn.ModuleList(
            conv(self.in_channels[LEVELS.index(level)], out_channels, 1) for level in self.out_levels
        )

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Fuse the maps of the backbone.

        Args:
            features: P3, P4, P5: (B, c3, H/8, W/8), then half and a quarter of that size; H and W
                are multiples of 32.

        Returns:
            One (B, o, H / 2^level, W / 2^level) map for each of ``out_levels``.

        Raises:
            ValueError: Another number of maps, other channels, or sizes that do not halve.
        """
        check_features(features, self.in_channels)
        maps = fuse_top_down(features, self.reduce_layers, self.top_down_blocks)
        maps = fuse_bottom_up(maps, self.downsamples, self.bottom_up_blocks)
        chosen = [maps[LEVELS.index(level)] for level in self.out_levels]
        return tuple(conv(feature) for conv, feature in zip(self.out_convs, chosen))
