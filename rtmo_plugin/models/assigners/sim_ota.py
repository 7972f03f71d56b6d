"""SimOTA with pose costs: named cost terms in, one person or none per prior out."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rtmo_plugin.ops.geometry import compute_iou
from rtmo_plugin.ops.matching import find_candidates, match_dynamic_k
from rtmo_plugin.ops.oks import compute_pairwise_oks
from rtmo_plugin.registry import TASK_UTILS
from rtmo_plugin.structures import Assignment, DensePredictions, People

# Added to a pair whose prior is not inside the box and the center square both: chosen last.
_OUTSIDE_COST = 1e5
# Keeps the logarithm of a similarity finite.
_EPS = 1e-7
# -log(p) is capped, as torch's binary cross entropy does.
_MAX_NEG_LOG = 100.0


@TASK_UTILS.register_module()
class SimOTAAssigner:
    """Assign priors to people by classification, box, pose and visibility costs.

    After YOLOX (arXiv 2107.08430, section 2.3) with the OKS cost of the RTMO paper, section 3.3.

    Args:
        center_radius: Half the side of the center square, in strides.
        top_k: The most priors a person can get.
        iou_weight: Weight of -log IoU.
        cls_weight: Weight of the binary cross entropy between sqrt(class probability) and the label.
        oks_weight: Weight of -log OKS of the proxy pose.
        vis_weight: Weight of the binary cross entropy of the keypoints' visibility.
        dynamic_k: Similarity that decides how many priors a person gets, ``"oks"`` or ``"iou"``.
        center: Middle of the square: that of the ``"box"``, or the mean of the labeled ``"keypoints"``.

    Raises:
        ValueError: An unknown ``dynamic_k`` or ``center``, or ``top_k`` less than 1.
    """

    def __init__(
        self,
        *,
        center_radius: float = 2.5,
        top_k: int = 10,
        iou_weight: float = 3.0,
        cls_weight: float = 1.0,
        oks_weight: float = 3.0,
        vis_weight: float = 0.0,
        dynamic_k: str = "oks",
        center: str = "box",
    ) -> None:
        if dynamic_k not in ("oks", "iou"):
            raise ValueError(f"dynamic_k is 'oks' or 'iou', got {dynamic_k!r}.")
        if center not in ("box", "keypoints"):
            raise ValueError(f"center is 'box' or 'keypoints', got {center!r}.")
        if top_k < 1:
            raise ValueError(f"top_k is at least 1, got {top_k}.")
        self.center_radius = center_radius
        self.top_k = top_k
        self.weights = {"iou": iou_weight, "oks": oks_weight, "cls": cls_weight, "vis": vis_weight}
        self.dynamic_k = dynamic_k
        self.center = center

    @torch.no_grad()
    def assign(self, predictions: DensePredictions, people: People, sigmas: Tensor) -> Assignment:
        """Match the priors of a batch with its people.

        Args:
            predictions: Predictions of the head, with proxy keypoints.
            people: Ground truth, padded.
            sigmas: (K,) of the OKS.

        Returns:
            Assignment, (B, P).

        Raises:
            ValueError: The predictions hold no proxy keypoints.
        """
        if predictions.proxy_keypoints is None:
            raise ValueError("SimOTA compares proxy poses: call the head module with with_proxy=True.")
        is_candidate, is_central = find_candidates(
            predictions.priors, people.boxes, self._find_centers(people), people.is_person, self.center_radius
        )
        quality = {
            "iou": compute_iou(predictions.boxes[:, :, None], people.boxes[:, None]),
            "oks": compute_pairwise_oks(
                predictions.proxy_keypoints, people.keypoints, people.visible, people.areas, sigmas
            ),
        }
        costs = self._sum_costs(predictions, people, quality, is_central)
        chosen = quality[self.dynamic_k]
        person = match_dynamic_k(costs, chosen, is_candidate, people.is_person, self.top_k)
        if chosen.shape[2] == 0:
            return Assignment(person, costs.new_zeros(person.shape))
        of_person = chosen.gather(2, person.clamp(min=0)[..., None])[..., 0]
        return Assignment(person, of_person.masked_fill(person < 0, 0.0))

    def _find_centers(self, people: People) -> Tensor:
        """Return the (B, G, 2) middles of the center squares."""
        box_center = (people.boxes[..., :2] + people.boxes[..., 2:]) / 2
        if self.center == "box":
            return box_center
        count = people.visible.sum(dim=-1, keepdim=True)
        mean = (people.keypoints * people.visible[..., None]).sum(dim=-2) / count.clamp(min=1)
        return torch.where(count > 0, mean, box_center)

    def _sum_costs(
        self, predictions: DensePredictions, people: People, quality: dict[str, Tensor], is_central: Tensor
    ) -> Tensor:
        """Return the (B, P, G) weighted sum of the cost terms.

        The terms are added in MMPose's order: beside 1e5 a float32 keeps two decimals, so another
        order would break ties between priors outside the center differently.
        """
        costs = (~is_central) * _OUTSIDE_COST
        terms: dict[str, Callable[[], Tensor]] = {
            "iou": lambda: -torch.log(quality["iou"] + _EPS),
            "oks": lambda: -torch.log(quality["oks"] + _EPS),
            "cls": lambda: compute_class_cost(predictions.class_logits, people.labels),
            "vis": lambda: compute_visibility_cost(predictions.visibility_logits, people.visible),
        }
        for name, compute in terms.items():
            if self.weights[name] > 0:
                costs = costs + compute() * self.weights[name]
        return costs


def compute_class_cost(class_logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross entropy of sqrt(probability) with each person's label, summed over classes.

    Args:
        class_logits: (B, P, C).
        labels: (B, G).

    Returns:
        (B, P, G).
    """
    score = class_logits.sigmoid().sqrt()
    if_present = -score.log().clamp(min=-_MAX_NEG_LOG)
    if_absent = -torch.log1p(-score).clamp(min=-_MAX_NEG_LOG)
    num_priors = class_logits.shape[1]
    index = labels[:, None].expand(-1, num_priors, -1)
    others = if_absent.sum(dim=-1, keepdim=True) - if_absent.gather(2, index)
    return if_present.gather(2, index) + others


def compute_visibility_cost(visibility_logits: Tensor, visible: Tensor) -> Tensor:
    """Return the cross entropy of the visibility with each person's, summed over keypoints.

    Args:
        visibility_logits: (B, P, K).
        visible: (B, G, K).

    Returns:
        (B, P, G).
    """
    if_visible = torch.nn.functional.softplus(-visibility_logits)
    # softplus(-x) for a visible keypoint and softplus(x) = softplus(-x) + x for one that is not
    return if_visible.sum(dim=-1, keepdim=True) + visibility_logits @ (1 - visible).transpose(1, 2)
