"""The loss of RTMO: predictions and targets in, six scalars out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor, nn

from rtmo_plugin.models.heads.stages import Stage
from rtmo_plugin.ops.geometry import encode_boxes
from rtmo_plugin.ops.oks import compute_oks
from rtmo_plugin.registry import MODELS
from rtmo_plugin.structures import CoordinateDistribution, DensePredictions, Priors, Targets

DEFAULT_LOSSES = {
    "cls": {"type": "rtmo_plugin.VariFocalLoss"},
    "bbox": {"type": "rtmo_plugin.IoULoss"},
    "oks": {"type": "rtmo_plugin.OKSLoss"},
    "vis": {"type": "rtmo_plugin.VisibilityLoss"},
    "mle": {"type": "rtmo_plugin.MLECCLoss"},
    "bbox_aux": {"type": "rtmo_plugin.BoxL1Loss"},
}


class RTMOCriterion(nn.Module):
    """Weigh six losses by the training stage.

    The same keys come in every stage and every batch; a batch without people gives zeros that are
    connected to the graph, so that all parameters have a gradient on every rank.

    Args:
        losses: Differences from ``DEFAULT_LOSSES``: ``loss_cls``, ``loss_bbox``, ... to the config of
            that loss, or to some options of the default one.

    Raises:
        TypeError: A loss is unknown.
    """

    def __init__(self, losses: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        super().__init__()
        self.losses = nn.ModuleDict({name: MODELS.build(config) for name, config in merge_losses(losses or {}).items()})

    def forward(
        self,
        predictions: DensePredictions,
        targets: Targets,
        distribution: CoordinateDistribution,
        sigmas: Tensor,
        stage: Stage,
    ) -> dict[str, Tensor]:
        """Compute the weighted losses (paper section 3.3).

        Args:
            predictions: Predictions at all priors, with proxy keypoints.
            targets: Targets of the N assigned priors.
            distribution: Coordinate distributions of the same N priors.
            sigmas: (K,) of the OKS.
            stage: Weights, class target and proxy target.

        Returns:
            ``loss_cls, loss_bbox, loss_oks, loss_vis, loss_mle, loss_bbox_aux``, scalars.
        """
        picked = (targets.image, targets.prior)
        assert predictions.proxy_keypoints is not None
        proxy = predictions.proxy_keypoints[picked]
        num_positives = count_positives(targets)
        # Means over a rank's own people count as in one batch of all ranks; a single process has a share of 1.
        share = len(targets.prior) / num_positives
        proxy_targets, proxy_weights, quality = choose_proxy_target(proxy, distribution, targets, sigmas, stage)
        class_targets = place_class_targets(predictions, targets, quality**stage.class_target_power)
        priors = Priors(predictions.priors.centers[targets.prior], predictions.priors.strides[targets.prior])
        box_deltas = encode_boxes(targets.boxes, priors)
        loss = self.losses
        values = {
            "cls": loss["cls"](predictions.class_logits, class_targets, targets.class_weights) / num_positives,
            "bbox": loss["bbox"](predictions.boxes[picked], targets.boxes) / num_positives,
            "oks": loss["oks"](proxy, proxy_targets, proxy_weights, targets.areas, sigmas) * share,
            "vis": loss["vis"](predictions.visibility_logits[picked], targets.visible, targets.visible_weights) * share,
            "mle": loss["mle"](distribution, targets.keypoints, targets.visible, targets.areas) * share,
            "bbox_aux": loss["bbox_aux"](predictions.box_deltas[picked], box_deltas) / num_positives,
        }
        return {f"loss_{name}": value * stage.weights[name] for name, value in values.items()}


def merge_losses(losses: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the config of every loss, by the names of ``DEFAULT_LOSSES``.

    Raises:
        TypeError: ``losses`` has a key that is not one of these names after ``loss_``.

    Examples:
        >>> merge_losses({"loss_cls": {"alpha": 0.5}})["cls"]
        {'type': 'rtmo_plugin.VariFocalLoss', 'alpha': 0.5}
    """
    names = {f"loss_{name}": name for name in DEFAULT_LOSSES}
    unknown = sorted(set(losses) - set(names))
    if unknown:
        raise TypeError(f"RTMOHead has no option {unknown[0]!r}; its losses are {', '.join(names)}.")
    return {name: {**DEFAULT_LOSSES[name], **losses.get(option, {})} for option, name in names.items()}


def count_positives(targets: Targets) -> Tensor:
    """Return the assigned priors of a rank, averaged over ranks, of which there is at least one in all."""
    count = targets.areas.new_full((), float(len(targets.prior)))  # ``new_tensor`` would wait for the device
    all_reduce(count, "mean")
    return count.clamp(min=1 / get_world_size())


@torch.no_grad()
def choose_proxy_target(
    proxy: Tensor, distribution: CoordinateDistribution, targets: Targets, sigmas: Tensor, stage: Stage
) -> tuple[Tensor, Tensor, Tensor]:
    """Decide what the proxy learns from and how good each positive is.

    Args:
        proxy: (N, K, 2) proxy keypoints.
        distribution: Output of the Dynamic Coordinate Classifier.
        targets: Ground truth.
        sigmas: (K,) of the OKS.
        stage: Training stage, whose ``proxy_target`` decides.

    Returns:
        (N, K, 2) targets and (N, K) weights of the proxy, and the (N,) OKS that is the class target.
        Where the classifier teaches, it does so only for keypoints where it is the closer one.
    """
    if stage.proxy_target == "truth":
        return targets.keypoints, targets.visible, targets.quality
    teacher = distribution.keypoints.detach()
    error = torch.linalg.vector_norm(teacher - targets.keypoints, dim=-1)
    proxy_error = torch.linalg.vector_norm(proxy - targets.keypoints, dim=-1)
    weights = targets.visible * (proxy_error > error)
    quality = compute_oks(teacher, targets.keypoints, targets.visible, targets.areas, sigmas)
    return teacher, weights, quality


def place_class_targets(predictions: DensePredictions, targets: Targets, values: Tensor) -> Tensor:
    """Put (N,) values at the assigned priors and labels of a (B, P, C) tensor of zeros."""
    placed = torch.zeros_like(predictions.class_logits)
    return placed.index_put((targets.image, targets.prior, targets.labels), values.to(placed.dtype))
