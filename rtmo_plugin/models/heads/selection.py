"""Which priors become people: threshold, top-k and NMS give indices, everything else is gathered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from mmengine.structures import InstanceData
from torch import Tensor

from rtmo_plugin.errors import NonFiniteError
from rtmo_plugin.ops.nms import apply_nms
from rtmo_plugin.structures import DensePredictions

_DIVERGED = (
    "The model computes numbers that are not finite (NaN or infinity): its training diverged, and an earlier "
    "checkpoint may be whole."
)


class Selection(NamedTuple):
    """N selected priors, image by image, best first."""

    image: Tensor  # (N,)
    prior: Tensor  # (N,)
    scores: Tensor  # (N,) probability of the best class
    labels: Tensor  # (N,)


def select_priors(
    predictions: DensePredictions, *, score_thr: float = 0.1, nms_thr: float = 0.65, nms_pre: int | None = None
) -> Selection:
    """Select the priors that are people, in each image of the batch.

    Args:
        predictions: Predictions of the head.
        score_thr: Score that people must exceed.
        nms_thr: IoU above which two boxes are one person, whatever their class; 1 keeps all.
        nms_pre: Number of the best priors that enter NMS. Default: all.

    Raises:
        NonFiniteError: A score is NaN: it is above no threshold, and would look like an image without people.
    """
    scores, labels = predictions.class_logits.sigmoid().max(dim=-1)
    if not predictions.class_logits.isfinite().all():
        raise NonFiniteError(_DIVERGED)
    each = []
    for image, (image_scores, boxes) in enumerate(zip(scores, predictions.boxes)):
        above = (image_scores > score_thr).nonzero()[:, 0]
        best = above[image_scores[above].argsort(descending=True, stable=True)[:nms_pre]]
        prior = best[apply_nms(boxes[best], image_scores[best], nms_thr)]
        each.append(Selection(torch.full_like(prior, image), prior, image_scores[prior], labels[image, prior]))
    return Selection(*(torch.cat(parts) for parts in zip(*each)))


def collect_instances(
    predictions: DensePredictions,
    selection: Selection,
    keypoints: Tensor,
    data_samples: Sequence[Any],
    deviations: Tensor | None = None,
) -> list[InstanceData]:
    """Pack the (N, K, 2) keypoints of the selected people as MMPose's estimator expects them, an image each.

    Boxes are clipped to the image's ``input_size`` (width, height).  The (N, K, 2) ``deviations`` of the keypoints are
    packed as ``keypoint_deviations``.

    Raises:
        NonFiniteError: A box or keypoint is NaN or infinite.
    """
    boxes = predictions.boxes[selection.image, selection.prior]
    if not (boxes.isfinite().all() & keypoints.isfinite().all()):  # one wait for the device
        raise NonFiniteError(_DIVERGED)
    visibility = predictions.visibility_logits[selection.image, selection.prior].sigmoid()
    results = []
    for image, sample in enumerate(data_samples):
        mine = selection.image == image
        limit = boxes.new_tensor(sample.metainfo["input_size"]).repeat(2)
        results.append(
            InstanceData(
                scores=selection.scores[mine],
                labels=selection.labels[mine],
                bboxes=torch.minimum(boxes[mine].clamp(min=0), limit),
                bbox_scores=selection.scores[mine],
                keypoints=keypoints[mine],
                keypoint_scores=visibility[mine],
                keypoints_visible=visibility[mine],
                **({} if deviations is None else {"keypoint_deviations": deviations[mine]}),
            ).numpy()
        )
    return results
