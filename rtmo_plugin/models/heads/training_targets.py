"""From MMPose's data samples to padded people, and from an assignment to targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn

import torch
import torch.nn.functional as F
from torch import Tensor

from rtmo_plugin.packed_batch import PackedBatch, name_image, pack_samples, stack_masks
from rtmo_plugin.structures import Assignment, DensePredictions, People, Targets

# Visibility above which a predicted proxy keypoint counts for where its person stands.
_VISIBLE = 0.3
# Fields of people that have the type of the predictions.
_NUMBERS = ("boxes", "keypoints", "visible", "visible_weights", "areas")


def collect_people(
    data_samples: Sequence[Any] | PackedBatch, num_classes: int, num_keypoints: int, dtype: torch.dtype = torch.float32
) -> People:
    """Return the people of a batch, padded to the image with the most of them.

    Args:
        data_samples: A packed batch, or MMPose's data samples, see ``pack_samples``.
        num_classes: C.
        num_keypoints: K.
        dtype: Type of boxes, keypoints, visibility and areas.

    Raises:
        ValueError: Another number of keypoints, boxes that are corners, or a label outside 0..C-1, with
            the image's name.
    """
    if isinstance(data_samples, PackedBatch):
        batch = data_samples
        keypoints, boxes = (getattr(batch.people, name).flatten(0, 1) for name in ("keypoints", "boxes"))
        _check_shapes(batch.metainfos, keypoints, boxes, num_keypoints)
    else:
        for sample in data_samples:
            instances = sample.gt_instance_labels
            _check_shapes([sample.metainfo], instances.keypoints, instances.bboxes, num_keypoints)
        batch = pack_samples(data_samples, dtype)
    people = batch.people
    if not (batch.labels_range[0] >= 0 and batch.labels_range[1] < num_classes):
        _refuse_labels(people.labels, num_classes, batch.names)
    numbers = {name: getattr(people, name).to(dtype) for name in _NUMBERS}
    return replace(people, **numbers)


def _check_shapes(metainfos: Sequence[Mapping[str, Any]], keypoints: Tensor, boxes: Tensor, num_keypoints: int) -> None:
    """Check the shapes of the (n, K, 2) keypoints and (n, 4) boxes of images, whose metainfo is read only for messages.

    Raises:
        ValueError: Other keypoints than the model's, or boxes that are (n, 4, 2) corners, with the name of the first
            image.
    """
    if keypoints.shape[1:] != (num_keypoints, 2):
        raise ValueError(
            f"{name_image(metainfos[0])}: keypoints have shape {tuple(keypoints.shape)}, but the model was built for "
            f"{num_keypoints} keypoints: check head.keypoints and the dataset's metainfo."
        )
    if len(boxes) and boxes.shape[1:] != (4,):
        raise ValueError(
            f"{name_image(metainfos[0])}: boxes have shape {tuple(boxes.shape)}, not (people, 4): set "
            "bbox_keep_corner=False in the pipeline's BottomupRandomAffine."
        )


def _refuse_labels(labels: Tensor, num_classes: int, names: Sequence[str]) -> NoReturn:
    """Raise a ValueError that names the image with a class outside 0..C-1; (B, G) labels, 0 in the padding.

    On a GPU such a label would stop the process with an index assertion far from here.
    """
    is_outside = (labels < 0) | (labels >= num_classes)
    image = int(is_outside.any(dim=1).nonzero()[0])
    raise ValueError(
        f"{names[image]}: class labels {sorted({*labels[is_outside].tolist()})} are not within "
        f"0..{num_classes - 1}: map the category ids of the annotation file to 1..{num_classes}, "
        "or set head.num_classes."
    )


def build_targets(
    predictions: DensePredictions,
    people: People,
    assignment: Assignment,
    data_samples: Sequence[Any] | PackedBatch,
) -> Targets:
    """Gather the ground truth of the assigned priors.

    Args:
        predictions: Predictions of the head.
        people: Padded ground truth.
        assignment: Assignment of the priors to people.
        data_samples: Where an image has ``gt_fields.heatmap_mask``, (1, H, W), 1 where people are not
            labeled, the priors whose person stands there weigh less in the class loss.

    Returns:
        Targets of N assigned priors.
    """
    image, prior = (assignment.person >= 0).nonzero(as_tuple=True)
    person = assignment.person[image, prior]
    return Targets(
        image=image,
        prior=prior,
        labels=people.labels[image, person],
        boxes=people.boxes[image, person],
        keypoints=people.keypoints[image, person],
        visible=people.visible[image, person],
        visible_weights=people.visible_weights[image, person],
        areas=people.areas[image, person],
        quality=assignment.quality[image, prior],
        class_weights=_weigh_labeled_regions(predictions, data_samples),
    )


@torch.no_grad()
def _weigh_labeled_regions(predictions: DensePredictions, data_samples: Sequence[Any] | PackedBatch) -> Tensor:
    """Return (B, P, 1) weights of the class loss, 1 less the mask where each prior's person stands."""
    if isinstance(data_samples, PackedBatch):
        masks = data_samples.masks
    else:
        counts = [len(sample.gt_instance_labels.labels) for sample in data_samples]
        masks = stack_masks(data_samples, counts)
    if masks is None:
        return torch.ones_like(predictions.class_logits[..., :1])
    assert predictions.proxy_keypoints is not None
    is_visible = (predictions.visibility_logits.sigmoid() > _VISIBLE).to(predictions.boxes.dtype)[..., None]
    middle = (predictions.proxy_keypoints * is_visible).sum(dim=2) / is_visible.sum(dim=2).clamp(min=1e-8)
    sizes = middle.new_full((2,), masks.shape[-1])
    sizes[1] = masks.shape[-2]
    grid = middle / (sizes - 1) * 2 - 1
    sampled = F.grid_sample(masks.to(middle.dtype), grid[:, None], align_corners=False)  # bilinear, 0 outside
    return 1 - sampled[:, 0, 0][..., None]
