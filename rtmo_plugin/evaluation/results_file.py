"""Result files: the detections of a whole data set, in the format of COCO's server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.errors import DataError, MissingFileError
from rtmo_plugin.evaluation.predictions import Predictions
from rtmo_plugin.files import read_json, write_file
from rtmo_plugin.keypoints.whole_body import join_parts

_NEEDED: dict[str, Any] = {"image_id": (int, str), "category_id": int, "keypoints": list, "score": (int, float)}


def write_results(found: Predictions, path: Path, fields: Mapping[str, slice] | None = None) -> None:
    """Write predictions in the format of COCO's server.

    Args:
        found: Predictions.
        path: File to write.
        fields: Keypoints of each field of an entry. Default: all of them, and the box, in one entry.
    """
    points = np.concatenate([found.keypoints, found.keypoint_scores[..., None]], -1)
    columns = zip(
        found.image_ids,
        found.category_ids.tolist(),
        found.scores.tolist(),
    )
    rows = [dict(zip(("image_id", "category_id", "score"), row)) for row in columns]
    for name, chosen in (fields or {"keypoints": slice(None)}).items():
        rows = [{**row, name: part.ravel().tolist()} for row, part in zip(rows, points[:, chosen])]
    if found.boxes_xywh is not None and fields is None:
        rows = [{**row, "bbox": box} for row, box in zip(rows, found.boxes_xywh.tolist())]
    write_file(path, json.dumps(rows))


def write_truth(content: dict[str, Any], path: Path) -> None:
    """Write ground truth that came with the samples as an annotation file, beside the results."""
    ids = {each["category_id"] for each in content["annotations"]}
    categories = content.get("categories") or [{"id": each, "name": str(each)} for each in sorted(ids)]
    write_file(
        path, json.dumps({**content, "categories": categories}, default=lambda value: value.tolist())
    )  # of NumPy


def read_results(path: str | Path) -> list[dict[str, Any]]:
    """Read a result file, as ``outfile_prefix`` and the COCO tools write them.

    Returns:
        One sample for each image with detections, as ``CocoMetric.process`` takes them, which checks the
        numbers.

    Raises:
        MissingFileError: The file does not exist.
        DataError: It is not JSON, not all of it is there, or an entry lacks something.
    """
    try:
        rows = read_json(path)
    except FileNotFoundError:
        raise MissingFileError(f"The result file {path} does not exist.") from None
    except DataError as error:
        raise DataError(f"The result file {error}") from error
    if not isinstance(rows, list):
        raise DataError(f"The result file {path} is not in COCO's format: it is not a list of detections.")
    images: dict[Any, list[dict[str, Any]]] = {}
    for row in _check_rows(rows, path):
        images.setdefault(row["image_id"], []).append(join_parts(row))
    return [_make_sample(image_id, of_image, path) for image_id, of_image in images.items()]


def _check_rows(rows: list[Any], path: str | Path) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(rows):
        for name, kind in _NEEDED.items():
            if not isinstance(row, dict) or name not in row:
                raise DataError(f"Detection {number} of the result file {path} has no `{name}`.")
            if not isinstance(row[name], kind):
                raise DataError(f"Detection {number} of the result file {path}: `{name}` is {row[name]!r:.40}.")
        yield row


def _make_sample(image_id: Any, rows: list[dict[str, Any]], path: str | Path) -> dict[str, Any]:
    """Return the detections of one image as a model's sample."""
    lengths = {len(row["keypoints"]) for row in rows}
    if len(lengths) > 1 or lengths.pop() % 3:
        raise DataError(
            f"The detections of image {image_id} in the result file {path} do not have three numbers (x, y, score) "
            "for each of equally many keypoints."
        )
    try:
        found = _stack_rows(rows)
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(
            f"The detections of image {image_id} in the result file {path} have numbers that cannot be read: {error}."
        ) from error
    return {"id": [image_id], "img_id": image_id, "pred_instances": found, "gt_instances": {}}


def _stack_rows(rows: list[dict[str, Any]]) -> dict[str, NDArray[Any]]:
    points = np.array([row["keypoints"] for row in rows], np.float64).reshape(len(rows), -1, 3)
    found = {
        "keypoints": points[..., :2],
        "keypoint_scores": points[..., 2],
        "bbox_scores": np.array([row["score"] for row in rows], np.float64),
        "category_ids": np.array([row["category_id"] for row in rows], int),
    }
    if all("bbox" in row for row in rows):
        boxes = np.array([row["bbox"] for row in rows], np.float64).reshape(len(rows), 4)
        found["bboxes"] = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)
    return found
