"""Names of keypoints: which side they are on, and which spellings mean the same one."""

from __future__ import annotations

import re
from collections.abc import Sequence

_WORDS = (("left", "right"), ("Left", "Right"), ("LEFT", "RIGHT"))  # before or after the name
_LETTERS = tuple(
    (pattern.format(left), pattern.format(right))
    for left, right in (("l", "r"), ("L", "R"))
    for mark in "_-. "
    for pattern in (f"{{}}{mark}", f"{mark}{{}}")
)
_SAME = {"top_head": "head", "head_top": "head"}  # of CrowdPose: its files say one, its users another
_MARKS = re.compile(r"[^0-9a-z]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SIDE_FIRST = re.compile(r"(?P<side>left|right|l_|r_)_?(?P<part>.+)")
_SIDE_LAST = re.compile(r"(?P<part>.+?)_?(?P<side>left|right|_l|_r)")


def swap_side(name: str) -> str:
    """Return the name of the same keypoint on the other side; the name itself where it has no side.

    Example:
        >>> swap_side("left_eye"), swap_side("eye_R"), swap_side("nose")
        ('right_eye', 'eye_L', 'nose')
    """
    for left, right in (*_WORDS, *_LETTERS):
        for side, other in ((left, right), (right, left)):
            if name.startswith(side) and side[0].isalpha():
                return other + name[len(side) :]
            if name.endswith(side) and side[-1].isalpha():
                return name[: -len(side)] + other
    return name


def split_side(name: str) -> tuple[str, str]:
    """Return side (``left``, ``right`` or nothing) and part of a name, whatever its spelling.

    Example:
        >>> split_side("left_eye") == split_side("Eye-L") == split_side("LeftEye") == ("left", "eye")
        True
        >>> split_side("Tip of tail")
        ('', 'tip_of_tail')
    """
    plain = _MARKS.sub("_", _HUMP.sub("_", name).lower()).strip("_")
    found = _SIDE_FIRST.fullmatch(plain) or _SIDE_LAST.fullmatch(plain)
    if not found:
        return "", _SAME.get(plain, plain)
    return "left" if found["side"].strip("_").startswith("l") else "right", found["part"]


def match_names(given: Sequence[str], wanted: Sequence[str]) -> dict[int, int]:
    """Return the place in ``given`` of each name in ``wanted`` that is there, whatever its spelling.

    Example:
        >>> match_names(["nose", "left_eye"], ["Eye_L", "tail"])
        {0: 1}
    """
    places = {split_side(name): place for place, name in reversed(list(enumerate(given)))}
    keys = enumerate(map(split_side, wanted))
    return {place: places[key] for place, key in keys if key in places}
