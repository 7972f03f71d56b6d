"""Compare a written file with PyTorch, whatever the weights.

Two things look like errors and are none:

- a person whose score, or whose overlap with another, lies on a threshold may be kept by one side alone;
- a keypoint may hang between two places.  Untrained weights have many of these, and PyTorch's own
  answers in float32 and float64 then lie far apart.  So a keypoint may be as far off as PyTorch's own
  moves when the head's outputs change by as much as rounding (``Reference.measure_wavering``).

Letters as in ``rtmo_plugin.structures``; N here are the rows of a file's output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rtmo_plugin.errors import ExportError
from rtmo_plugin.export.graphs import RAW_OUTPUTS
from rtmo_plugin.export.options import ExportOptions
from rtmo_plugin.export.reference import Reference
from rtmo_plugin.export.tolerance import Differences, Tolerance
from rtmo_plugin.images import read_image
from rtmo_plugin.inference.letterbox import apply_letterbox, make_input

Arrays = Mapping[str, NDArray[Any]]
# Runs a file on images, (B, 3, H, W) float32 or (B, H, W, 3) uint8, with a score threshold of its own
# where the file has one, and returns its outputs by name.
Run = Callable[[NDArray[Any], float], Arrays]

_SLACK = 4.0  # times the wavering of a keypoint
_UNSURE = 0.02  # of the keypoints are left out: those that differ most
_MANY = 100  # priors above the threshold, which are many people


def compare(model: Any, run: Run, options: ExportOptions, tolerance: Tolerance) -> Differences:
    """Compare a file with the model that it was made of, on images of every shape that it takes.

    A quantized file is shown some of its calibration images: it knows no ranges but theirs.

    An end-to-end file is run with three thresholds, chosen so that PyTorch finds nobody, one person in
    the batch, and many.

    Args:
        model: As it was trained, in eval mode.
        run: Of the file.
        options: Of the file.
        tolerance: How far it may be off.

    Raises:
        ExportError: It is further off, or has other outputs.
    """
    found = Differences()
    for images in _make_batches(options):
        reference = Reference(model, torch.from_numpy(make_input(images, "float32")))
        given = make_input(images, options.input)
        for score_thr in _choose_thresholds(reference, options):
            outputs = run(given, score_thr)
            found = found.merge(_COMPARISONS[options.cut](reference, outputs, score_thr, options, tolerance))
    return found


def _make_batches(options: ExportOptions) -> Iterator[NDArray[np.uint8]]:
    """Yield (B, H, W, 3) images: one and four, square and not, as far as the file takes them."""
    width, height = options.size_wh
    sizes = [(width, height)]
    if "size" in options.dynamic:
        sizes += [(width + 64, height), (width, height + 64)]
    counts = [1, 4] if "batch" in options.dynamic else [1]
    for seed, (size, count) in enumerate((size, count) for size in sizes for count in counts):
        yield np.stack([_make_image(size, 10 * seed + index, options) for index in range(count)])


def _make_image(size_wh: tuple[int, int], seed: int, options: ExportOptions) -> NDArray[np.uint8]:
    """Return soft coloured blobs with a little noise: something in every corner and at every scale."""
    if options.calibration_images:
        path = options.calibration_images[seed % len(options.calibration_images)]
        return apply_letterbox(read_image(path), size_wh, name=str(path))[0]
    random = np.random.default_rng(seed)
    width, height = size_wh
    coarse = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    fine = random.integers(0, 64, (max(1, height // 8), max(1, width // 8), 3), dtype=np.uint8)
    blobs, grain = (cv2.resize(each, size_wh, interpolation=cv2.INTER_CUBIC) for each in (coarse, fine))
    return np.asarray(cv2.add(blobs, grain), np.uint8)


def _choose_thresholds(reference: Reference, options: ExportOptions) -> list[float]:
    """Return score thresholds for nobody, one person and many; the file's own where it has none inside."""
    if options.cut != "end2end":
        return [options.score_thr]
    kept = reference.select(0.0, options.nms_thr)
    people = torch.cat([scores[priors] for scores, priors in zip(reference.scores, kept)]).sort(descending=True)[0]
    priors = reference.scores.flatten().sort(descending=True)[0]
    highest, second = people[0], people[1] if len(people) > 1 else torch.zeros(())
    middle = min(_MANY, len(priors) - 1)
    thresholds = [(1 + highest) / 2, (highest + second) / 2, (priors[middle - 1] + priors[middle]) / 2]
    return [float(each) for each in thresholds]


def _compare_maps(
    reference: Reference, outputs: Arrays, score_thr: float, options: ExportOptions, tolerance: Tolerance
) -> Differences:
    maps = [each for level in zip(*reference.maps[: len(RAW_OUTPUTS)]) for each in level]
    if len(outputs) != len(maps):
        raise ExportError(f"The file has {len(outputs)} outputs instead of {len(maps)}.")
    errors = [
        float(torch.linalg.vector_norm(torch.from_numpy(got) - expected) / torch.linalg.vector_norm(expected))
        for got, expected in zip(outputs.values(), maps)
    ]
    return Differences(maps=max(errors) / tolerance.maps, num_images=len(reference.scores))


