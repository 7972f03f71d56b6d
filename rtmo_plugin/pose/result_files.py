"""Results as files of other programs: one CSV table, or one file of OpenPose's JSON for each image or frame."""

from __future__ import annotations

import csv as csv_format
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from rtmo_plugin.errors import OutputError
from rtmo_plugin.files import check_outputs, replace_file_also_if_stopped, write_json
from rtmo_plugin.keypoints.sets import COCO
from rtmo_plugin.media.plot_plan import PlotPlan
from rtmo_plugin.pose.results import PoseResult

_NECK = "neck"  # which OpenPose puts in the middle of the shoulders
# The COCO model of OpenPose: https://github.com/CMU-Perceptual-Computing-Lab/openpose/blob/master/doc/02_output.md
OPENPOSE_COCO = (
    "nose", _NECK, "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip
_OTHER_PARTS = ("face", "hand_left", "hand_right")


class ResultFiles:
    """Files for other programs that are written while results arrive, checked before any work.

    The CSV table has one row per person and the columns image, index, time, id, class, score, x1, y1, x2, y2, then x, y
    and visibility of each keypoint, and the standard deviations of x and y if the results have an uncertainty. Cells
    that do not apply are empty.

    Args:
        sources: Images, videos, addresses and camera numbers; folders and patterns already listed as their files.
        csv: Table to write. Default: none.
        openpose: Folder to write OpenPose's JSON to. Default: none.
        inputs: Other files that must stay as they are, such as the model.

    Raises:
        OutputError: A file would replace an input or cannot be written.
    """

    def __init__(
        self,
        sources: Sequence[str | int | Path],
        *,
        csv: str | Path | None = None,
        openpose: str | Path | None = None,
        inputs: Iterable[str | Path] = (),
    ) -> None:
        files = [*inputs, *(str(source) for source in sources if os.path.exists(str(source)))]
        self._csv = csv
        if csv is not None:
            check_outputs([csv], files)
        self._folder = None if openpose is None else OpenPoseFolder(openpose, sources, inputs=inputs)

    @contextmanager
    def open(self, keypoint_names: Sequence[str]) -> Iterator[Callable[[PoseResult], PoseResult]]:
        """Yield a function that writes a result and returns it.

        If the block is stopped by Ctrl-C, the table holds the people so far; after an error an older table stays.

        Args:
            keypoint_names: Names of the K keypoints.

        Raises:
            OutputError: A file cannot be written, for example because the disk is full.
        """
        with ExitStack() as files:
            table = None
            if self._csv is not None:
                draft = files.enter_context(replace_file_also_if_stopped(self._csv))
                rows = files.enter_context(draft.open("w", newline="", encoding="utf-8"))
                table = _Table(rows, keypoint_names)
                files.callback(table.write_header, [])  # a table without people has a header, too

            def write(result: PoseResult) -> PoseResult:
                if table is not None:
                    table.add(result)
                if self._folder is not None:
                    self._folder.write(result)
                return result

            yield write


class _Table:
    """Rows of CSV below a header, which the first result decides."""

    def __init__(self, file: TextIO, keypoint_names: Sequence[str]) -> None:
        self._rows = csv_format.writer(file)
        self._names = keypoint_names
        self._has_header = False

    def add(self, result: PoseResult) -> None:
        """Write one row for each person."""
        if result.error is not None:
            return
        self.write_header([] if result.uncertainty is None else ["x_deviation", "y_deviation"])
        record = result.to_dict()
        frame = [record["image"], record["index"], record["time"]]
        for label, person in zip(result.labels, record["people"]):
            name = result.info.classes[label]
            deviations = person.get("uncertainty", [[]] * len(person["keypoints"]))
            points = [value for pair in zip(person["keypoints"], deviations) for part in pair for value in part]
            self._rows.writerow([*frame, person.get("id"), name, person["score"], *person["box"], *points])

    def write_header(self, deviations: Sequence[str]) -> None:
        """Write the names of the columns unless they are written."""
        if self._has_header:
            return
        self._has_header = True
        fixed = ("image", "index", "time", "id", "class", "score", "x1", "y1", "x2", "y2")
        parts = ("x", "y", "visibility", *deviations)
        self._rows.writerow([*fixed, *(f"{name}_{part}" for name in self._names for part in parts)])


class OpenPoseFolder:
    """A folder with a file of OpenPose's JSON for each image or frame, named as OpenPose names them.

    The 17 keypoints of COCO become the 18 of OpenPose's COCO model, with a neck between the shoulders whose confidence
    is the lower one of the two; other keypoint sets keep their order. Confidences are the visibilities.

    Args:
        folder: Folder to write to; it need not exist yet.
        sources: Images, videos, addresses and camera numbers; folders and patterns already listed as their files.
        inputs: Other files that must stay as they are, such as the model.

    Raises:
        OutputError: A file would replace an input or cannot be written.
    """

    def __init__(
        self, folder: str | Path, sources: Iterable[str | int | Path], *, inputs: Iterable[str | Path] = ()
    ) -> None:
        if Path(folder).is_file():
            raise OutputError(f"--openpose {folder} is a file: give a folder, which gets a file for each image.")
        self._plan = PlotPlan(folder, sources, inputs=inputs, suffix="_keypoints.json")

    def write(self, result: PoseResult) -> None:
        """Write the file of an image or frame; an image that cannot be used has none.

        Raises:
            OutputError: The file cannot be written.
        """
        if result.error is None:
            write_json(self._plan.choose_path(result.frame), make_openpose_people(result))


def make_openpose_people(result: PoseResult) -> dict[str, Any]:
    """Return the people in the layout of OpenPose's JSON, version 1.3, coordinates in pixels of the image."""
    points = np.concatenate([result.keypoints, result.visibility[..., None]], axis=-1).astype(float)  # (N, K, 3)
    names = result.keypoint_names
    if names == COCO.names:
        shoulders = points[:, [names.index("left_shoulder"), names.index("right_shoulder")]]
        neck = np.concatenate([shoulders[..., :2].mean(1), shoulders[..., 2].min(1, keepdims=True)], axis=-1)
        columns = [neck if name == _NECK else points[:, names.index(name)] for name in OPENPOSE_COCO]
        points = np.stack(columns, axis=1)  # (N, 18, 3)
    ids = [-1] * len(result) if result.ids is None else result.ids.tolist()
    empty: dict[str, list[float]] = {
        f"{part}_keypoints_{dims}": [] for dims in ("2d", "3d") for part in ("pose", *_OTHER_PARTS)
    }
    people = [
        {"person_id": [number], **empty, "pose_keypoints_2d": each.reshape(-1).round(3).tolist()}
        for number, each in zip(ids, points)
    ]
    return {"version": 1.3, "people": people}
