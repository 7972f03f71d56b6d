"""Areas of labeled people that cannot be true: zero, larger than the box, constant, of another scale.

The OKS divides by the area, so that a wrong one makes every keypoint right or every keypoint wrong. In
COCO a person fills between a tenth and all of the box, and labeling programs write width x height.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rtmo_plugin.keypoints.person_boxes import has_area

_HIGHEST = 1.1  # of the box: outlines are rounded outwards
_LOWEST = 0.005
_LOWEST_MEDIAN = 0.1  # COCO's is 0.54; thin animals have less
_MIN_PEOPLE = 5  # for a median
_MIN_SAME = 3
_SPREAD = 1.5  # of the boxes' areas, from which on people of one area are a constant


def find_area_faults(people: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    """Return what is wrong with the areas of COCO annotations, by their index.

    Missing areas are not a fault. Crowds, and people whose box has no area, are not judged.

    Args:
        people: Annotations whose ``bbox`` and ``area`` are numbers.

    Examples:
        >>> find_area_faults([{"bbox": [0, 0, 20, 30], "area": 0}, {"bbox": [0, 0, 20, 30], "area": 330}])
        {0: 'area is 0 in a box of 20 x 30'}
    """
    boxes, areas = {}, {}
    for index, person in enumerate(people):
        if "area" in person and not person.get("iscrowd") and has_area(person["bbox"]):
            boxes[index] = person["bbox"][2] * person["bbox"][3]
            areas[index] = person["area"]
    ratios = {index: areas[index] / box for index, box in boxes.items()}
    constant = _find_constant(areas, boxes)
    is_small = len(ratios) >= _MIN_PEOPLE and statistics.median(ratios.values()) < _LOWEST_MEDIAN
    lowest = _LOWEST_MEDIAN if is_small else _LOWEST
    faults = {}
    for index, person in enumerate(people):
        if index not in ratios:
            continue
        width, height = person["bbox"][2:]
        margin = 2 * (width + height)  # an outline may be counted with its border
        words = f"area is {areas[index]:g} in a box of {width:g} x {height:g}"
        if areas[index] == constant and constant:
            faults[index] = f"{words}, and that is the area of most people"
        elif ratios[index] < lowest or areas[index] > _HIGHEST * boxes[index] + margin:
            faults[index] = words
    return faults


def _find_constant(areas: Mapping[int, float], boxes: Mapping[int, float]) -> float | None:
    """Return the area that most people share although their boxes differ."""
    if len(areas) < _MIN_SAME:
        return None
    area, count = Counter(areas.values()).most_common(1)[0]
    sharing = [boxes[index] for index, value in areas.items() if value == area]
    is_constant = count >= max(_MIN_SAME, len(areas) / 2) and max(sharing) > _SPREAD * min(sharing)
    return area if is_constant else None
