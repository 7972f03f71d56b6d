"""Results of ``Pose``: the people in one image, to read, plot, save and convert."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.errors import ConfigError, DataError, OutputError
from rtmo_plugin.files import write_json
from rtmo_plugin.media.drawing import draw_ellipses, draw_people
from rtmo_plugin.media.frames import Frame
from rtmo_plugin.media.image_files import write_image
from rtmo_plugin.media.image_headers import SUFFIXES
from rtmo_plugin.number_ranges import FRACTION
from rtmo_plugin.runtime.detections import Detections
from rtmo_plugin.runtime.model_info import ModelInfo
from rtmo_plugin.wording import count

if TYPE_CHECKING:
    import supervision

Image = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class PoseResult:
    """N people in one image, best first; all coordinates are pixels of that image, not rounded.

    A selection of the people is a result again: ``result[0]``, ``result[:3]``, ``result[result.scores > 0.5]``.

    Attributes:
        frame: Image and its origin.
        people: Arrays behind the properties.
        info: Keypoint names, skeleton and classes of the model.
        ids: (N,) ids from 1 that stay with tracked people, or -1 where a track is not confirmed. None without tracking.
    """

    frame: Frame
    people: Detections
    info: ModelInfo
    ids: NDArray[np.int64] | None = None

    @property
    def boxes(self) -> Floats:
        """(N, 4) x1, y1, x2, y2."""
        return self.people.boxes

    @property
    def scores(self) -> Floats:
        """(N,) scores of the people, 0..1."""
        return self.people.scores

    @property
    def keypoints(self) -> Floats:
        """(N, K, 2) x and y of every keypoint, also of invisible ones."""
        return self.people.keypoints

    @property
    def visibility(self) -> Floats:
        """(N, K) probability that an annotator would have marked the keypoint, 0..1.

        It is high for keypoints that are visible, or hidden but easy to guess, and low for those outside the image
        or impossible to guess.  It does not measure how exact the position is.
        """
        return self.people.keypoint_scores

    @property
    def uncertainty(self) -> Floats | None:
        """(N, K, 2) standard deviation of x and y in pixels; None without ``Pose(..., uncertainty=True)``.

        It follows from the distribution of each keypoint and the scale of its error that the model learned, see
        ``rtmo_plugin.models.heads.uncertainty``.  An exported file may hold a calibration, which is applied.
        """
        return self.people.uncertainty

    @property
    def labels(self) -> NDArray[np.int64]:
        """(N,) class labels, indices into ``info.classes``."""
        return self.people.labels

    @property
    def keypoint_names(self) -> tuple[str, ...]:
        """K keypoint names."""
        return self.info.schema.names

    @property
    def image(self) -> Image:
        """Image, (height, width, 3) BGR.

        Raises:
            DataError: The image could not be read, or is not kept.
        """
        if self.frame.image is None:
            raise DataError(self.error or f"{self.frame.name} is not kept.")
        return self.frame.image

    @property
    def error(self) -> str | None:
        """Reason in one sentence why the image could not be used, and has no people; None if it could."""
        return self.frame.error

    def __repr__(self) -> str:
        """Return the name of the image and the number of people in one line."""
        frame = self.frame
        where = "" if frame.time_s is None else f", frame {frame.index}, {frame.time_s:.3f} s"
        if self.error is not None:
            return f"PoseResult({frame.name!r}{where}, error={self.error!r})"
        best = f", best score {self.scores.max():.2f}" if len(self) else ""
        return f"PoseResult({frame.name!r}{where}, {count(len(self), 'person', 'people')}{best})"

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, rows: Any) -> PoseResult:
        if isinstance(rows, (int, np.integer)):
            rows = [range(len(self))[rows]]  # which raises IndexError past the end, so that a loop stops
        ids = None if self.ids is None else self.ids[rows]
        return replace(self, people=self.people.select(rows), ids=ids)

    def __iter__(self) -> Iterator[PoseResult]:
        return (self[index] for index in range(len(self)))

    def drop_image(self) -> PoseResult:
        """Return the result without the pixels of its image, so that a long list fits in memory."""
        return replace(self, frame=replace(self.frame, image=None))

    def plot(self, image: Image | None = None, *, keypoint_thr: float = 0.3, boxes: bool = False) -> Image:
        """Return a copy of the image with the people drawn on it.

        If the result has uncertainty, an ellipse around each keypoint shows one standard deviation.

        Args:
            image: Image of the same size to draw on. Default: the result's own.
            keypoint_thr: Lowest visibility of keypoints that are drawn.
            boxes: Whether boxes are drawn too.

        Raises:
            DataError: The image could not be read.
        """
        FRACTION.check("keypoint_thr", keypoint_thr)
        canvas = (self.image if image is None else image).copy()
        for x1, y1, x2, y2 in np.round(self.boxes).astype(int).tolist() if boxes else ():
            cv2.rectangle(canvas, (x1, y1), (x2, y2), (255, 255, 255), max(1, max(canvas.shape[:2]) // 640))
        texts = [f"{score:.2f}" for score in self.scores]  # above each person: id, class where several, and score
        if len(self.info.classes) > 1:
            texts = [f"{self.info.classes[label]} {text}" for label, text in zip(self.labels, texts)]
        if self.ids is not None:
            texts = [f"#{n} {text}" if n > 0 else text for n, text in zip(self.ids, texts)]
        schema = self.info.schema
        numbers = () if self.ids is None else self.ids.tolist()
        options: dict[str, Any] = {"flip_pairs": schema.flip_pairs, "keypoint_thr": keypoint_thr, "numbers": numbers}
        skeletons = self.info.find_skeletons(self.labels.tolist())
        drawn = draw_people(canvas, self.keypoints, self.visibility, skeletons, texts=texts, **options)
        if self.uncertainty is not None:
            is_shown = self.visibility >= keypoint_thr
            draw_ellipses(drawn, self.keypoints[is_shown], self.uncertainty[is_shown])
        return drawn

    def save(self, path: str | Path) -> Path:
        """Write the image of ``plot``, or, if the name ends with ``.json``, the values of ``to_dict``.

        The file appears when all of it is written, and an older one stays until then.

        Raises:
            ConfigError: The name ends with another suffix.
            OutputError: It cannot be written, for example because the disk is full, or it is the image itself.
        """
        path, source = Path(path), self.frame.path
        if source is not None and os.path.exists(path) and os.path.exists(source) and os.path.samefile(path, source):
            raise OutputError(f"{path} is the image itself and would be overwritten; choose another name.")
        if path.suffix.lower() == ".json":
            return write_json(path, self.to_dict())
        if path.suffix.lower() not in SUFFIXES:
            raise ConfigError(f"{path} cannot be saved: take a name that ends with .json or {', '.join(SUFFIXES)}.")
        return write_image(path, self.plot())

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, the same in ``rtmo predict --json`` and ``predictions.json``."""
        frame = {"image": self.frame.name, "index": self.frame.index, "time": self.frame.time_s}
        return {**frame, "people": [self._describe(n) for n in range(len(self))], "error": self.error}

    def to_coco(self, image_id: int | str | None = None) -> list[dict[str, Any]]:
        """Return the people as rows of a COCO result file, boxes as x, y, width, height.

        Args:
            image_id: Id of the image. Default: the file name if it is a number, as in COCO, or else the index.
        """
        if image_id is None:
            stem = self.frame.path.stem if self.frame.path and self.frame.time_s is None else ""
            image_id = int(stem) if stem.isdecimal() else self.frame.index
        return [
            {
                "image_id": image_id,
                "category_id": int(label) + 1,
                "keypoints": np.column_stack([points, visibility]).reshape(-1).astype(float).tolist(),
                "bbox": [float(value) for value in (*box[:2], *(box[2:] - box[:2]))],
                "score": float(score),
            }
            for points, visibility, box, score, label in zip(
                self.keypoints, self.visibility, self.boxes, self.scores, self.labels
            )
        ]

    def to_supervision(self) -> supervision.KeyPoints:
        """Return the people as ``supervision.KeyPoints``.

        Its ``data`` holds the boxes, if tracked the ids, and with uncertainty the ``covariance`` (N, K, 2, 2) of each
        keypoint, which supervision's ellipse annotators draw.

        Raises:
            ConfigError: The package is not installed.
        """
        try:
            from supervision import KeyPoints
        except ImportError as error:
            raise ConfigError('to_supervision() needs a package: pip install "supervision>=0.29"') from error
        names = np.array([self.info.classes[label] for label in self.labels], dtype=str)
        data: dict[str, Any] = {"class_name": names, "xyxy": self.boxes.astype(np.float32)}
        if self.uncertainty is not None:
            data["covariance"] = np.square(self.uncertainty)[..., None].astype(np.float32) * np.eye(2, dtype=np.float32)
        return KeyPoints(
            xy=self.keypoints.astype(np.float32),
            class_id=self.labels.astype(int),
            keypoint_confidence=self.visibility.astype(np.float32),
            detection_confidence=self.scores.astype(np.float32),
            data=data if self.ids is None else {**data, "tracker_id": self.ids},
        )

    def _describe(self, n: int) -> dict[str, Any]:
        """Return one person as plain values, rounded to hundredths of a pixel."""
        points = np.column_stack([self.keypoints[n].round(2), self.visibility[n].round(3)]).astype(float)
        person: dict[str, Any] = {
            "score": round(float(self.scores[n]), 4),
            "box": self.boxes[n].astype(float).round(2).tolist(),
            "keypoints": points.round(3).tolist(),
        }
        if self.uncertainty is not None:
            person["uncertainty"] = self.uncertainty[n].astype(float).round(2).tolist()
        if len(self.info.classes) > 1:
            person["class"] = self.info.classes[self.labels[n]]
        return person if self.ids is None else {"id": int(self.ids[n]), **person}
