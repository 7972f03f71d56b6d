"""From raw maps a level to one row a prior."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rtmo_plugin.models.heads.rtmo_head_module import RawMaps
from rtmo_plugin.ops.geometry import decode_boxes, decode_keypoints, make_priors
from rtmo_plugin.structures import DensePredictions, Priors

# Priors by the shapes of the maps, their type and device: in training some ten sizes come again and again.
PriorCache = dict[tuple[tuple[tuple[int, int], ...], torch.dtype, torch.device], Priors]


def decode_dense(maps: RawMaps, strides: Sequence[int], cache: PriorCache | None = None) -> DensePredictions:
    """Flatten the raw maps level by level, row by row, and decode boxes and proxy keypoints.

    Geometry is computed in at least float32, whatever the precision of the convolutions; pose vectors
    keep theirs.  ``cache`` has priors from one step for the next.
    """
    shapes_hw = [(each.shape[2], each.shape[3]) for each in maps.class_logits]
    class_logits, box_deltas, visibility_logits = (
        _widen(_flatten(each)) for each in (maps.class_logits, maps.box_deltas, maps.visibility_logits)
    )
    key = (tuple(shapes_hw), box_deltas.dtype, box_deltas.device)
    priors = None if cache is None else cache.get(key)
    if priors is None:
        priors = make_priors(shapes_hw, strides, dtype=box_deltas.dtype, device=box_deltas.device)
    if cache is not None:
        cache[key] = priors
    proxy = None
    if maps.proxy_offsets:
        proxy = decode_keypoints(torch.unflatten(_widen(_flatten(maps.proxy_offsets)), -1, (-1, 2)), priors)
    return DensePredictions(
        priors=priors,
        class_logits=class_logits,
        box_deltas=box_deltas,
        boxes=decode_boxes(box_deltas, priors),
        visibility_logits=visibility_logits,
        pose_vectors=_flatten(maps.pose_vectors),
        proxy_keypoints=proxy,
    )


def _flatten(levels: Sequence[Tensor]) -> Tensor:
    """Turn (B, C, H, W) a level into (B, P, C)."""
    return torch.cat([each.flatten(2).transpose(1, 2) for each in levels], dim=1)


def _widen(values: Tensor) -> Tensor:
    """Return float32 for half precisions, other types as they are."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
