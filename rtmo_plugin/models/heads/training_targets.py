"""From MMPose's data samples to padded people, and from an assignment to targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from rtmo_plugin.structures import Assignment, DensePredictions, People, Targets

# Visibility above which a predicted proxy keypoint counts for where its person stands.
_VISIBLE = 0.3


def collect_people(
    data_samples: Sequence[Any], num_classes: int, num_keypoints: int, dtype: torch.dtype = torch.float32
) -> People:
    """Pad the people of a batch to the image with the most of them.

    Args:
        data_samples: MMPose's ``PoseDataSample``; of ``gt_instance_labels`` are read ``bboxes`` (n, 4),
            ``labels`` (n,), ``keypoints`` (n, K, 2), ``keypoints_visible`` (n, K), ``areas`` (n,) and
            ``keypoints_visible_weights`` (n, K), ones where an image has none.
        num_classes: C.
        num_keypoints: K.
        dtype: Type of the result.

    Raises:
        ValueError: Another number of keypoints, boxes that are corners, or a label outside 0..C-1, with
            the image's name.
    """
    for sample in data_samples:
        _check_keypoints(sample, num_keypoints)
        _check_boxes(sample)
    instances = [sample.gt_instance_labels for sample in data_samples]

    def pad(name: str, dtype: torch.dtype = dtype) -> Tensor:
        return pad_sequence([each[name].to(dtype) for each in instances], batch_first=True)

    boxes, labels, visible = pad("bboxes"), pad("labels", torch.long), pad("keypoints_visible")
    _check_labels(labels, num_classes, data_samples)
    counts = torch.tensor([len(each.labels) for each in instances])
    is_person = torch.arange(boxes.shape[1]) < counts[:, None]
    weights = [
        each.get("keypoints_visible_weights", torch.ones_like(each.keypoints_visible)).to(dtype) for each in instances
    ]
    return People(
        is_person=is_person.to(boxes.device, non_blocking=True),
        labels=labels,
        boxes=boxes,
        keypoints=pad("keypoints"),
        visible=visible,
        visible_weights=pad_sequence(weights, batch_first=True),
        areas=pad("areas"),
    )


def _check_keypoints(sample: Any, num_keypoints: int) -> None:
    """Raise a ValueError that names the image where its people have other keypoints than the model."""
    shape = tuple(sample.gt_instance_labels.keypoints.shape)
    if shape[1:] != (num_keypoints, 2):
        raise ValueError(
            f"{_name(sample)}: keypoints have shape {shape}, but the model was built for {num_keypoints} "
            "keypoints: check head.keypoints and the dataset's metainfo."
        )


def _check_boxes(sample: Any) -> None:
    """Raise a ValueError that names the image whose boxes are no boxes, but (n, 4, 2) corners."""
    boxes = sample.gt_instance_labels.bboxes
    if len(boxes) and boxes.shape[1:] != (4,):
        raise ValueError(
            f"{_name(sample)}: boxes have shape {tuple(boxes.shape)}, not (people, 4): set bbox_keep_corner=False "
            "in the pipeline's BottomupRandomAffine."
        )


def _check_labels(labels: Tensor, num_classes: int, data_samples: Sequence[Any]) -> None:
    """Raise a ValueError that names the image with a class outside 0..C-1; (B, G) labels, 0 in the padding.

    On a GPU such a label would stop the process with an index assertion far from here.
    """
    is_outside = (labels < 0) | (labels >= num_classes)
    if is_outside.any():
        image = int(is_outside.any(dim=1).nonzero()[0])
        raise ValueError(
            f"{_name(data_samples[image])}: class labels {sorted({*labels[is_outside].tolist()})} are not within "
            f"0..{num_classes - 1}: map the category ids of the annotation file to 1..{num_classes}, "
            "or set head.num_classes."
        )


def _name(sample: Any) -> str:
    return str(sample.metainfo.get("img_path", "an image"))


def build_targets(
    predictions: DensePredictions, people: People, assignment: Assignment, data_samples: Sequence[Any]
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
def _weigh_labeled_regions(predictions: DensePredictions, data_samples: Sequence[Any]) -> Tensor:
    """Return (B, P, 1) weights of the class loss, 1 less the mask where each prior's person stands."""
    ones = torch.ones_like(predictions.class_logits[..., :1])
    # as MMPose 1.3, an image without labeled people counts fully, wherever its crowds are
    masks = [sample.gt_fields.heatmap_mask if _has_mask(sample) else None for sample in data_samples]
    if all(mask is None for mask in masks):
        return ones
    assert predictions.proxy_keypoints is not None
    is_visible = (predictions.visibility_logits.sigmoid() > _VISIBLE).to(ones.dtype)[..., None]
    middle = (predictions.proxy_keypoints * is_visible).sum(dim=2) / is_visible.sum(dim=2).clamp(min=1e-8)
    weights = [1 - _sample_mask(mask, middle[i]) if mask is not None else ones[i] for i, mask in enumerate(masks)]
    return torch.stack(weights)


def _has_mask(sample: Any) -> bool:
    has_people = len(sample.gt_instance_labels.labels) > 0
    return has_people and "gt_fields" in sample and "heatmap_mask" in sample.gt_fields


def _sample_mask(mask: Tensor, points: Tensor) -> Tensor:
    """Read a (1, H, W) mask at (P, 2) pixels, bilinearly, 0 outside; return (P, 1)."""
    size_wh = points.new_tensor([mask.shape[-1], mask.shape[-2]])
    grid = points / (size_wh - 1) * 2 - 1
    sampled = F.grid_sample(mask[None].to(points.dtype), grid[None, None], align_corners=False)
    return sampled[0, 0, 0][:, None]
