"""Statistics of a COCO file: sizes of people, keypoints by name, left and right, classes, and duplicates."""

from __future__ import annotations

import math
import os
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

from rtmo_plugin.files import compute_hash
from rtmo_plugin.labels.annotations import count_labeled
from rtmo_plugin.labels.categories import list_partners
from rtmo_plugin.labels.coco_files import Coco, split_points
from rtmo_plugin.labels.json_values import are_numbers
from rtmo_plugin.wording import count

SIZE_EDGES = (16, 32, 64, 96, 192, 384)  # pixels, square root of the box's area; 32 and 96 are COCO's limits
CROWD_EDGES = (1, 2, 3, 6, 11, 21)  # people in an image
NEAR_EMPTY = 20  # people; with fewer a class is hardly learned
_RARE_SHARE = 0.05  # of the people; a keypoint that is labeled less often is named
_LEAST_RATIO, _LEAST_DIFFERENCE = 0.8, 10  # of the labels of one side to those of the other
_SAME_DISTANCE = 0.03  # mean distance of two people's keypoints, relative to the square root of the box's area
_MAX_SAME = 200  # people of an image that are compared with one another


@dataclass(frozen=True)
class KeypointCount:
    """How often a keypoint of one or several classes is labeled.

    Attributes:
        name: Name of the keypoint.
        num_visible: People in which it is visible.
        num_hidden: People in which it is labeled as hidden.
        num_people: Labeled people of the classes that have it.
    """

    name: str
    num_visible: int
    num_hidden: int
    num_people: int

    @property
    def num_labeled(self) -> int:
        """People in which it is labeled."""
        return self.num_visible + self.num_hidden

    @property
    def share(self) -> float:
        """Share of the people in which it is labeled, 0..1."""
        return self.num_labeled / max(self.num_people, 1)


@dataclass(frozen=True)
class LabelStatistics:
    """Statistics of a COCO file.

    Attributes:
        num_images: Images.
        num_backgrounds: Images without an annotation.
        num_people: Annotations that are not crowd regions.
        num_labeled: People with a labeled keypoint.
        classes: People, and images with people, by category name.
        sizes: People by size, the square root of the box's area in pixels.
        crowds: Images by number of people.
        keypoints: Counts of each keypoint, in the order of the first category that has it.
        sides: Labels of each left and right keypoint: (left, right, number of left, number of right).
        same_files: Groups of images whose files are equal to the byte.
        same_people: Pairs of annotation ids of one image with nearly the same keypoints.
    """

    num_images: int
    num_backgrounds: int
    num_people: int
    num_labeled: int
    classes: dict[str, tuple[int, int]]
    sizes: dict[str, int]
    crowds: dict[str, int]
    keypoints: list[KeypointCount]
    sides: list[tuple[str, str, int, int]]
    same_files: list[list[str]]
    same_people: list[tuple[Any, Any]]

    def list_findings(self) -> Iterator[str]:
        """Yield a sentence on each number that a user should look at."""
        for name, (num_people, _) in self.classes.items():
            if num_people < NEAR_EMPTY:
                yield f"The class {name} has {count(num_people, 'person', 'people')}: too few to learn it."
        yield from self._find_keypoints()
        if self.num_people and not self.num_backgrounds:
            yield "Every image has people: images without people teach what background looks like."
        for group in self.same_files[:3]:
            yield f"The same file {len(group)} times: {', '.join(group[:4])}{', ...' if len(group) > 4 else ''}."
        if len(self.same_files) > 3:
            yield f"{len(self.same_files) - 3:,} more groups of equal files."
        if self.same_people:
            first = self.same_people[0]
            yield (
                f"{count(len(self.same_people), 'pair')} of people with nearly the same keypoints, "
                f"such as the annotations {first[0]} and {first[1]}."
            )

    def _find_keypoints(self) -> Iterator[str]:
        """Yield a sentence on keypoints that are rarely labeled, on one side only, or never as hidden."""
        for each in self.keypoints:
            if not each.num_labeled:
                yield f"The keypoint {each.name} is never labeled."
            elif each.share < _RARE_SHARE:
                yield f"The keypoint {each.name} is labeled in {each.num_labeled:,} of {each.num_people:,} people."
        for left, right, num_left, num_right in self.sides:
            low, high = sorted((num_left, num_right))
            if low < _LEAST_RATIO * high and high - low >= _LEAST_DIFFERENCE:
                yield f"{left} is labeled {num_left:,} times and {right} {num_right:,} times."
        if self.num_labeled and not any(each.num_hidden for each in self.keypoints):
            yield "No keypoint is labeled as hidden (visibility 1), from which models learn to place hidden keypoints."


