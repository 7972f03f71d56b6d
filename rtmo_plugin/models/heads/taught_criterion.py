"""A criterion that also compares a head with the head of a teacher."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from rtmo_plugin.models.heads.criterion import RTMOCriterion, count_positives
from rtmo_plugin.models.heads.rtmo_head import RTMOHead
from rtmo_plugin.models.heads.stages import Stage
from rtmo_plugin.models.losses import DistillationLoss
from rtmo_plugin.structures import CoordinateDistribution, DensePredictions, Targets
from rtmo_plugin.wording import shorten

# The classifier's options that decide where its bins lie.
_BIN_OPTIONS = ("num_bins", "bin_layout", "box_padding")


class TaughtCriterion(nn.Module):
    """The six losses of a head, and three that compare it with a teacher on the same images.

    Each comparison has the weight that the training stage gives to what it helps: ``mle``, ``cls`` or ``bbox``. The
    teacher's classifier is asked for its distributions over the *student's* bins: both are of the same coordinates.

    Args:
        criterion: Criterion of the student's head.
        loss: Comparison.
        head: Head of the teacher, which is not part of this module: its weights belong to another model.
        predict: Function that returns the teacher's predictions of the current batch, and the width and height of its
            images in pixels.
    """

    def __init__(
        self,
        criterion: RTMOCriterion,
        loss: DistillationLoss,
        head: RTMOHead,
        predict: Callable[[], tuple[DensePredictions, tuple[int, int]]],
    ) -> None:
        super().__init__()
        self.criterion, self.loss = criterion, loss
        self._predict = predict
        self._classifier = (head.dcc,)  # a tuple hides it from ``state_dict``

    def forward(
        self,
        predictions: DensePredictions,
        targets: Targets,
        distribution: CoordinateDistribution,
        sigmas: Tensor,
        stage: Stage,
    ) -> dict[str, Tensor]:
        """Compute the losses, see ``RTMOCriterion.forward``.

        Returns:
            Its six losses, and ``loss_teacher_coordinates``, ``loss_teacher_scores``, ``loss_teacher_boxes``; scalars.
        """
        losses: dict[str, Tensor] = self.criterion(predictions, targets, distribution, sigmas, stage)
        with torch.no_grad():
            teacher, size_wh = self._predict()
            picked = (targets.image, targets.prior)
            boxes, centers = predictions.boxes[picked].detach(), predictions.priors.centers[targets.prior]
            taught = self._classifier[0](teacher.pose_vectors[picked], boxes, centers, size_wh)
        values = self.loss(predictions, teacher, distribution, taught, targets)
        num_positives = count_positives(targets)
        share = len(targets.prior) / num_positives  # see ``RTMOCriterion.forward``
        losses["loss_teacher_coordinates"] = values["coordinates"] * share * stage.weights["mle"]
        losses["loss_teacher_scores"] = values["scores"] / num_positives * stage.weights["cls"]
        losses["loss_teacher_boxes"] = values["boxes"] / num_positives * stage.weights["bbox"]
        return losses


def find_teacher_misfit(student: RTMOHead, teacher: RTMOHead) -> str | None:
    """Return what keeps a teacher's head from teaching a student's, as ``NAME: student, teacher``, or None."""
    values: dict[str, list[Any]] = {
        "keypoints": [head.schema.names for head in (student, teacher)],
        "num_classes": [head.num_classes for head in (student, teacher)],
        "strides": [head.strides for head in (student, teacher)],
        "coordinates": [head.coordinates for head in (student, teacher)],
        **{f"dcc.{name}": [getattr(head.dcc, name) for head in (student, teacher)] for name in _BIN_OPTIONS},
    }
    for name, (own, other) in values.items():
        if own != other:
            return f"{name}: {shorten(own)}, {shorten(other)}"
    return None
