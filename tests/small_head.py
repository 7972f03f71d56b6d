"""A head an eighth as wide as RTMO-l's, ours and MMPose's, and features that fit it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS as MMPOSE_MODELS
from mmpose.structures import PoseDataSample
from torch import Tensor, nn

from rtmo_plugin.models.heads import RTMOHead
from tests.oracle import load_official, make_samples, randomize

SIZE_WH = (128, 96)
LOSSES = ["loss_cls", "loss_bbox", "loss_oks", "loss_vis", "loss_mle", "loss_bbox_aux"]
WIDEN_FACTOR = 0.125
DCC = {"feat_channels": 16, "num_bins": (24, 32), "encoding_channels": 16, "attention_channels": 8}
_CHANNELS = 64  # of feature maps and pose vectors


def build_ours(seed: int = 0, **options: Any) -> RTMOHead:
    """Return our small head with random weights whose scores differ from prior to prior, in training mode."""
    torch.manual_seed(seed)
    head = RTMOHead(**{"widen_factor": WIDEN_FACTOR, **options, "dcc": {**DCC, **options.get("dcc", {})}})
    return randomize_head(head, seed)


def build_theirs(seed: int = 0, **options: Any) -> nn.Module:
    """Return MMPose's head of the same size, with ``options`` of its own instead of RTMO-s's."""
    init_default_scope("mmpose")
    config = load_official("rtmo-s_coco").model.head.to_dict()
    config["head_module_cfg"] |= {"widen_factor": WIDEN_FACTOR, "pose_vec_channels": _CHANNELS}
    config["dcc_cfg"] |= {"in_channels": _CHANNELS, "feat_channels": 16, "num_bins": (24, 32), "spe_channels": 16}
    config["dcc_cfg"]["gau_cfg"]["s"] = 8
    for name, value in options.items():
        config[name] = {**config[name], **value} if isinstance(config.get(name), dict) else value
    torch.manual_seed(seed)
    head = MMPOSE_MODELS.build(config)
    return randomize_head(head, seed)


def build_both(seed: int = 0, **our_options: Any) -> tuple[nn.Module, RTMOHead]:
    """Return MMPose's small head and ours with equal weights."""
    theirs, ours = build_theirs(seed), build_ours(seed, **our_options)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def randomize_head(head: Any, seed: int) -> Any:
    """Make scores differ and boxes overlap, and randomise what is neutral before training."""
    randomize(head, seed)
    for out_cls, out_bbox in zip(head.head_module.out_cls, head.head_module.out_bbox):
        nn.init.normal_(out_cls.weight)
        nn.init.constant_(out_cls.bias, -1.0)
        out_bbox.bias.data[2:] += 2.0
    return head.train()


def make_features(
    num_images: int = 2, size_wh: tuple[int, int] = SIZE_WH, seed: int = 0, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, ...]:
    """Return random feature maps of strides 16 and 32."""
    generator = torch.Generator().manual_seed(seed)
    width, height = size_wh
    return tuple(
        torch.randn(num_images, _CHANNELS, height // s, width // s, generator=generator, dtype=torch.float64).to(dtype)
        for s in (16, 32)
    )


def make_batch(
    counts: Sequence[int] = (3, 1), size_wh: tuple[int, int] = SIZE_WH, seed: int = 0, **options: Any
) -> tuple[tuple[Tensor, ...], list[PoseDataSample], list[PoseDataSample]]:
    """Return features and data samples with that many people; MMPose gets its own copy of the samples."""
    samples = make_samples(list(counts), 17, size_wh, seed, **options)
    return make_features(len(counts), size_wh, seed), samples, copy.deepcopy(samples)


def compute_gradients(head: nn.Module, losses: Mapping[str, Tensor]) -> dict[str, Tensor | None]:
    """Return name to gradient, None where a loss does not reach, of all parameters that are trained."""
    trained = {name: p for name, p in head.named_parameters() if p.requires_grad}
    total = sum(losses[name].sum() for name in losses if "loss" in name)
    return dict(zip(trained, torch.autograd.grad(total, list(trained.values()), allow_unused=True)))