def measure_labels(coco: Coco, images: Path | None = None) -> LabelStatistics:
    """Return the statistics of a COCO file.

    Args:
        coco: Normalized content; entries that are not of COCO's form are left out.
        images: Folder of the images, to find equal files. Default: files are not compared.
    """
    names = {each["id"]: each for each in coco["categories"] if each.get("keypoints")}
    files = {each["id"]: each["file_name"] for each in coco["images"] if isinstance(each.get("file_name"), str)}
    people = [each for each in coco["annotations"] if _is_person(each, names, files)]
    by_image: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for each in people:
        by_image[each["image_id"]].append(each)
    annotated = {each.get("image_id") for each in coco["annotations"] if isinstance(each, dict)}
    classes = {}
    for category_id, entry in names.items():
        own = [each for each in people if each["category_id"] == category_id]
        classes[entry["name"]] = (len(own), len({each["image_id"] for each in own}))
    boxes = [each["bbox"] for each in people if are_numbers(each.get("bbox"), 4)]
    counts: dict[str, Counter[int]] = {name: Counter() for entry in names.values() for name in entry["keypoints"]}
    for each in people:
        if count_labeled(each["keypoints"]):
            for name, (_, _, v) in zip(names[each["category_id"]]["keypoints"], split_points(each["keypoints"])):
                counts[name][min(max(round(v), 0), 2)] += 1
    keypoints = [KeypointCount(name, found[2], found[1], found.total()) for name, found in counts.items()]
    labeled = {each.name: each.num_labeled for each in keypoints}
    return LabelStatistics(
        num_images=len(files),
        num_backgrounds=sum(image_id not in annotated for image_id in files),
        num_people=len(people),
        num_labeled=sum(count_labeled(each["keypoints"]) > 0 for each in people),
        classes=classes,
        sizes=_count_ranges([math.sqrt(max(w, 0) * max(h, 0)) for _, _, w, h in boxes], SIZE_EDGES, is_whole=False),
        crowds=_count_ranges([len(by_image[image_id]) for image_id in files], CROWD_EDGES, is_whole=True),
        keypoints=keypoints,
        sides=[(left, right, labeled[left], labeled[right]) for left, right in _list_sides(names)],
        same_files=_find_same_files(files.values(), images) if images else [],
        same_people=[pair for members in by_image.values() for pair in _find_same_people(members)],
    )


def _is_person(each: Any, names: Mapping[Any, Any], files: Mapping[Any, str]) -> bool:
    if not isinstance(each, dict) or each.get("iscrowd") or each.get("image_id") not in files:
        return False
    category = names.get(each.get("category_id"))
    return category is not None and are_numbers(each.get("keypoints"), 3 * len(category["keypoints"]))


def _list_sides(names: Mapping[Any, Any]) -> list[tuple[str, str]]:
    """Return the pairs of left and right keypoints of all categories."""
    pairs = {}
    for entry in names.values():
        try:
            partners = list_partners(entry["keypoints"], entry.get("flip_pairs"))
        except ValueError:  # which the check of the file explains
            continue
        own = entry["keypoints"]
        pairs.update({frozenset((own[a], own[b])): (own[a], own[b]) for a, b in enumerate(partners) if a < b})
    return list(pairs.values())


def _count_ranges(values: list[float], edges: tuple[int, ...], *, is_whole: bool) -> dict[str, int]:
    """Return how many values are in each range, by its name; ranges of whole numbers end before the next edge."""
    names = [f"under {edges[0]}"] if not is_whole else ["0"]
    for low, high in pairwise(edges):
        last = high - 1 if is_whole else high
        names.append(str(low) if is_whole and last == low else f"{low} to {last}")
    names.append(f"{edges[-1]} or more")
    counts = dict.fromkeys(names, 0)
    for value in values:
        counts[names[sum(value >= edge for edge in edges)]] += 1
    return counts


def _find_same_files(names: Any, folder: Path) -> list[list[str]]:
    """Return the groups of equal files; only files of the same size are read."""
    by_size: dict[int, list[str]] = defaultdict(list)
    for name in dict.fromkeys(names):
        try:
            by_size[os.stat(folder / name).st_size].append(name)
        except OSError:  # missing, which the check of the images names
            continue
    groups: dict[str, list[str]] = defaultdict(list)
    for alike in by_size.values():
        for name in alike if len(alike) > 1 else ():
            groups[compute_hash(folder / name)].append(name)
    return [group for group in groups.values() if len(group) > 1]


def _find_same_people(members: list[dict[str, Any]]) -> Iterator[tuple[Any, Any]]:
    """Yield pairs of annotations of one image whose common keypoints are nearly at the same places."""
    for one, other in combinations(members[:_MAX_SAME], 2):
        points = zip(split_points(one["keypoints"]), split_points(other["keypoints"]))
        distances = [math.hypot(a[0] - b[0], a[1] - b[1]) for a, b in points if a[2] > 0 and b[2] > 0]
        fewer = min(count_labeled(one["keypoints"]), count_labeled(other["keypoints"]))
        box = one.get("bbox")
        if len(distances) < max(2, fewer) or box is None or not are_numbers(box, 4):
            continue
        if statistics.mean(distances) <= _SAME_DISTANCE * math.sqrt(max(box[2] * box[3], 1)):
            yield one.get("id"), other.get("id")
