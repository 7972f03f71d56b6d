"""Parameters of a model, and its computation for one image."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode


@torch.no_grad()
def count_computation(model: Any, size_wh: tuple[int, int]) -> dict[str, float]:
    """Return millions of parameters, and GFLOPs (two for a multiplication and addition) for one image.

    Backbone, neck and the convolutions of the head are counted, which are the same for every image. The
    Dynamic Coordinate Classifier adds at most 0.01 GFLOPs per person.

    Args:
        model: RTMO model; it is in eval mode afterwards.
        size_wh: Width and height of the input in pixels.
    """
    width, height = size_wh
    model.eval()
    image = torch.zeros(1, 3, height, width, device=next(model.parameters()).device)
    with FlopCounterMode(display=False) as body:
        features = model.neck(model.backbone(image))
    with FlopCounterMode(display=False) as head:
        model.head.head_module(features)
    parameters = sum(each.numel() for each in model.parameters())
    flops = body.get_total_flops(), head.get_total_flops()
    return {"params M": parameters / 1e6, "GFLOPs": sum(flops) / 1e9, "head GFLOPs": flops[1] / 1e9}
