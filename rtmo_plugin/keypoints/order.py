"""Keypoints by name: whether two lists of names are the same keypoints, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rtmo_plugin.errors import DataError
from rtmo_plugin.keypoints.sides import read_sides
from rtmo_plugin.structures import KeypointSchema

_NUM_LISTED = 4


def match_order(given: Sequence[str], wanted: Sequence[str], *, allow_renamed: bool = False) -> tuple[int, ...] | None:
    """Return the index in ``given`` of each keypoint in ``wanted``, whatever its spelling.

    Args:
        given: Names on one side.
        wanted: Names on the other side.
        allow_renamed: Accept some keypoints under other names where the rest, at least half of all, stand at the
            same places.

    Returns:
        K indices; None if the two are different keypoints.

    Examples:
        >>> match_order(["nose", "Left Eye", "right_eye"], ["right_eye", "nose", "left_eye"])
        (2, 0, 1)
        >>> match_order(["head", "neck", "tail"], ["top_head", "neck", "end_of_tail"], allow_renamed=True)
        (0, 1, 2)
        >>> match_order(["nose", "tail"], ["tail", "chin"]) is None
        True
    """
    if len(given) != len(wanted):
        return None
    if list(given) == list(wanted):
        return tuple(range(len(wanted)))
    keys, wanted_keys = read_sides(given).parts, read_sides(wanted).parts
    if len(set(keys)) == len(keys) and set(keys) == set(wanted_keys):
        return tuple(keys.index(key) for key in wanted_keys)
    num_shared, num_same = len(set(keys) & set(wanted_keys)), sum(map(tuple.__eq__, keys, wanted_keys))
    is_renamed = allow_renamed and num_same >= max(num_shared, len(keys) / 2)
    return tuple(range(len(wanted))) if is_renamed else None


def match_names(given: Sequence[str], wanted: Sequence[str]) -> dict[int, int]:
    """Return the place in ``given`` of each name in ``wanted`` that is there, whatever its spelling.

    Examples:
        >>> match_names(["nose", "left_eye"], ["Eye_L", "tail"])
        {0: 1}
    """
    same = {name: place for place, name in reversed(list(enumerate(given)))}
    alike = {part: place for place, part in reversed(list(enumerate(read_sides(given).parts)))}
    found = [same.get(name, alike.get(part)) for name, part in zip(wanted, read_sides(wanted).parts)]
    return {place: match for place, match in enumerate(found) if match is not None}


def find_category_orders(
    categories: Iterable[Mapping[str, Any]],
    wanted: Sequence[str],
    where: str,
    *,
    allow_renamed: bool = False,
    advice: str = "",
) -> dict[Any, tuple[int, ...]]:
    """Return the order of the keypoints (see ``match_order``) by category id, for categories with another order.

    Args:
        categories: Categories of a COCO file; those without keypoint names are skipped.
        wanted: Keypoint names of the config.
        where: Name of the file in the message.
        allow_renamed: Option of ``match_order``.
        advice: End of the message after the difference.

    Raises:
        DataError: A category has other keypoints.

    Example:
        >>> find_category_orders([{"id": 3, "keypoints": ["tail", "nose"]}], ["nose", "tail"], "a.json")
        {3: (1, 0)}
    """
    orders = {}
    for category in categories:
        names = list_category_names(category)
        if names is None:
            continue
        order = match_order(names, wanted, allow_renamed=allow_renamed)
        if order is None:
            raise DataError(
                f"{where} is not of the config's keypoints: its category {category.get('name')!r} "
                f"{describe_difference(names, wanted)}{advice}."
            )
        if not is_identity(order):
            orders[category["id"]] = order
    return orders


def reorder_keypoints(keypoints: Sequence[float], order: Sequence[int]) -> list[float]:
    """Return COCO's flat keypoints in another order.

    Args:
        keypoints: 3K numbers (x, y, visibility).
        order: Index in ``keypoints`` of each keypoint of the result.

    Example:
        >>> reorder_keypoints([1, 2, 0, 3, 4, 2], (1, 0))
        [3, 4, 2, 1, 2, 0]
    """
    return [value for index in order for value in keypoints[3 * index : 3 * index + 3]]


def is_identity(order: Sequence[int]) -> bool:
    """Return whether an order leaves everything in its place."""
    return list(order) == list(range(len(order)))


def describe_difference(given: Sequence[str], wanted: Sequence[str]) -> str:
    """Return how two lists of names differ, as the second half of a sentence about the first.

    Examples:
        >>> describe_difference(["nose", "tail"], ["nose", "chin", "ear"])
        'has 2 keypoints instead of 3, lacks chin, ear and has tail instead'
        >>> describe_difference(["tail", "nose"], ["nose", "tail"])
        'has another order: its first keypoint is tail instead of nose'
    """
    keys, wanted_keys = read_sides(given).parts, read_sides(wanted).parts
    missing = [name for name, key in zip(wanted, wanted_keys) if key not in keys]
    extra = [name for name, key in zip(given, keys) if key not in wanted_keys]
    words = [f"has {len(given)} keypoints instead of {len(wanted)}"] if len(given) != len(wanted) else []
    words += [f"lacks {_join(missing)}"] if missing else []
    words += [f"has {_join(extra)} instead"] if extra and missing else [f"also has {_join(extra)}"] if extra else []
    if not words:
        place = next(index for index, pair in enumerate(zip(keys, wanted_keys)) if pair[0] != pair[1])
        which = "its first keypoint" if place == 0 else f"its keypoint {place + 1}"
        return f"has another order: {which} is {given[place]} instead of {wanted[place]}"
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _join(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NUM_LISTED} more" if len(names) > _NUM_LISTED else ""
    return ", ".join(names[:_NUM_LISTED]) + more


def list_category_names(category: Any) -> tuple[str, ...] | None:
    """Return the keypoint names of a category of a COCO file; None where it has none."""
    names = category.get("keypoints") if isinstance(category, Mapping) else None
    if not isinstance(names, (list, tuple)) or not names or not all(isinstance(name, str) for name in names):
        return None
    return tuple(names)


def reorder_schema(schema: KeypointSchema, order: Sequence[int]) -> KeypointSchema:
    """Return a keypoint set in another order.

    Args:
        schema: Keypoint set.
        order: Index in ``schema`` of each keypoint of the result.

    Examples:
        >>> reorder_schema(KeypointSchema(("tail", "left", "right"), (0.1, 0.2, 0.3), ((1, 2),)), (1, 0, 2))
        KeypointSchema(names=('left', 'tail', 'right'), sigmas=(0.2, 0.1, 0.3), flip_pairs=((0, 2),), skeleton=())
    """
    places = {old: new for new, old in enumerate(order)}
    links = {
        name: tuple((places[a], places[b]) for a, b in getattr(schema, name)) for name in ("flip_pairs", "skeleton")
    }
    names, sigmas = tuple(schema.names[index] for index in order), tuple(schema.sigmas[index] for index in order)
    return replace(schema, names=names, sigmas=sigmas, **links)
