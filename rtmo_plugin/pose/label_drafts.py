"""Predictions as labels to correct: `rtmo dataset label` as a function, the least certain images first.

The doubt of an image, 0 to 1, is that of its most doubtful person. With scores a person's doubt is 1 at a score of 0.5
and 0 at 0 and 1, also for people below the score threshold, whom the labels do not have. With deviations it is the
mean deviation of the visible keypoints, relative to the square root of the box's area.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rtmo_plugin.errors import DataError, MissingFileError, escape_control_characters
from rtmo_plugin.files import check_outputs, write_file
from rtmo_plugin.keypoints.sides import find_flip_pairs
from rtmo_plugin.labels.check_tool import describe_contents
from rtmo_plugin.labels.coco_files import read_coco, write_coco
from rtmo_plugin.labels.conversion import FORMATS, convert_from_coco
from rtmo_plugin.labels.image_inspection import find_image_files
from rtmo_plugin.labels.label_set import LabeledImage, LabelSet, Person, to_coco
from rtmo_plugin.labels.tool_files.label_studio import write_tasks
from rtmo_plugin.number_ranges import BATCH_SIZE, FRACTION, NUMBER
from rtmo_plugin.pose.pose import Pose
from rtmo_plugin.pose.results import PoseResult
from rtmo_plugin.progress_bar import show_progress
from rtmo_plugin.runtime.model_info import ModelInfo

ORDER_COLUMNS = ("image", "doubt", "people", "lowest_score")
_LOWEST_SCORE = 0.1  # of a person who counts for the doubt
_VISIBLE = 0.3  # lowest visibility of a keypoint that is labeled
_DECIMALS = 2
_SHOWN = 3


class _Draft(NamedTuple):
    """Labels of an image, and how doubtful they are."""

    name: str
    image: LabeledImage
    doubt: float
    lowest_score: float


def draft_labels(
    model: str | Path,
    folder: str | Path,
    out: str | Path,
    target_format: str = "coco",
    *,
    limit: int | None = None,
    skip: str | Path | None = None,
    score_thr: float = 0.3,
    address: str = "",
    **options: Any,
) -> bool:
    """Detect the people in the images of a folder, and write them as labels to correct.

    Beside the labels is ``NAME.order.csv``: images, their doubt, number of people and lowest score, in the order of the
    labels.

    Args:
        model: Model in any form that ``Pose`` takes.
        folder: Folder of the images; images below it count.
        out: File or folder of the target format, which must not exist yet.
        target_format: ``coco``, ``cvat``, ``labelme``, ``label-studio`` or ``yolo``.
        limit: Number of images to write, the least certain ones. Default: all.
        skip: COCO file whose images are left out, because they are labeled already.
        score_thr: Lowest score of a person in the labels.
        address: What Label Studio puts before the name of an image, such as ``/data/local-files/?d=photos/``.
        **options: ``order`` (``score``, or ``deviation`` if the model has an uncertainty), ``batch_size``, and options
            of ``Pose``.

    Returns:
        Whether the labels have people.

    Raises:
        UserError: The model, the folder, an option or the output is wrong.
    """
    FRACTION.check("score_thr", score_thr)
    batch_size = options.pop("batch_size", 1)
    BATCH_SIZE.check("batch_size", batch_size)
    if limit is not None:
        NUMBER.check("limit", limit)
    target = Path(out)
    order_file = target.with_name(f"{target.stem}.order.csv")
    if os.path.lexists(target) and not (target.is_dir() and not any(target.iterdir())):
        raise DataError(f"{target} exists already and is not overwritten: name another file or folder.")
    check_outputs([order_file], [skip] if skip else [])
    files = _list_files(Path(folder), skip)
    is_by_deviation = {"score": False, "deviation": True}[options.pop("order", "score")]
    pose = Pose(model, score_thr=min(score_thr, _LOWEST_SCORE), uncertainty=is_by_deviation, **options)
    failed: list[str] = []
    drafts = list(_make_drafts(pose, files, batch_size, score_thr, failed))
    if not drafts:
        raise DataError(f"No image of {folder} could be read: {failed[0]}")
    drafts.sort(key=lambda draft: (-draft.doubt, draft.name))
    drafts = drafts[:limit]
    labels = LabelSet(_describe_categories(pose.info), {draft.name: draft.image for draft in drafts})
    coco = to_coco(labels.complete_boxes())
    scores = {draft.name: 1 - draft.doubt for draft in drafts}
    _write(coco, target, target_format, scores, address)
    write_file(order_file, _encode_order(drafts))
    print(f"{target}: {describe_contents(coco)}")
    listed = ", ".join(f"{draft.name} ({draft.doubt:.2f})" for draft in drafts[:_SHOWN])
    print(
        f"  The least certain images come first, with their doubt: {listed}{', ...' if len(drafts) > _SHOWN else ''}."
    )
    print(f"  The order is in {order_file}.")
    for reason in failed:
        print(f"  skipped: {escape_control_characters(reason)}")
    return bool(coco["annotations"])


def _list_files(folder: Path, skip: str | Path | None) -> dict[str, Path]:
    """Return the images in and below a folder by name, without those of a COCO file."""
    if not folder.is_dir():
        raise MissingFileError(f"The image folder {folder} does not exist.")
    files = find_image_files(folder)
    if not files:
        raise MissingFileError(f"No image was found in {folder}.")
    known = {each.get("file_name") for each in read_coco(skip)["images"]} if skip else set()
    left = {name: path for name, path in files.items() if name not in known}
    if not left:
        raise DataError(f"All {len(files):,} images of {folder} are labeled in {skip}: nothing is left to label.")
    return left


def _make_drafts(
    pose: Pose, files: dict[str, Path], batch_size: int, score_thr: float, failed: list[str]
) -> Iterator[_Draft]:
    names = {str(path): name for name, path in files.items()}
    results = pose.stream(list(files.values()), batch_size=batch_size)
    for result in show_progress(results, desc="labeling images", total=len(files)):
        if result.error:
            failed.append(result.error)
            continue
        height, width = result.image.shape[:2]
        doubts = measure_doubts(result)
        kept = result[result.scores >= score_thr]
        people = [_make_person(kept, row, (width, height)) for row in range(len(kept))]
        lowest = float(kept.scores.min()) if len(kept) else float("nan")
        yield _Draft(names[str(result.frame.path)], LabeledImage(width, height, people), max(doubts, default=0), lowest)


def measure_doubts(result: PoseResult) -> list[float]:
    """Return the doubt of each person of a result, 0..1 (see the module)."""
    if result.uncertainty is None:
        return [float(1 - abs(2 * score - 1)) for score in result.scores]
    sides = result.boxes[:, 2:] - result.boxes[:, :2]
    sizes = np.sqrt(np.maximum(sides.prod(axis=-1), 1))
    doubts = []
    for deviations, visibility, size in zip(result.uncertainty, result.visibility, sizes):
        seen = deviations[visibility >= _VISIBLE]
        doubts.append(min(float(seen.mean() / size), 1.0) if len(seen) else 1.0)
    return doubts


def _make_person(result: PoseResult, row: int, size_wh: tuple[int, int]) -> Person:
    """Return a detected person as a label, with the box clipped to the image."""
    corners = np.clip(result.boxes[row].reshape(2, 2), 0, size_wh).round(_DECIMALS).tolist()
    (left, top), (right, bottom) = corners
    points = [
        (round(float(x), _DECIMALS), round(float(y), _DECIMALS), 2) if v >= _VISIBLE else (0, 0, 0)
        for (x, y), v in zip(result.keypoints[row], result.visibility[row])
    ]
    return Person.from_points(result.info.classes[result.labels[row]], [left, top, right - left, bottom - top], points)


def _describe_categories(info: ModelInfo) -> dict[str, dict[str, Any]]:
    """Return the classes of a model as categories; flips that the names tell are left out."""
    schema = info.schema
    entry: dict[str, Any] = {"keypoints": list(schema.names)}
    flips = {tuple(sorted(pair)) for pair in schema.flip_pairs}
    if flips != {tuple(sorted(pair)) for pair in find_flip_pairs(schema.names)}:
        entry["flip_pairs"] = [[schema.names[a], schema.names[b]] for a, b in schema.flip_pairs]
    skeletons = (
        [[start + 1, end + 1] for start, end in links] for links in info.find_skeletons(range(len(info.classes)))
    )
    return {name: {**entry, **({"skeleton": bones} if bones else {})} for name, bones in zip(info.classes, skeletons)}


def _write(coco: dict[str, Any], target: Path, name: str, scores: dict[str, float], address: str) -> None:
    if name == "coco":
        write_coco(target, coco, overwrite=False)
        return
    form = FORMATS[name]
    if name == "label-studio":
        form = replace(form, write=lambda labels, out, _: write_tasks(labels, out, "predictions", scores, address))
    convert_from_coco(coco, target, name, form=form)


def _encode_order(drafts: Sequence[_Draft]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(ORDER_COLUMNS)
    for draft in drafts:
        lowest = "" if np.isnan(draft.lowest_score) else round(draft.lowest_score, 3)
        writer.writerow([draft.name, round(draft.doubt, 3), len(draft.image.people), lowest])
    return text.getvalue()
