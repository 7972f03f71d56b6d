"""What a trained model knows of its detections: their level, and the learned scale of each keypoint.

Shapes: N matched detections, G people in the ground truth, K keypoints, M labeled keypoints of matched people.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from mmengine.runner import Runner
from numpy.typing import NDArray
from torch import Tensor

from rtmo_plugin.analysis.measures.calibration import correlate_ranks
from rtmo_plugin.engine.runner import get_model
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.models.heads.dense import decode_dense
from rtmo_plugin.models.heads.rtmo_head import find_size_wh
from rtmo_plugin.models.heads.selection import Selection, select_priors
from rtmo_plugin.ops.arrays import UNMATCHED, match_by_score
from rtmo_plugin.ops.oks import compute_pairwise_oks
from rtmo_plugin.structures import CoordinateDistribution, DensePredictions

_MIN_OKS = 0.5
_SIZES = (0.0, 32.0, 64.0, 96.0, 1e5)  # root of the area, pixels
_NUM_QUANTILES = 5


@dataclass(frozen=True)
class FoundKeypoints:
    """Labeled keypoints of the people that a model found, and the level of each of those people."""

    strides: NDArray[Any]  # (N,) stride of the prior of each detection
    sigmas: NDArray[Any]  # (M,) learned scale, relative to the person's size
    errors: NDArray[Any]  # (M,) mean distance along the two axes, relative to the person's size
    visibility: NDArray[Any]  # (M,) 1 hidden, 2 in sight
    sizes: NDArray[Any]  # (M,) root of the person's area, pixels


@torch.no_grad()
def observe_people(runner: Runner) -> FoundKeypoints:
    """Find the people of a runner's test data with its model, and match them with the ground truth.

    Args:
        runner: Runner of ``build_test_runner``; its model has the trained weights.

    Raises:
        ConfigError: The samples do not carry their annotations.
    """
    model = get_model(runner).eval()
    parts = [part for batch in runner.test_loop.dataloader for part in _observe_batch(model, batch)]
    columns = zip(*parts) if parts else ((),) * 5
    return FoundKeypoints(*(np.concatenate([np.empty(0), *column]) for column in columns))


def _observe_batch(model: Any, batch: Any) -> Iterator[tuple[NDArray[Any], ...]]:
    """Yield the fields of ``FoundKeypoints`` for each image."""
    data = model.data_preprocessor(batch, False)
    feats = model.extract_feat(data["inputs"])
    head = model.head
    predictions = decode_dense(head.head_module(feats), head.strides)
    thresholds = {name: value for name, value in model.test_cfg.items() if name in ("score_thr", "nms_thr")}
    selected = select_priors(predictions, **thresholds)
    size_wh = find_size_wh(feats, head.strides)
    found = head.classify_coordinates(predictions, selected.image, selected.prior, size_wh)
    for image, sample in enumerate(data["data_samples"]):
        truth = _read_people(sample.metainfo, head.sigmas)
        if len(truth[0]) and (selected.image == image).any():
            yield _match_people(predictions, selected, found, image, truth, head.sigmas)


def _read_people(metainfo: dict[str, Any], like: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the keypoints (G, K, 2) in pixels of the input, visibility (G, K), areas (G,) there and scale (G,)."""
    if "raw_ann_info" not in metainfo:
        raise ConfigError("To compare people one by one, the test pipeline's meta_keys must have raw_ann_info.")
    raw = metainfo["raw_ann_info"]
    listed = [each for each in (raw if isinstance(raw, (list, tuple)) else [raw]) if each and not each.get("iscrowd")]
    listed = [each for each in listed if any(each["keypoints"][2::3])]
    numbers = like.new_tensor([each["keypoints"] for each in listed]).reshape(len(listed), len(like), 3)
    center, scale = (like.new_tensor(metainfo[name]) for name in ("input_center", "input_scale"))
    size = like.new_tensor(metainfo["input_size"])
    points = (numbers[..., :2] - (center - scale / 2)) / scale * size
    ratio = (size / scale)[0]
    areas = like.new_tensor([each["area"] for each in listed]) * ratio**2
    return points, numbers[..., 2], areas, ratio.expand(len(listed))


def _match_people(
    predictions: DensePredictions,
    selected: Selection,
    found: CoordinateDistribution,
    image: int,
    truth: tuple[Tensor, Tensor, Tensor, Tensor],
    oks_sigmas: Tensor,
) -> tuple[NDArray[Any], ...]:
    """Return the fields of ``FoundKeypoints`` for one image: a person is matched with the best detection."""
    points, visibility, areas, ratio = truth
    mine = selected.image == image
    keypoints, sigmas, priors = found.keypoints[mine], found.sigmas[mine], selected.prior[mine]
    oks = compute_pairwise_oks(keypoints[None], points[None], (visibility > 0)[None].float(), areas[None], oks_sigmas)
    partner = match_by_score(oks[0].cpu().numpy(), np.array([_MIN_OKS]))[0]
    rows = np.flatnonzero(partner != UNMATCHED)
    columns = partner[rows]
    sizes = areas[columns].sqrt().clamp(min=1)[:, None]
    errors = (keypoints[rows] - points[columns]).abs().mean(dim=-1) / sizes
    is_labeled = visibility[columns] > 0
    original = (sizes / ratio[columns][:, None]).expand_as(errors)
    fields = (sigmas[rows], errors, visibility[columns], original)
    strides = predictions.priors.strides[priors[rows]].cpu().numpy()
    return strides, *(each[is_labeled].float().cpu().numpy() for each in fields)


def summarize_levels(found: FoundKeypoints, strides: Sequence[int]) -> dict[str, float]:
    """Return the share of the detections that come from the level of each stride, percent."""
    total = max(1, len(found.strides))
    return {
        f"found on P{int(np.log2(stride))}, %": 100 * float((found.strides == stride).sum()) / total
        for stride in strides
    }


def summarize_sigmas(found: FoundKeypoints) -> dict[str, dict[str, float]]:
    """Return the expected and the true error of groups of keypoints, and their rank correlation.

    The loss assumes a Laplace density of scale 2 sigma along each axis, which is also the expected distance.
    """
    groups = {"all": np.ones(len(found.sigmas), bool), "in sight": found.visibility == 2}
    groups["hidden"] = found.visibility == 1
    for low, high in pairwise(_SIZES):
        name = f"of people of {low:g} to {high:g} px" if high < _SIZES[-1] else f"of people above {low:g} px"
        groups[name] = (found.sizes > low) & (found.sizes <= high)
    edges = np.quantile(found.sigmas, np.linspace(0, 1, _NUM_QUANTILES + 1)) if len(found.sigmas) else np.zeros(6)
    place = np.searchsorted(edges[1:-1], found.sigmas, side="right")
    groups.update((f"sigma's quintile {number + 1}", place == number) for number in range(_NUM_QUANTILES))
    return {name: _summarize(found, rows) for name, rows in groups.items() if rows.sum() > 1}


def _summarize(found: FoundKeypoints, rows: NDArray[Any]) -> dict[str, float]:
    """Return what sigmas and errors of a group are, and how their ranks correlate if both vary."""
    sigmas, errors = found.sigmas[rows], found.errors[rows]
    correlation = correlate_ranks(sigmas, errors)
    return {
        "count": int(rows.sum()),
        "sigma": float(2 * sigmas.mean()),
        "error": float(errors.mean()),
        **({} if math.isnan(correlation) else {"correlation": correlation}),
    }
