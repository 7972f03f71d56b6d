"""PyTorch's outputs of the trained model, which files are compared with."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rtmo_plugin.export.graphs import ImageInput
from rtmo_plugin.models.heads.dense import decode_dense
from rtmo_plugin.models.heads.rtmo_head_module import RawMaps
from rtmo_plugin.models.heads.selection import select_priors
from rtmo_plugin.models.heads.uncertainty import compute_deviations
from rtmo_plugin.structures import CoordinateDistribution, DensePredictions

_NUM_DISTURBED = 4


class Reference:
    """A model, not folded, and its outputs for a batch of images.

    Args:
        model: MMPose's estimator with our head, in eval mode.
        images: Images (B, 3, H, W) BGR, 0..255.
    """

    maps: RawMaps
    predictions: DensePredictions

    @torch.no_grad()
    def __init__(self, model: Any, images: Tensor) -> None:
        self._head: Any = model.head
        self._size_wh = (images.shape[3], images.shape[2])
        self.maps = self._head(model.extract_feat(ImageInput(model.data_preprocessor, "float32")(images)))
        self.predictions = decode_dense(self.maps, self._head.strides)
        self.scores = self.predictions.class_logits.sigmoid().amax(dim=-1)  # (B, P)

    def is_finite(self) -> bool:
        """Tell whether the head's maps hold neither NaN nor infinity."""
        return all(bool(each.isfinite().all()) for levels in self.maps for each in levels or ())

    @torch.no_grad()
    def select(self, score_thr: float, nms_thr: float) -> list[Tensor]:
        """Return, for each image, the priors that are people, best first."""
        picked = select_priors(self.predictions, score_thr=score_thr, nms_thr=nms_thr)
        return [picked.prior[picked.image == image] for image in range(len(self.scores))]

    @torch.no_grad()
    def locate(self, image: int, priors: Tensor) -> Tensor:
        """Return (N, K, 3) keypoints with scores at N priors of an image."""
        visibility = self.predictions.visibility_logits[image, priors].sigmoid()
        return torch.cat([self._classify(image, priors, 0.0).keypoints, visibility[..., None]], dim=-1)

    @torch.no_grad()
    def measure_deviations(self, image: int, priors: Tensor) -> Tensor:
        """Return (N, K, 2) standard deviations of the keypoints at N priors of an image."""
        return compute_deviations(self._classify(image, priors, 0.0), self.predictions.boxes[image, priors])

    @torch.no_grad()
    def measure_sensitivity(self, image: int, priors: Tensor, disturbance: float) -> Tensor:
        """Return the distance (N, K) that keypoints move when the head's outputs change by as much as rounding.

        A keypoint between two equally likely places moves far; untrained models have many of them.
        """
        generator = torch.Generator().manual_seed(0)
        still = self._classify(image, priors, 0.0).keypoints
        moved = [self._classify(image, priors, disturbance, generator).keypoints for _ in range(_NUM_DISTURBED)]
        return torch.stack([(each - still).abs().amax(dim=-1) for each in moved]).amax(dim=0)

    def _classify(
        self, image: int, priors: Tensor, disturbance: float, generator: torch.Generator | None = None
    ) -> CoordinateDistribution:
        """Return the distributions of keypoints; pose vectors and boxes get noise of relative size ``disturbance``."""
        poses, boxes = (each[image, priors] for each in (self.predictions.pose_vectors, self.predictions.boxes))
        if disturbance:
            sizes = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
            boxes = boxes + disturbance * sizes * torch.randn(boxes.shape, generator=generator)
            scale = poses.square().mean(dim=-1, keepdim=True).sqrt()
            poses = poses + disturbance * scale * torch.randn(poses.shape, generator=generator)
        centers = self.predictions.priors.centers[priors]
        located: CoordinateDistribution = self._head.dcc(poses, boxes, centers, self._size_wh)
        return located
