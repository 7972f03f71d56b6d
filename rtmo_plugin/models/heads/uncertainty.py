"""How uncertain a keypoint is, by the distribution that the model was trained with.

The likelihood of a label t under a distribution over bins is, along each axis (paper, section 3.2),

    sum over bins of p_bin / sigma * exp(-|t - bin| / (2 sigma sqrt(area)))

which is, up to a constant, a mixture of Laplace densities around the bins with the scale b = 2 sigma sqrt(area) in
pixels.  The variance of a Laplace density is 2 b squared, so the variance of the mixture is

    sum over bins of p_bin (bin - mean)^2  +  8 sigma^2 area
"""

from __future__ import annotations

import torch
from torch import Tensor

from rtmo_plugin.keypoints.person_boxes import PERSON_SHARE
from rtmo_plugin.models.losses.coordinates import MIN_SIGMA
from rtmo_plugin.ops.geometry import get_centers_and_sizes
from rtmo_plugin.structures import CoordinateDistribution


def compute_deviations(distribution: CoordinateDistribution, boxes: Tensor) -> Tensor:
    """Return the standard deviation of each keypoint in x and y.

    The area of a person, which labels have in training, is estimated as a fixed share of the box.

    Args:
        distribution: Coordinate distributions of N people.
        boxes: (N, 4) x1, y1, x2, y2 of the same people.

    Returns:
        (N, K, 2) pixels.

    Examples:
        >>> one = torch.tensor([[[0.5, 0.5]]])
        >>> bins, sigmas = torch.tensor([[10.0, 14.0]]), torch.full((1, 1), 0.01)
        >>> middle = torch.full((1, 1, 2), 12.0)
        >>> two = CoordinateDistribution(one, one, bins, bins, sigmas, middle)
        >>> compute_deviations(two, torch.tensor([[0.0, 0.0, 100.0, 100.0]]))
        tensor([[[2.8705, 2.8705]]])
    """
    sides = ((distribution.probs_x, distribution.bins_x), (distribution.probs_y, distribution.bins_y))
    spreads = [
        (probs * (bins[:, None] - distribution.keypoints[..., axis, None]).square()).sum(dim=-1)
        for axis, (probs, bins) in enumerate(sides)
    ]
    areas = PERSON_SHARE * get_centers_and_sizes(boxes)[1].clamp(min=1).prod(dim=-1)
    laplace = 8 * distribution.sigmas.clamp(min=MIN_SIGMA).square() * areas[:, None]
    return (torch.stack(spreads, dim=-1) + laplace[..., None]).sqrt()
