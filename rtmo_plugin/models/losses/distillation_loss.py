"""What a student learns from a teacher: distributions over bins, scores and boxes."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from rtmo_plugin.models.losses.reduction import compute_mean
from rtmo_plugin.ops.geometry import compute_iou
from rtmo_plugin.registry import MODELS
from rtmo_plugin.structures import CoordinateDistribution, DensePredictions, Targets

_LEAST_PROBABILITY = 1e-8  # of a bin, so that its logarithm stays finite


@MODELS.register_module()
class DistillationLoss(nn.Module):
    """Three losses between a student and a teacher that saw the same images and has the same priors.

    Coordinates: Kullback-Leibler divergence from the teacher's distributions over the student's bins (Hinton et al.,
    arXiv 1503.02531), weighted by the teacher's visibility and score; keypoints without a label count as well. Scores:
    quality focal loss (Li et al., arXiv 2006.04388, equation 3) with the teacher's scores as targets at all priors.
    Boxes: 1 - IoU^2 to the teacher's box, weighted by its score.

    Args:
        coordinates: Weight of the first loss.
        scores: Weight of the second loss.
        boxes: Weight of the third loss.
        gamma: Exponent of the difference of two scores.
    """

    def __init__(self, coordinates: float = 1.0, scores: float = 1.0, boxes: float = 1.0, gamma: float = 2.0) -> None:
        super().__init__()
        self.coordinates, self.scores, self.boxes, self.gamma = coordinates, scores, boxes, gamma

    def forward(
        self,
        student: DensePredictions,
        teacher: DensePredictions,
        distribution: CoordinateDistribution,
        taught: CoordinateDistribution,
        targets: Targets,
    ) -> dict[str, Tensor]:
        """Compare a student with a teacher.

        Args:
            student: Predictions of the student at all priors.
            teacher: Predictions of the teacher at the same priors, without gradients.
            distribution: The student's coordinate distributions of the N assigned priors.
            taught: The teacher's, over the same bins.
            targets: Targets of the N assigned priors.

        Returns:
            ``coordinates``, averaged over keypoints and people; ``scores``, summed over priors; ``boxes``, summed over
            the assigned priors. Scalars.
        """
        picked = (targets.image, targets.prior)
        teacher_scores = teacher.class_logits.sigmoid()
        certainty = teacher_scores[targets.image, targets.prior, targets.labels]  # (N,)
        seen = teacher.visibility_logits[picked].sigmoid() * certainty[:, None]  # (N, K)
        divergence = compute_divergence(taught.probs_x, distribution.probs_x)
        divergence = divergence + compute_divergence(taught.probs_y, distribution.probs_y)
        entropy = F.binary_cross_entropy_with_logits(student.class_logits, teacher_scores, reduction="none")
        focus = (student.class_logits.sigmoid() - teacher_scores).abs().pow(self.gamma)
        iou = compute_iou(student.boxes[picked], teacher.boxes[picked])
        return {
            "coordinates": self.coordinates * compute_mean(divergence * seen),
            "scores": self.scores * (entropy * focus * targets.class_weights).sum(),
            "boxes": self.boxes * ((1 - iou.square()) * certainty).sum(),
        }


def compute_divergence(expected: Tensor, found: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence of distributions over the last axis.

    Args:
        expected: (..., X) probabilities.
        found: (..., X) probabilities that should equal them.

    Returns:
        (...,) of 0 or more.

    Examples:
        >>> import torch
        >>> even, sure = torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0])
        >>> compute_divergence(sure, even), compute_divergence(even, even)
        (tensor(0.6931), tensor(0.))
    """
    logs = [each.clamp(min=_LEAST_PROBABILITY).log() for each in (expected, found)]
    return (expected * (logs[0] - logs[1])).sum(dim=-1)
