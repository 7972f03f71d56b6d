"""SimOTA's two pure parts: which priors are candidates for a person, and which are chosen.

After Ge et al., YOLOX (arXiv 2107.08430), section 2.3.  Batched over images and padded people; no
loop over people and no wait for the device.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rtmo_plugin.structures import Priors


def find_candidates(
    priors: Priors, boxes_xyxy: Tensor, centers: Tensor, is_person: Tensor, radius: float
) -> tuple[Tensor, Tensor]:
    """Find the priors inside people's boxes and inside the squares around their centers.

    Args:
        priors: Priors of all feature maps, P of them.
        boxes_xyxy: (B, G, 4).
        centers: (B, G, 2) middle of each person's square.
        is_person: (B, G) False in the padding.
        radius: Half the side of the square, in strides of the prior.

    Returns:
        (B, P) True where a prior is inside any box or any square of its image, and
        (B, P, G) True where it is inside that person's box and square both.
    """
    position = priors.centers[:, None]  # (P, 1, 2)
    from_corners = torch.cat([position - boxes_xyxy[:, None, :, :2], boxes_xyxy[:, None, :, 2:] - position], dim=-1)
    reach = radius * priors.strides[:, None, None]
    is_in_box = (from_corners.amin(dim=-1) > 0) & is_person[:, None]
    low, high = centers[:, None] - reach, centers[:, None] + reach
    is_in_square = ((position > low) & (position < high)).all(dim=-1) & is_person[:, None]
    return (is_in_box | is_in_square).any(dim=-1), is_in_box & is_in_square


def match_dynamic_k(costs: Tensor, quality: Tensor, is_candidate: Tensor, is_person: Tensor, top_k: int) -> Tensor:
    """Give each person its k cheapest candidates, k being the sum of its best qualities.

    A prior claimed by several people goes to the person for whom it is cheapest of all.

    Args:
        costs: (B, P, G) the lower the better.
        quality: (B, P, G) in 0..1.
        is_candidate: (B, P) priors that may be chosen.
        is_person: (B, G) False in the padding.
        top_k: Largest number of qualities that are summed, best first.

    Returns:
        (B, P) index of the person each prior is matched with, -1 for none.
    """
    if costs.shape[2] == 0:
        return torch.full(costs.shape[:2], -1, dtype=torch.long, device=costs.device)
    is_pair = is_candidate[..., None] & is_person[:, None]
    costs = costs.masked_fill(~is_pair, torch.inf)
    top_k = min(top_k, costs.shape[1])
    best = quality.masked_fill(~is_pair, 0).topk(top_k, dim=1).values
    k = best.sum(dim=1).long().clamp(min=1)  # (B, G)
    cheapest = costs.topk(top_k, dim=1, largest=False)
    is_within_k = torch.arange(top_k, device=costs.device)[:, None] < k[:, None]
    is_claimed = torch.zeros_like(is_pair).scatter(1, cheapest.indices, is_within_k & cheapest.values.isfinite())
    num_claims = is_claimed.sum(dim=-1)
    claimant = is_claimed.int().argmax(dim=-1)
    person = torch.where(num_claims > 1, costs.argmin(dim=-1), claimant)
    return person.masked_fill(num_claims == 0, -1)
