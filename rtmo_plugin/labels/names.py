"""Names of keypoints: which spellings mean the same one."""

from __future__ import annotations

from collections.abc import Sequence

from rtmo_plugin.keypoint_sides import read_sides, split_side, swap_side

__all__ = ["match_names", "split_side", "swap_side"]


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
