"""An exported file on images on disk, an image at a time, as plain values: what ``rtmo predict`` prints and draws."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rtmo_plugin.errors import ConfigError
from rtmo_plugin.inference.drawing import draw_people
from rtmo_plugin.inference.files import SUFFIXES, list_images, make_folder, read_image, write_image
from rtmo_plugin.inference.model_info import ModelInfo
from rtmo_plugin.inference.people import People
from rtmo_plugin.inference.pose_model import PoseModel


def predict_images(
    model: str | Path, images: str | Path, out: str | Path | None = None, *, score_thr: float = 0.3, **options: Any
) -> Iterator[dict[str, Any]]:
    """Find the people in an image or in all images of a folder.

    Args:
        model: An exported file.
        images: An image or a folder.
        out: Folder for pictures, which keep the images' names; None for none.
        score_thr: People must score above this.
        **options: Of ``PoseModel``.

    Yields:
        For each image ``image`` (its path), ``people`` and ``error``, why it could not be used or None;
        see ``describe_people``.

    Raises:
        UserError: The model or the path is wrong; raised at the first image.
    """
    paths = list_images(images)
    if out is not None and Path(out).resolve() == paths[0].parent.resolve():
        raise ConfigError(f"--out {out} is where the images are, and would replace them: choose another folder.")
    folder = None if out is None else make_folder(out, "--out")
    opened = PoseModel(model, score_thr=score_thr, **options)
    for result in opened.predict_files(paths):
        people = result.people
        if people is not None and folder is not None:
            _draw(result.path, people, opened.info, folder)
        described = [] if people is None else describe_people(people, opened.info.classes)
        yield {"image": str(result.path), "people": described, "error": result.error}


def describe_people(people: People, classes: tuple[str, ...] = ("person",)) -> list[dict[str, Any]]:
    """Return people as plain values, in pixels of the image.

    Returns:
        For each ``score``, ``box`` (x1, y1, x2, y2), ``keypoints`` (K times x, y, score), and ``class``
        where there are several.
    """
    poses = np.concatenate([people.keypoints, people.keypoint_scores[..., None]], axis=-1)
    described = []
    for score, box, pose, label in zip(people.scores, people.boxes, poses, people.labels):
        person = {"score": float(score), "box": box.round(2).tolist(), "keypoints": pose.round(3).tolist()}
        described.append(person if len(classes) == 1 else {"class": classes[label], **person})
    return described


def _draw(path: Path, people: People, info: ModelInfo, folder: Path) -> None:
    """Write a picture with the people."""
    schema = info.schema
    texts = [info.classes[label] for label in people.labels] if len(info.classes) > 1 else []
    picture = draw_people(
        read_image(path),
        people.keypoints,
        people.keypoint_scores,
        schema.skeleton,
        flip_pairs=schema.flip_pairs,
        texts=texts,
    )
    write_image(folder / (path.name if path.suffix.lower() in SUFFIXES else f"{path.name}.png"), picture)
