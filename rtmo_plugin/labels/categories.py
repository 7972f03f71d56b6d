"""Categories of a COCO file: keypoint names, flip pairs and skeleton."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from rtmo_plugin.keypoints.sides import read_sides
from rtmo_plugin.labels.coco_files import Coco, list_entries
from rtmo_plugin.labels.json_values import is_id
from rtmo_plugin.labels.problems import Problem
from rtmo_plugin.wording import shorten


def find_in_categories(coco: Coco) -> Iterator[Problem]:
    """Yield the problems of a COCO file's categories, except repeated ids."""
    first_names = None
    others = {id(each) for each in list_others(coco)}
    ids: dict[str, int] = {}  # of the first category of a name
    for index, category in enumerate(coco["categories"]):
        if not is_category(category):
            yield Problem("category-broken", index, f"categories[{index}]: {shorten(category)}")
            continue
        word, names = f"category {category['id']} ({category['name']})", category.get("keypoints")
        if ids.setdefault(category["name"], category["id"]) != category["id"]:
            yield Problem("category-name", index, f"{word}: there are two categories named {category['name']!r}")
        fault = find_name_fault(names)
        if id(category) in others:
            continue
        if fault:
            yield Problem("category-keypoints", index, f"{word}: {fault}")
            continue
        for kind, faults in (
            ("category-flip", find_flip_faults(names, category.get("flip_pairs"))),
            ("category-sides", read_sides(names).doubts if category.get("flip_pairs") is None else []),
            ("category-skeleton", find_skeleton_faults(len(names), category.get("skeleton", []))),
        ):
            if faults:
                yield Problem(kind, index, f"{word}: {'; '.join(faults)}")
        first_names = first_names or names
        if names != first_names:
            text = f"{word}: {len(names)} keypoints ({shorten(names)}), not {len(first_names)} ({shorten(first_names)})"
            yield Problem("category-differs", index, text)


def list_others(coco: Coco) -> list[dict[str, Any]]:
    """Return the categories without keypoints beside those with keypoints, such as cars or a supercategory.

    A category is not among them if one of its annotations has keypoints, because these need names.
    """
    categories = [each for each in coco["categories"] if is_category(each)]
    others = [each for each in categories if each.get("keypoints") in (None, [])]
    if not others or len(others) == len(categories):
        return []
    with_points = {
        each["category_id"]
        for each in list_entries(coco["annotations"], "category_id")
        if isinstance(each.get("keypoints"), list) and any(each["keypoints"])
    }
    return [each for each in others if each["id"] not in with_points]


def is_category(category: Any) -> bool:
    """Whether an entry has an id and a name."""
    return isinstance(category, dict) and is_id(category.get("id")) and isinstance(category.get("name"), str)


def find_name_fault(names: Any) -> str:
    """Return the fault of a category's list of keypoint names, or nothing."""
    if not isinstance(names, list) or not names:
        return f"keypoints is {shorten(names)}, not a list of names"
    wrong = [name for name in names if not isinstance(name, str) or not name]
    if wrong:
        return f"{wrong[0]!r} is not a name"
    repeated = [name for name, count in Counter(names).items() if count > 1]
    return f"the name {repeated[0]!r} is there more than once" if repeated else ""


def find_flip_faults(names: Sequence[str], pairs: Any = None) -> list[str]:
    """Return the faults of a category's flips: names without a partner, or wrong ``pairs``.

    Args:
        names: K names.
        pairs: ``flip_pairs`` of the category: pairs of names, or of numbers from 1 as in ``skeleton``.
            Default: the pairs that the names tell (see ``keypoints.sides``).
    """
    if pairs is None:
        return list(read_sides(names).faults)
    if not isinstance(pairs, list):
        return [f"flip_pairs is {shorten(pairs)}, not a list of pairs"]
    known = {*names, *range(1, len(names) + 1)}
    wrong = [pair for pair in pairs if not _is_pair(pair) or not known.issuperset(pair)]
    if wrong:
        return [f"flip pair {shorten(pair)}" for pair in wrong]
    uses = Counter(end if isinstance(end, str) else names[end - 1] for pair in pairs for end in pair)
    return [f"flip pairs name {name} {count} times" for name, count in uses.items() if count > 1]


def list_partners(names: Sequence[str], pairs: Any = None) -> list[int]:
    """Return the index of the keypoint that a flip exchanges each keypoint with: its own if it stays.

    Args:
        names: K names.
        pairs: ``flip_pairs`` of the category; faulty ones exchange nothing. Default: the pairs that the names tell.

    Examples:
        >>> list_partners(["nose", "left_eye", "right_eye"]), list_partners(["a", "b"], [["a", "b"]])
        ([0, 2, 1], [1, 0])
    """
    places = list(range(len(names)))
    if pairs is None:
        return list(read_sides(names).partners)
    if find_flip_faults(names, pairs):
        return places
    for pair in pairs:
        a, b = (names.index(end) if isinstance(end, str) else end - 1 for end in pair)
        places[a], places[b] = b, a
    return places


def find_skeleton_faults(num_keypoints: int, skeleton: Any) -> list[str]:
    """Return the bones of a category that join no two keypoints; COCO counts keypoints from 1.

    Examples:
        >>> find_skeleton_faults(3, [[1, 2], [0, 4]])
        ['bone [0, 4], with keypoints 1 to 3']
    """
    if not isinstance(skeleton, list):
        return [f"skeleton is {shorten(skeleton)}, not a list of pairs"]
    bones = [bone for bone in skeleton if not is_bone(bone, num_keypoints)]
    reason = ": the skeleton counts from 0" if counts_from_zero(skeleton, num_keypoints) else ""
    return [f"bone {shorten(bone)}, with keypoints 1 to {num_keypoints}{reason}" for bone in bones]


def list_bones(skeleton: Any, num_keypoints: int) -> list[list[int]]:
    """Return the valid bones of a category, counted from 1.

    Examples:
        >>> list_bones([[1, 2], [2, 9]], 3), list_bones([[0, 1], [1, 2]], 3)
        ([[1, 2]], [[1, 2], [2, 3]])
    """
    bones = skeleton if isinstance(skeleton, list) else []
    if counts_from_zero(skeleton, num_keypoints):
        bones = [[end + 1 for end in bone] for bone in bones]
    return [bone for bone in bones if is_bone(bone, num_keypoints)]


def counts_from_zero(skeleton: Any, num_keypoints: int) -> bool:
    """Whether a skeleton counts keypoints from 0: it has a 0, and no number above K - 1.

    Examples:
        >>> counts_from_zero([[0, 1], [1, 2]], 3), counts_from_zero([[0, 1], [2, 3]], 3)
        (True, False)
    """
    if not isinstance(skeleton, list) or not all(isinstance(bone, list) and len(bone) == 2 for bone in skeleton):
        return False
    ends = [end for bone in skeleton for end in bone]
    return 0 in ends and all(is_id(end) and 0 <= end < num_keypoints for end in ends)


def is_bone(bone: Any, num_keypoints: int) -> bool:
    """Whether ``bone`` joins two different keypoints, counted from 1."""
    return _is_pair(bone) and all(is_id(end) and 1 <= end <= num_keypoints for end in bone)


def _is_pair(pair: Any) -> bool:
    if not isinstance(pair, list) or len(pair) != 2:
        return False
    return all(is_id(end) or isinstance(end, str) for end in pair) and pair[0] != pair[1]
