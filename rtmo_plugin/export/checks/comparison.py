"""Compare a written file with PyTorch, whatever the weights.

Each row of a file must be one of PyTorch's priors: the same box, score and keypoints within the tolerance.
The rows together must be what NMS may leave of PyTorch's priors at the file's limits.
What rounding alone decides is not an error:

- Which of two priors is kept if scores or overlaps are equal or lie on a threshold.  So the rows are not compared
  with PyTorch's own selection (``_check_selection``).
- Where a keypoint between two equally likely places is.  Untrained weights have many of these.  So a keypoint may be
  as far off as PyTorch's own keypoint moves when the head's outputs change by as much as rounding
  (``Reference.measure_sensitivity``).
- People with scores below any useful threshold: a quarter of them may differ by any amount.

Letters as in ``rtmo_plugin.structures``; N here are the rows of a file's output.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rtmo_plugin.data.synthetic.rendering import draw_image, draw_labels
from rtmo_plugin.data.synthetic.scene import sample_scene
from rtmo_plugin.data.synthetic.settings import SceneSettings
from rtmo_plugin.errors import ExportError, NonFiniteError
from rtmo_plugin.export.checks.decoys import check_image
from rtmo_plugin.export.checks.reference import Reference
from rtmo_plugin.export.checks.tolerance import Differences, Tolerance, choose_tolerance, find_worst
from rtmo_plugin.export.export_options import NMS_CONSTANTS, ExportOptions
from rtmo_plugin.export.graphs import RAW_OUTPUTS
from rtmo_plugin.media.images import read_image
from rtmo_plugin.ops.geometry import compute_iou
from rtmo_plugin.runtime.decoding import split_fused_rows
from rtmo_plugin.runtime.letterbox import apply_letterbox, make_input
from rtmo_plugin.runtime.model_info import UNCERTAINTY

Arrays = Mapping[str, NDArray[Any]]
# Runs a file on images, (B, 3, H, W) float32 or (B, H, W, 3) uint8, with a score threshold, which only end-to-end
# files use, and returns its outputs by name.
Run = Callable[[NDArray[Any], float], Arrays]

_SLACK = 4.0  # times the sensitivity of a keypoint
_UNSURE = 0.02  # share of the keypoints that may be anywhere
_IN_PIXELS = ("keypoint", "uncertainty")
_MANY = 100  # priors above the threshold that gives many people
_LIKELY = 0.05  # useful thresholds are above this score
_LEFT_OUT = 0.25  # share of the other people that may differ by any amount
_CLEAR = 1.0  # difference of logits near 0 that changes which people are found
_ENOUGH = 8  # people needed for a median
_NEARER = 0.5  # rounding alone never brings scores this much nearer to those of another keypoint
_LARGEST_LOGIT = 12.0  # float32 cannot represent the probabilities of larger ones


def verify(model: Any, run: Run, options: ExportOptions, path: Path) -> Differences:
    """Compare a draft with its model before it gets its final name.

    Args:
        model: Trained model, in eval mode.
        run: Function that runs the draft.
        options: Options of the file.
        path: Final name of the file.

    Raises:
        ExportError: The draft does not compute what PyTorch computes; the message says what differs, by how much.
        NonFiniteError: The model itself computes NaN or infinity.
    """
    tolerance = choose_tolerance(options.precision)
    try:
        found = compare_with_pytorch(model, run, options, tolerance)
    except ExportError as error:
        raise ExportError(f"{path} does not compute what PyTorch computes, and was not kept: {error}") from error
    found.check(str(path), tolerance)
    return found


def check_constants(constants: Mapping[str, float], options: ExportOptions, path: Path) -> None:
    """Check the constants of NMS in an end-to-end file, because the images of the comparison may not depend on them.

    Args:
        constants: Values in the file by name; the names are ``NMS_CONSTANTS``.
        options: Options of the file.
        path: Final name of the file.

    Raises:
        ExportError: A constant is missing or differs from the options.
    """
    for name in NMS_CONSTANTS if options.cut == "end2end" else ():
        wanted, found = getattr(options, name), constants.get(name, math.nan)
        if np.float32(found) != np.float32(wanted):
            raise ExportError(f"{path} was not kept: its {name} is {found:g} instead of {wanted:g}.")


def compare_with_pytorch(model: Any, run: Run, options: ExportOptions, tolerance: Tolerance) -> Differences:
    """Compare a file with its model, on images of every shape that the file takes.

    A quantized file is run on some of its int8 images, because its value ranges come from these.

    An end-to-end file is run with three thresholds, chosen so that PyTorch finds no people, one person
    in the batch, and many.

    Args:
        model: Trained model, in eval mode.
        run: Function that runs the file.
        options: Options of the file.
        tolerance: Tolerance of the file.

    Raises:
        ExportError: The file returns other people, other outputs, or non-finite numbers.
        NonFiniteError: The model itself computes non-finite numbers.
    """
    found = Differences()
    for number, images in enumerate(_make_batches(options)):
        reference = Reference(model, torch.from_numpy(make_input(images, "float32")))
        if not reference.is_finite():
            raise NonFiniteError(
                "The model computes numbers that are not finite (NaN or infinity), and cannot be exported: "
                "its training diverged, and an earlier checkpoint may be usable."
            )
        given = make_input(images, options.input)
        for score_thr in _choose_thresholds(reference, options):
            outputs = split_fused_rows(run(given, score_thr))
            for name, values in outputs.items():  # first, because every comparison with NaN is false
                if not np.isfinite(values).all():
                    raise ExportError(f"The output {name} holds numbers that are not finite, and PyTorch's does not.")
            found = found.merge(_COMPARISONS[options.cut](reference, outputs, score_thr, options, tolerance))
        if number == 0:  # with the outputs for many people
            check_image(model, torch.from_numpy(make_input(images, "float32")), outputs, _measure_misfit)
    return found


def _measure_misfit(reference: Reference, outputs: Arrays) -> float:
    """Return the distance between the outputs for the first image and a reference; comparable only among themselves."""
    if "dets" not in outputs:
        return float(
            sum(_measure_distance(torch.from_numpy(got), each) for got, each in _pair_maps(reference, outputs))
        )
    dets = torch.from_numpy(outputs["dets"][0])
    dets = dets[dets[:, 4] > 0]
    priors = _find_priors(reference, 0, dets)
    boxes, scores = reference.predictions.boxes[0, priors], reference.scores[0, priors]
    sizes = (boxes[:, 2:] - boxes[:, :2]).amax(dim=-1, keepdim=True).clamp(min=1)
    misfits = torch.cat([(dets[:, :4] - boxes).abs() / sizes, (dets[:, 4] - scores).abs()[:, None]], dim=1)
    return float(misfits.mean()) if len(dets) else 0.0


def _pair_maps(reference: Reference, outputs: Arrays) -> list[tuple[NDArray[Any], Tensor]]:
    maps = [each for level in zip(*reference.maps[: len(RAW_OUTPUTS)]) for each in level]
    return list(zip(outputs.values(), maps))


def _make_batches(options: ExportOptions) -> Iterator[NDArray[np.uint8]]:
    """Yield batches (B, H, W, 3) of one and four images in every size that the file takes."""
    width, height = options.size_wh
    sizes = [(width, height)]
    if "size" in options.dynamic:
        sizes += [(width + 64, height), (width, height + 64)]
    counts = [1, 4] if "batch" in options.dynamic else [1]
    for seed, (size, count) in enumerate((size, count) for size in sizes for count in counts):
        yield np.stack([_make_image(size, 10 * seed + index, options) for index in range(count)])


def _make_image(size_wh: tuple[int, int], seed: int, options: ExportOptions) -> NDArray[np.uint8]:
    """Return an int8 image, else drawn people or blobs of color: structure in every corner and at every scale."""
    if options.int8_images:
        path = options.int8_images[seed % len(options.int8_images)]
        return apply_letterbox(read_image(path), size_wh, name=str(path))[0]
    if seed % 2 == 0:
        settings = SceneSettings(size_wh, num_people=(1, 4), height_range=(0.35, 0.95), turned=0.0, motion=0.6)
        scene = sample_scene(settings, seed, 0)
        return draw_image(scene, draw_labels(scene))
    random = np.random.default_rng(seed)
    width, height = size_wh
    coarse = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    fine = random.integers(0, 64, (max(1, height // 8), max(1, width // 8), 3), dtype=np.uint8)
    blobs, grain = (cv2.resize(each, size_wh, interpolation=cv2.INTER_CUBIC) for each in (coarse, fine))
    return np.asarray(cv2.add(blobs, grain), np.uint8)


def _choose_thresholds(reference: Reference, options: ExportOptions) -> list[float]:
    """Return score thresholds that give no people, one person and many; for other cuts, that of the options."""
    if options.cut != "end2end":
        return [options.score_thr]
    kept = reference.select(0.0, options.nms_thr)
    people = torch.cat([scores[priors] for scores, priors in zip(reference.scores, kept)]).sort(descending=True)[0]
    priors = reference.scores.flatten().sort(descending=True)[0]
    highest, second = people[0], people[1] if len(people) > 1 else torch.zeros(())
    # Below the scores of many priors by so much that all of them are people, also where all scores are equal.
    many = (_clamp_logits(priors[min(_MANY, len(priors)) - 1]) - 2 * _CLEAR).sigmoid()
    thresholds = [(1 + highest) / 2, (highest + second) / 2, many]
    return [float(each) for each in thresholds]


def _compare_maps(
    reference: Reference, outputs: Arrays, score_thr: float, options: ExportOptions, tolerance: Tolerance
) -> Differences:
    num_maps = len(RAW_OUTPUTS) * len(reference.maps[0])
    if len(outputs) != num_maps:
        raise ExportError(f"The file has {len(outputs)} outputs instead of {num_maps}.")
    errors = [
        float(_measure_distance(torch.from_numpy(got), expected) / tolerance.maps)
        for got, expected in _pair_maps(reference, outputs)
    ]
    return Differences(maps=find_worst(errors), num_images=len(reference.scores))


def _measure_distance(got: Tensor, expected: Tensor) -> Tensor:
    """Return the norm of the difference relative to the norm: 0 or infinite for maps of zeros."""
    distance: Tensor = torch.linalg.vector_norm(got - expected)
    return distance if distance == 0 else distance / torch.linalg.vector_norm(expected)


def _compare_rows(
    reference: Reference, outputs: Arrays, score_thr: float, options: ExportOptions, tolerance: Tolerance
) -> Differences:
    """Compare boxes, scores and keypoints, and which priors they come from."""
    found = Differences(num_images=len(reference.scores))
    for image, scores in enumerate(outputs["dets"][..., 4]):
        # Only end-to-end files are padded, with scores of 0, which far background may also have.
        is_row = scores > 0 if options.cut == "end2end" else np.ones(len(scores), bool)
        rows = {name: torch.from_numpy(each[image][is_row]) for name, each in outputs.items()}
        priors = _find_priors(reference, image, rows["dets"])
        _check_selection(reference, image, priors, score_thr, options, tolerance)
        if "labels" in rows:
            _check_labels(reference.predictions.class_logits[image, priors].sigmoid(), rows["labels"], tolerance)
        found = found.merge(_compare_people(reference, image, priors, rows, tolerance))
    return found


def _find_priors(reference: Reference, image: int, dets: Tensor) -> Tensor:
    """Return the (N,) priors whose boxes and scores are nearest to the rows of a file, each prior once.

    Raises:
        ExportError: There are more rows than priors.
    """
    boxes, scores = reference.predictions.boxes[image], reference.scores[image]
    if len(dets) > len(boxes):
        raise ExportError(f"The file returns {len(dets)} people for an image with {len(boxes)} priors.")
    if not len(dets):
        return torch.zeros(0, dtype=torch.long)
    sizes = (boxes[:, 2:] - boxes[:, :2]).amax(dim=-1).clamp(min=1)
    distances = (dets[:, None, :4] - boxes).abs().amax(dim=-1) / sizes + (dets[:, None, 4] - scores).abs()
    distances = distances.nan_to_num(nan=torch.inf)  # of background boxes that overflow float32
    priors = distances.argmin(dim=1)
    if len(set(priors.tolist())) < len(priors):  # where two rows are equal, or one is there twice
        for row in distances.amin(dim=1).argsort().tolist():
            priors[row] = distances[row].argmin()
            distances[:, priors[row]] = torch.inf
    return priors


def _check_selection(
    reference: Reference, image: int, priors: Tensor, score_thr: float, options: ExportOptions, tolerance: Tolerance
) -> None:
    """Check that the rows of a file are a possible selection of PyTorch's priors.

    Greedy NMS is judged by its outcome: no person overlaps a better one too much, and each one left out overlaps a
    better one too much, is below the threshold, or is below the last of the most people that the file returns.
    Scores and overlaps that differ by no more than rounding count as equal.

    Raises:
        ExportError: People are missing, or too many are returned.
    """
    scores, boxes, chosen = reference.scores[image], reference.predictions.boxes[image], reference.scores[image, priors]
    is_end2end = options.cut == "end2end"
    limit = options.max_people if is_end2end else min(options.top_k, len(scores))
    lowest = torch.tensor(score_thr if is_end2end else -1.0)
    is_missing = _is_surely_above(scores, lowest, tolerance)
    is_missing[priors] = False
    is_extra = torch.zeros(len(priors), dtype=torch.bool)
    if len(priors) >= limit:
        is_missing &= _is_surely_above(scores, chosen.min(), tolerance)
        is_extra[limit:] = True
    margin = 2 * tolerance.score
    if is_end2end:
        missing = is_missing.nonzero()[:, 0]
        is_worse = _is_surely_above(scores[missing, None], chosen, tolerance)
        overlaps = compute_iou(boxes[missing, None], boxes[priors])
        is_missing[missing] = ~(~is_worse & (overlaps > options.nms_thr - margin)).any(dim=1)
        overlaps = compute_iou(boxes[priors, None], boxes[priors])
        is_extra |= torch.triu(overlaps > options.nms_thr + margin, diagonal=1).any(dim=0)
        is_extra |= _is_surely_above(lowest, chosen, tolerance)
    num_missing, num_extra = int(is_missing.sum()), int(is_extra.sum())
    if num_missing + num_extra > tolerance.outliers * max(len(priors), num_missing):
        raise ExportError(
            f"The file finds other people than PyTorch above the score {score_thr:.3g}: {num_missing} are missing and "
            f"{num_extra} of its {len(priors)} are extra; scores and overlaps may differ by {margin:g} in "
            f"{tolerance.precision}."
        )


def _is_surely_above(scores: Tensor, others: Tensor, tolerance: Tolerance) -> Tensor:
    """Return which scores are above others by more than rounding; near 0 their logits are compared."""
    is_above: Tensor = scores > others + 2 * tolerance.score
    return is_above | (_clamp_logits(scores) > _clamp_logits(others) + max(_CLEAR, 2 * tolerance.logit))


def _check_labels(scores: Tensor, labels: Tensor, tolerance: Tolerance) -> None:
    """Check (N,) labels by the (N, C) scores of the classes; of equal scores either class is right.

    Raises:
        ExportError: A label is not a best class.
    """
    short = scores.amax(dim=-1) - scores.gather(1, labels.long()[:, None])[:, 0]
    if not (short <= 2 * tolerance.score).all():
        raise ExportError("The file gives a person another class than PyTorch.")


def _compare_people(
    reference: Reference, image: int, priors: Tensor, rows: Mapping[str, Tensor], tolerance: Tolerance
) -> Differences:
    if not len(priors):
        return Differences()
    boxes, scores = reference.predictions.boxes[image, priors], reference.scores[image, priors]
    expected = reference.locate(image, priors)
    sizes = (boxes[:, 2:] - boxes[:, :2]).amax(dim=-1, keepdim=True).clamp(min=1)
    allowed = tolerance.keypoint + _SLACK * reference.measure_sensitivity(image, priors, tolerance.disturbance)
    dets, keypoints = rows["dets"], rows["keypoints"]
    got = torch.cat([dets[:, 4:], keypoints[..., 2]], dim=1)
    wanted = torch.cat([scores[:, None], expected[..., 2]], dim=1)
    logits = (_clamp_logits(got) - _clamp_logits(wanted)).abs()
    errors = {
        "score": torch.maximum((got - wanted).abs() / tolerance.score, logits / tolerance.logit),
        "box": (dets[:, :4] - boxes).abs() / sizes / tolerance.box,
        "keypoint": (keypoints - expected)[..., :2].abs().amax(dim=-1) / allowed,
    }
    if UNCERTAINTY in rows:
        deviations = rows[UNCERTAINTY] - reference.measure_deviations(image, priors)
        errors["uncertainty"] = deviations.abs().amax(dim=-1) / allowed  # which moves with its keypoint
    _check_typical(errors, tolerance)
    if not tolerance.outliers:
        _check_order(keypoints[..., 2], expected[..., 2])
    largest: dict[str, Any] = {}
    for kind, each in errors.items():
        outliers = max(_UNSURE if kind in _IN_PIXELS else 0.0, tolerance.outliers)
        largest[kind] = _find_largest(_leave_out_unlikely(each, scores), outliers)
    return Differences(**largest, num_people=len(priors))


def _check_typical(errors: Mapping[str, Tensor], tolerance: Tolerance) -> None:
    """Check errors that most people share: rounding, which a wide tolerance is for, differs from person to person.

    Raises:
        ExportError: One column of the (N, E) errors is too large for half of the people.
    """
    for kind, each in errors.items():
        if len(each) < _ENOUGH:
            continue
        typical, column = each.nan_to_num(nan=torch.inf).quantile(0.5, dim=0).max(dim=0)
        if typical > tolerance.typical:
            raise ExportError(
                f"a {kind} differs by {float(typical):.3g} times the tolerance ({tolerance.precision}: "
                f"{tolerance.describe(kind)}) in half of the people or more (value {int(column) + 1} of "
                f"{each.shape[1]}), where {tolerance.typical:g} times is allowed."
            )


def _check_order(got: Tensor, expected: Tensor) -> None:
    """Check that no two keypoints have each other's scores (N, K), which a wide tolerance alone would allow.

    Raises:
        ExportError: The scores of two keypoints are much nearer to each other's.
    """
    if len(got) < _ENOUGH:
        return
    distances = (got[:, :, None] - expected[:, None]).abs().mean(dim=0)  # (K, K)
    own = distances.diagonal()
    is_exchanged = distances + distances.T < _NEARER * (own[:, None] + own)
    if is_exchanged.any():
        first, second = is_exchanged.nonzero()[0].tolist()
        raise ExportError(f"The scores of the keypoints {first + 1} and {second + 1} are exchanged.")


def _clamp_logits(probs: Tensor) -> Tensor:
    return probs.clamp(0, 1).logit().clamp(-_LARGEST_LOGIT, _LARGEST_LOGIT)


def _leave_out_unlikely(errors: Tensor, scores: Tensor) -> Tensor:
    """Return (N, E) errors without the worst quarter of the rows with low scores."""
    unlikely = (scores <= _LIKELY).nonzero()[:, 0]
    worst = errors[unlikely].amax(dim=1).nan_to_num(nan=torch.inf).argsort(descending=True)
    is_kept = torch.ones(len(scores), dtype=torch.bool)
    is_kept[unlikely[worst[: int(_LEFT_OUT * len(unlikely))]]] = False
    return errors[is_kept | errors.isnan().any(dim=1)]


def _find_largest(errors: Tensor, outliers: float) -> float:
    """Return the largest error after a share of them is left out; NaN if any is NaN."""
    if errors.isnan().any():
        return float("nan")
    ordered = errors.flatten().sort()[0]
    return float(ordered[len(ordered) - 1 - int(outliers * len(ordered))])


_COMPARISONS = {"end2end": _compare_rows, "decoded": _compare_rows, "fused": _compare_rows, "raw": _compare_maps}
