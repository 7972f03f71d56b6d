"""HybridEncoder, RTMO's neck (RT-DETR, arXiv 2304.08069, section 4.2; RTMO, arXiv 2312.07526, section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule, ModuleList
from torch import Tensor

from rtmo_plugin.models.layers.csp import CSPRepLayer
from rtmo_plugin.models.layers.encoder import MapEncoder
from rtmo_plugin.models.layers.projector import LevelProjector
from rtmo_plugin.models.layers.pyramid import (
    LEVELS,
    check_features,
    check_levels,
    fuse_bottom_up,
    fuse_top_down,
    resolve_channels,
)
from rtmo_plugin.registry import MODELS

_BATCH_NORM = {"type": "BN"}
_SILU = {"type": "SiLU", "inplace": False}  # in place, autograd would copy the map first
# A buffer of MMPose's neck that follows from the temperature, so that nothing here stores it.
_UPSTREAM_BUFFER = "sincos_pos_enc.dim_t"


@MODELS.register_module()
class HybridEncoder(BaseModule):
    """Attention on the coarsest map, then a top-down and a bottom-up way through the pyramid.

    ``h`` hidden channels everywhere inside, ``H x W`` the image, ``o`` output channels::

        P3 (256w, H/8,  W/8)  -> input_proj --------------------> fpn --------> pan P3 -> [projector]
                                                                  ^ |            |
                                                        upsample  | lateral      | downsample
                                                                  |              v
        P4 (512w, H/16, W/16) -> input_proj ---------> fpn --> lateral -------> pan P4 -> projector -> (o, H/16, W/16)
                                                       ^ |                       |
                                             upsample  | lateral                 | downsample
                                                       |                         v
        P5 (1024w, H/32, W/32) -> input_proj -> encoder -> lateral -----------> pan P5 -> projector -> (o, H/32, W/32)

    Numbers, state dict and order of parameters are those of MMPose 1.3's class of this name as its
    RTMO configs set it up; its buffer ``sincos_pos_enc.dim_t`` is dropped on load.  Blocks that only
    a level above the last output would use are not built.

    Args:
        widen_factor: w, width of the backbone and of the RepVGG blocks.
        deepen_factor: Each CSP layer has ``round(3 * deepen_factor)`` blocks.
        in_channels: Channels of P3, P4 and P5; by default those of a CSPDarknet of width w.
        hidden_channels: h, a multiple of 4 and of ``num_heads``.
        out_channels: o; 512w by default.
        out_levels: Levels to return, out of 3, 4 and 5.
        encoder_levels: Levels whose cells attend to each other; may be empty.
        num_encoder_layers: Transformer layers on each of them.
        num_heads: Attention heads.
        ffn_channels: Hidden width of the feed-forward networks.
        dropout: Probability to drop in the transformer.
        temperature: Ratio of the slowest to the fastest period of the position encoding.
        norm_cfg: Norm of every convolution; BatchNorm by default.
        act_cfg: Activation of every convolution that has one.
        init_cfg: Initialization beyond the layers' own.

    Raises:
        ValueError: Not three ``in_channels``, an unknown or repeated level, no output level, or
            hidden channels that do not divide among heads.
    """

    def __init__(  # noqa: PLR0913  (the schema of a config: every field has a default)
        self,
        widen_factor: float = 1.0,
        deepen_factor: float = 1.0,
        *,
        in_channels: Sequence[int] | None = None,
        hidden_channels: int = 256,
        out_channels: int | None = None,
        out_levels: Sequence[int] = (4, 5),
        encoder_levels: Sequence[int] = (5,),
        num_encoder_layers: int = 1,
        num_heads: int = 8,
        ffn_channels: int = 1024,
        dropout: float = 0.0,
        temperature: float = 10000,
        norm_cfg: dict[str, Any] | None = _BATCH_NORM,
        act_cfg: dict[str, Any] = _SILU,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels = resolve_channels(in_channels, widen_factor)
        self.encoder_levels = check_levels("encoder_levels", encoder_levels)
        self.out_levels = check_levels("out_levels", out_levels, required=True)
        hidden, depth, steps_up = hidden_channels, round(3 * deepen_factor), LEVELS.index(self.out_levels[-1])
        cfgs: dict[str, Any] = {"norm_cfg": norm_cfg, "act_cfg": act_cfg}
        conv = partial(ConvModule, hidden, hidden, **cfgs)
        csp = partial(CSPRepLayer, 2 * hidden, hidden, num_blocks=depth, expansion=widen_factor, **cfgs)
        encoder = partial(MapEncoder, hidden, num_encoder_layers, num_heads, ffn_channels, dropout, temperature)
        # The order of these lines is the order of the parameters in optimizer states.
        self.input_proj = ModuleList(
            ConvModule(c, hidden, 1, norm_cfg=norm_cfg, act_cfg=None) for c in self.in_channels
        )
        self.encoder = ModuleList(encoder() for _ in self.encoder_levels)
        self.lateral_convs = ModuleList(conv(kernel_size=1) for _ in range(2))
        self.fpn_blocks = ModuleList(csp() for _ in range(2))
        self.downsample_convs = ModuleList(conv(kernel_size=3, stride=2, padding=1) for _ in range(steps_up))
        self.pan_blocks = ModuleList(csp() for _ in range(steps_up))
        out_channels = int(512 * widen_factor) if out_channels is None else out_channels
        self.projector = LevelProjector(len(self.out_levels), hidden, out_channels, norm_cfg)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Fuse the maps of the backbone.

        Args:
            features: P3, P4, P5: (B, in_channels[i], H/8, W/8), then half and a quarter of that;
                H and W are multiples of 32.

        Returns:
            One (B, o, H / 2^level, W / 2^level) map for each of ``out_levels``.

        Raises:
            ValueError: Another number of maps, other channels, or sizes that do not halve.
        """
        check_features(features, self.in_channels)
        maps = [project(feature) for project, feature in zip(self.input_proj, features)]
        for level, encoder in zip(self.encoder_levels, self.encoder):
            index = LEVELS.index(level)
            maps[index] = encoder(maps[index])
        maps = fuse_top_down(maps, self.lateral_convs, self.fpn_blocks)
        maps = fuse_bottom_up(maps, self.downsample_convs, self.pan_blocks)
        projected: tuple[Tensor, ...] = self.projector([maps[LEVELS.index(level)] for level in self.out_levels])
        return projected

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Load without a word on MMPose's buffer; PyTorch and MMEngine pass a copy of the state dict."""
        state_dict.pop(prefix + _UPSTREAM_BUFFER, None)
        super()._load_from_state_dict(state_dict, prefix, *args)
