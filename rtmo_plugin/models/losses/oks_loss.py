"""Regression of keypoints by their similarity."""

from __future__ import annotations

from torch import Tensor, nn

from rtmo_plugin.models.losses.reduction import compute_mean
from rtmo_plugin.ops.oks import compute_keypoint_similarity
from rtmo_plugin.registry import MODELS


@MODELS.register_module()
class OKSLoss(nn.Module):
    """One minus the object keypoint similarity, averaged over people.

    Maji et al., YOLO-Pose (arXiv 2204.06806), with the weights divided by K rather than by the number
    of labeled keypoints, so that a person with few of them weighs less (as MMPose 1.3).
    """

    def forward(self, keypoints: Tensor, targets: Tensor, weights: Tensor, areas: Tensor, sigmas: Tensor) -> Tensor:
        """Compare (N, K, 2) keypoints with (N, K, 2) targets.

        Args:
            keypoints: (N, K, 2) pixels.
            targets: (N, K, 2) pixels.
            weights: (N, K) 0..1.
            areas: (N,) pixels squared.
            sigmas: (K,) standard deviations relative to sqrt(area).

        Returns:
            A scalar.
        """
        similarity = compute_keypoint_similarity(keypoints, targets, areas, sigmas)
        return compute_mean(1 - (similarity * weights).sum(dim=-1) / weights.shape[-1])
