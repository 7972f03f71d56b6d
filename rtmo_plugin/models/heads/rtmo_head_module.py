"""The convolutions of the head: feature maps in, raw maps out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule, bias_init_with_prob
from torch import Tensor, nn

from rtmo_plugin.models.layers.precision import FullPrecisionConv2d

# Share of positives that the class scores start from, so that the first steps are calm.
_PRIOR_PROBABILITY = 0.01
_NORM = {"type": "BN", "momentum": 0.03, "eps": 0.001}
_ACT = {"type": "SiLU", "inplace": False}  # in place, autograd would copy the map first


class RawMaps(NamedTuple):
    """What the convolutions give, a list over levels each; offsets and sizes in strides."""

    class_logits: list[Tensor]  # (B, C, H, W)
    box_deltas: list[Tensor]  # (B, 4, H, W)
    visibility_logits: list[Tensor]  # (B, K, H, W)
    pose_vectors: list[Tensor]  # (B, D, H, W)
    proxy_offsets: list[Tensor]  # (B, 2 K, H, W), empty unless asked for


class RTMOHeadModule(BaseModule):
    """Two branches a level: half of the input channels to the class, half to box and pose.

         feature map (B, 2 F, H, W)
            |                 |
        conv_cls x 2      conv_pose x 4 (grouped but for the first)
            |                 |
         out_cls     out_bbox, out_kpt_vis, out_pose, out_kpt_reg (the proxy, in training)

    Paper (arXiv 2312.07526), section 3.1.  In mixed precision the outputs but for the wide ``out_pose`` are
    computed in full.

    Args:
        num_classes: C.
        num_keypoints: K.
        num_levels: Feature maps.
        widen_factor: Scales all widths but those of the outputs.
        in_channels: F, half of the feature maps' channels; 256 x widen_factor by default.
        feat_channels: Width of the class branch before scaling.
        stacked_convs: Convolutions in the class branch; the pose branch has twice as many.
        num_groups: Groups of the pose branch's convolutions.
        channels_per_group: Width of each group before scaling.
        pose_channels: D, width of the pose vectors; 512 x widen_factor by default.
        norm_cfg: Normalization, as in mmcv.
        act_cfg: Activation, as in mmcv.
    """

    def __init__(  # noqa: PLR0913  (the schema of a config: every field has a default)
        self,
        *,
        num_classes: int,
        num_keypoints: int,
        num_levels: int = 2,
        widen_factor: float = 1.0,
        in_channels: int | None = None,
        feat_channels: int = 256,
        stacked_convs: int = 2,
        num_groups: int = 8,
        channels_per_group: int = 36,
        pose_channels: int | None = None,
        norm_cfg: dict[str, Any] | None = None,
        act_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels or int(256 * widen_factor)
        self.pose_channels = pose_channels or int(512 * widen_factor)
        cls_channels = int(feat_channels * widen_factor)
        pose_width = num_groups * int(channels_per_group * widen_factor)
        layer_cfg = {"norm_cfg": norm_cfg or _NORM, "act_cfg": act_cfg or _ACT}

        def stack(width: int, depth: int, groups: int) -> nn.ModuleList:
            """Build a stack of 3 x 3 convolutions a level; only the first one mixes all channels."""
            groups_of = [1] + [groups] * (depth - 1)
            widths = [self.in_channels] + [width] * (depth - 1)
            return nn.ModuleList(
                nn.Sequential(
                    *(ConvModule(c, width, 3, padding=1, groups=g, **layer_cfg) for c, g in zip(widths, groups_of))
                )
                for _ in range(num_levels)
            )

        def output(width: int, channels: int, conv: type[nn.Conv2d] = FullPrecisionConv2d) -> nn.ModuleList:
            """Build a 1 x 1 convolution a level."""
            return nn.ModuleList(conv(width, channels, 1) for _ in range(num_levels))

        self.conv_cls = stack(cls_channels, stacked_convs, groups=1)
        self.out_cls = output(cls_channels, num_classes)
        self.conv_pose = stack(pose_width, 2 * stacked_convs, num_groups)
        self.out_bbox = output(pose_width, 4)
        self.out_kpt_reg = output(pose_width, 2 * num_keypoints)
        self.out_kpt_vis = output(pose_width, num_keypoints)
        self.out_pose = output(pose_width, self.pose_channels, conv=nn.Conv2d)

    def init_weights(self) -> None:
        """Initialize as configured, then start the class scores low."""
        super().init_weights()
        for conv in self.out_cls:
            nn.init.constant_(conv.get_parameter("bias"), bias_init_with_prob(_PRIOR_PROBABILITY))

    def forward(self, feats: Sequence[Tensor], *, with_proxy: bool = False) -> RawMaps:
        """Predict at every cell.

        Args:
            feats: (B, 2 F, H, W) a level.
            with_proxy: Predict the proxy keypoints too; only training needs them.

        Returns:
            Raw maps.

        Raises:
            ValueError: Not as many feature maps as levels, or of other widths.
        """
        if len(feats) != len(self.out_cls) or any(f.shape[1] != 2 * self.in_channels for f in feats):
            raise ValueError(
                f"The head wants {len(self.out_cls)} feature maps of {2 * self.in_channels} channels, "
                f"got channels {[f.shape[1] for f in feats]}: check the neck's out_levels and out_channels."
            )
        maps = RawMaps([], [], [], [], [])
        for level, feat in enumerate(feats):
            cls_feat, pose_feat = feat.chunk(2, dim=1)
            cls_feat, pose_feat = self.conv_cls[level](cls_feat), self.conv_pose[level](pose_feat)
            maps.class_logits.append(self.out_cls[level](cls_feat))
            maps.box_deltas.append(self.out_bbox[level](pose_feat))
            maps.visibility_logits.append(self.out_kpt_vis[level](pose_feat))
            maps.pose_vectors.append(self.out_pose[level](pose_feat))
            if with_proxy:
                maps.proxy_offsets.append(self.out_kpt_reg[level](pose_feat))
        return maps