def _compare_rows(
    reference: Reference, outputs: Arrays, score_thr: float, options: ExportOptions, tolerance: Tolerance
) -> Differences:
    """Compare boxes, scores and keypoints, and which priors they come from."""
    found = Differences(num_images=len(reference.scores))
    for image, scores in enumerate(outputs["dets"][..., 4]):
        rows = {name: torch.from_numpy(each[image][scores > 0]) for name, each in outputs.items()}
        dets, keypoints = rows["dets"], rows["keypoints"]
        priors = _find_priors(reference, image, dets)
        _check_selection(reference, image, priors, score_thr, options, tolerance)
        if "labels" in rows:
            _check_labels(reference.predictions.class_logits[image, priors].sigmoid(), rows["labels"], tolerance)
        found = found.merge(_compare_people(reference, image, priors, dets, keypoints, tolerance))
    return found


def _find_priors(reference: Reference, image: int, dets: Tensor) -> Tensor:
    """Return the (N,) priors whose boxes and scores are nearest to the rows of a file."""
    boxes, scores = reference.predictions.boxes[image], reference.scores[image]
    sizes = (boxes[:, 2:] - boxes[:, :2]).amax(dim=-1)
    distances = (dets[:, None, :4] - boxes).abs().amax(dim=-1) / sizes + (dets[:, None, 4] - scores).abs()
    return distances.argmin(dim=1) if len(dets) else torch.zeros(0, dtype=torch.long)


def _check_selection(
    reference: Reference, image: int, priors: Tensor, score_thr: float, options: ExportOptions, tolerance: Tolerance
) -> None:
    """Check that a file returns the priors that PyTorch does, but for those on a threshold.

    Raises:
        ExportError: It misses one or has one too many, or one twice.
    """
    found = set(priors.tolist())
    if options.cut == "decoded":
        order = reference.scores[image].sort(descending=True)[0]
        limit = float(order[min(options.top_k, len(order)) - 1])
        surely = set((reference.scores[image] > limit + tolerance.score).nonzero()[:, 0].tolist())
        maybe = set((reference.scores[image] >= limit - tolerance.score).nonzero()[:, 0].tolist())
    else:
        margin = 2 * tolerance.score
        kept = [
            set(reference.select(score, overlap)[image][: options.max_people].tolist())
            for score in (score_thr - margin, score_thr, score_thr + margin)
            for overlap in (options.nms_thr - margin, options.nms_thr, options.nms_thr + margin)
        ]
        surely, maybe = set.intersection(*kept), set.union(*kept)
    num_wrong = len(surely - found) + len(found - maybe) + len(priors) - len(found)
    if num_wrong > tolerance.outliers * max(len(priors), len(surely)):
        raise ExportError(
            f"The file finds other people than PyTorch: {len(priors)} instead of {len(surely)} to {len(maybe)}."
        )


def _check_labels(scores: Tensor, labels: Tensor, tolerance: Tolerance) -> None:
    """Check (N,) labels by the (N, C) scores of the classes: which of two equal ones is best, rounding decides.

    Raises:
        ExportError: A label is not that of the best class.
    """
    short = scores.amax(dim=-1) - scores.gather(1, labels.long()[:, None])[:, 0]
    if (short > 2 * tolerance.score).any():
        raise ExportError("The file gives a person another class than PyTorch.")


def _compare_people(
    reference: Reference, image: int, priors: Tensor, dets: Tensor, keypoints: Tensor, tolerance: Tolerance
) -> Differences:
    if not len(priors):
        return Differences()
    boxes, scores = reference.predictions.boxes[image, priors], reference.scores[image, priors]
    expected = reference.locate(image, priors)
    sizes = (boxes[:, 2:] - boxes[:, :2]).amax(dim=-1, keepdim=True).clamp(min=1)
    allowed = tolerance.keypoint + _SLACK * reference.measure_wavering(image, priors, tolerance.disturbance)
    shares = (keypoints - expected)[..., :2].abs().amax(dim=-1) / allowed
    score_errors = torch.cat([(dets[:, 4] - scores).abs(), (keypoints - expected)[..., 2].abs().flatten()])
    box_errors = (dets[:, :4] - boxes).abs() / sizes
    return Differences(
        score=_find_largest(score_errors, tolerance.outliers) / tolerance.score,
        box=_find_largest(box_errors, tolerance.outliers) / tolerance.box,
        keypoint=_find_largest(shares, max(_UNSURE, tolerance.outliers)),
        num_people=len(priors),
    )


def _find_largest(errors: Tensor, outliers: float) -> float:
    """Return the largest error, a share of them left out; NaN where there is one among the rest."""
    ordered = errors.flatten().sort()[0]
    return float(ordered[len(ordered) - 1 - int(outliers * len(ordered))])


_COMPARISONS = {"end2end": _compare_rows, "decoded": _compare_rows, "raw": _compare_maps}
