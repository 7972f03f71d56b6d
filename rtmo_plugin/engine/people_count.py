"""Number of people that a data set has for training, printed before the first step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.dist import is_main_process
from mmpose.datasets.datasets.base import BaseCocoStyleDataset
from numpy.typing import NDArray

from rtmo_plugin.checkpoints.name_checks import list_parts
from rtmo_plugin.errors import DataError
from rtmo_plugin.keypoints.person_areas import find_area_faults
from rtmo_plugin.keypoints.person_boxes import MIN_SIDE
from rtmo_plugin.wording import count

_UNUSED = "num_unused_images"
_ADVICE = "`rtmo dataset check` says what is wrong with a file"


@dataclass(frozen=True)
class PeopleCount:
    """People of a data set that training uses, and why it does not use the others.

    Attributes:
        files: Annotation files.
        num_people: People with a labeled keypoint and a box with an area.
        num_images: Images with at least one of these.
        left_out: Number of other people by reason.
        num_empty: Images without people that training uses, which the data set leaves out.
        num_background: Images without people on which it trains, as background.
        area_faults: What is wrong with the areas of some people, see ``find_area_faults``.
        is_known: Whether all of it was counted; a data set of the user's own class may have other records.
    """

    files: tuple[str, ...] = ()
    num_people: int = 0
    num_images: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    num_empty: int = 0
    num_background: int = 0
    is_known: bool = True
    area_faults: tuple[str, ...] = ()

    @property
    def num_listed(self) -> int:
        """People in the files."""
        return self.num_people + sum(self.left_out.values())

    def __str__(self) -> str:
        """Return how many people and images are trained on, and how many are left out and why."""
        reasons = ", ".join(f"{number:,} {reason}" for reason, number in self.left_out.items() if number)
        words = [
            f"training on {count(self.num_people, 'person', 'people')} in "
            f"{count(self.num_images, 'image')}{f' (left out: {reasons})' if reasons else ''}"
        ]
        if self.num_background:
            words[0] += f", and on {count(self.num_background, 'image')} without people as background"
        if self.num_empty and self.num_background:
            words.append(f"{count(self.num_empty, 'image')} left out, whose people cannot be trained on")
        elif self.num_empty:
            words.append(f"{count(self.num_empty, 'image')} without people left out")
        return "; ".join(words)

    def report(self) -> None:
        """Print what training uses.

        Raises:
            DataError: No person can be trained on, or the areas of most people cannot be true.
        """
        if not (self.num_people or self.is_known):
            return
        if not self.num_people:
            raise DataError(f"People to train on are missing in {self._name_files()}: {self._explain()}; {_ADVICE}.")
        _print_once(str(self))
        if self.num_background > self.num_images:
            _print_once(
                "warning: more images are without people than with some: are they all labeled? To leave them out, add "
                "--cfg-options train_dataloader.dataset.keep_background=False"
            )
        if 2 * self.num_people < self.num_listed:
            _print_once(
                f"warning: fewer than half of the {self.num_listed:,} people in {self._name_files()} are trained on; "
                f"{_ADVICE}"
            )

        self._check_areas()

    def report_validation(self) -> None:
        """Print on what training is validated.

        Raises:
            DataError: No person can be found, or the areas of most people cannot be true.
        """
        if not (self.num_people or self.is_known):
            return
        if not self.num_people:
            raise DataError(
                f"People to validate on are missing in {self._name_files()}, where AP has no value: {self._explain()}; "
                "label some, or train with --no-validate."
            )
        _print_once(f"validating on {count(self.num_people, 'person', 'people')} in {count(self.num_images, 'image')}")
        self._check_areas()

    def _check_areas(self) -> None:
        """Warn of areas that cannot be true, and refuse a file where most are: OKS divides by them."""
        if not self.area_faults:
            return
        found = (
            f"{len(self.area_faults):,} of {count(self.num_people, 'area')} in {self._name_files()} do not fit their "
            f"box ({self.area_faults[0]}), and OKS divides by them"
        )
        remedy = "`rtmo dataset check FILE --fix COPY` writes a copy with 0.53 of the box"
        if 2 * len(self.area_faults) > self.num_people:
            raise DataError(f"{found}: {remedy}.")
        _print_once(f"warning: {found}: {remedy}")

    def _name_files(self) -> str:
        return ", ".join(self.files) or "the data"

    def _explain(self) -> str:
        reasons = [f"{number:,} {reason}" for reason, number in self.left_out.items() if number]
        return f"of {count(self.num_listed, 'person', 'people')}, {' and '.join(reasons)}" if reasons else (
            "its images have no people"
        )  # fmt: skip


def _print_once(line: str) -> None:
    if is_main_process():
        print(line, flush=True)


@contextmanager
def note_unused_images() -> Iterator[None]:
    """Let data sets that are built inside note how many images of their file they leave out.

    MMPose's loader drops images without people in training, and forgets how many there were.

    Raises:
        DataError: A file leaves nothing, which MMEngine could not pack.
    """
    original = BaseCocoStyleDataset._get_bottomup_data_infos

    def collect(dataset: Any, people: list[dict[str, Any]], images: list[dict[str, Any]]) -> list[dict[str, Any]]:
        records: list[dict[str, Any]] = original(dataset, people, images)
        if not records and dataset.serialize_data:
            why = "its images have no people" if images else "it lists no images"
            what = "Images to evaluate on" if dataset.test_mode else "People to train on"
            raise DataError(f"{what} are missing in {dataset.ann_file}: {why}; {_ADVICE}.")
        setattr(dataset, _UNUSED, len(images) - len(records))
        return records

    BaseCocoStyleDataset._get_bottomup_data_infos = collect
    try:
        yield
    finally:
        BaseCocoStyleDataset._get_bottomup_data_infos = original


def count_people(dataset: Any, *, counts_crowds: bool = True) -> PeopleCount:
    """Count the people of a data set, or of several combined, by its records.

    Args:
        dataset: Data set, or several of them combined.
        counts_crowds: Whether people with ``iscrowd`` count: training uses those with keypoints, and AP does not.
    """
    files, numbers, num_images, num_empty, is_known = [], np.zeros(4, int), 0, 0, True
    num_background, people = 0, []
    for part in list_parts(dataset):
        if not isinstance(part, BaseDataset):  # of the user's own kind
            is_known = False
            continue
        if getattr(part, "ann_file", None):
            files.append(str(part.ann_file))
        num_empty += getattr(part, _UNUSED, 0)
        for index in range(len(part)):
            record = BaseDataset.get_data_info(part, index)
            if record.get("is_background"):
                num_background, num_empty = num_background + 1, num_empty - 1  # left out by the base class only
                continue
            found = _judge_people(record, counts_crowds)
            numbers += np.bincount(found, minlength=4)
            num_images += bool((found == 0).any())
            people += _list_areas(record, found == 0)
    reasons = ("without labeled keypoints", "with boxes of no area", "in crowds")
    left_out = {reason: int(number) for reason, number in zip(reasons, numbers[1:])}
    return PeopleCount(
        files=tuple(dict.fromkeys(files)),
        num_people=int(numbers[0]),
        num_images=num_images,
        left_out=left_out,
        num_empty=num_empty,
        num_background=num_background,
        is_known=is_known,
        area_faults=tuple(find_area_faults(people).values()),
    )


def _list_areas(record: dict[str, Any], is_used: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Return box (x, y, width, height) and area of the people of a record that are used, if it has areas."""
    areas = np.asarray(record.get("area", ())).reshape(-1)
    if not is_used.any() or len(areas) != len(is_used):
        return []
    boxes = np.asarray(record["bbox"]).reshape(-1, 4)
    return [
        {"bbox": [x, y, x2 - x, y2 - y], "area": area}
        for (x, y, x2, y2), area in zip(boxes[is_used].tolist(), areas[is_used].tolist())
    ]


def _judge_people(record: dict[str, Any], counts_crowds: bool) -> NDArray[np.int64]:
    """Return for each person of a record 0, or 1 without a labeled keypoint, 2 with a box of no area, 3 in a crowd."""
    visible = np.asarray(record.get("keypoints_visible", np.zeros((0, 1))))
    if not len(visible):
        return np.zeros(0, int)
    is_labeled = (visible.reshape(len(visible), -1) > 0).any(1)
    boxes = np.asarray(record["bbox"]).reshape(len(visible), -1, 2)
    has_area = ((boxes.max(1) - boxes.min(1)) >= MIN_SIDE).all(1)
    in_crowd = np.asarray(record.get("iscrowd", 0), bool) & (not counts_crowds)
    return np.where(is_labeled, np.where(has_area, np.where(in_crowd, 3, 0), 2), 1)
