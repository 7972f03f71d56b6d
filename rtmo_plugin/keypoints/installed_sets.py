"""Keypoint sets that MMPose describes, read from its files by name; MMPose is neither imported nor run.

MMPose 1.3 has a file of metainfo for each data set, ``coco_wholebody.py``, ``halpe26.py``, ``ap10k.py`` and some 40
others: literals, in which keypoints name the one that a flip exchanges them with.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from rtmo_plugin.files import read_text
from rtmo_plugin.keypoints.sides import put_left_first
from rtmo_plugin.literals import LiteralReader
from rtmo_plugin.structures import KeypointSchema

_FOLDER = ".mim/configs/_base_/datasets"
_MAX_BYTES = 10**6


def list_installed_sets() -> list[str]:
    """Return the names of the keypoint sets of the installed MMPose; none without it."""
    folder = _find_folder()
    return sorted(path.stem for path in folder.glob("*.py")) if folder else []


@cache
def read_installed_set(name: str) -> KeypointSchema:
    """Return a keypoint set of the installed MMPose.

    Args:
        name: Name of MMPose's file of metainfo, such as ``halpe26``.

    Raises:
        KeyError: MMPose is not installed, or has no such set.
        ValueError: The set has no sigmas.

    Examples:
        >>> read_installed_set("halpe26").num_keypoints, read_installed_set("ap10k").flip_pairs[0]
        (26, (0, 1))
    """
    if name not in list_installed_sets():
        raise KeyError(name)
    parsed = ast.parse(_read_text(name))
    info = next(each.value for each in parsed.body if isinstance(each, ast.Assign) and isinstance(each.value, ast.Call))
    values = _InfoReader().read(info)
    keypoints = [values["keypoint_info"][index] for index in range(len(values["keypoint_info"]))]
    names = [each["name"] for each in keypoints]
    if not values["sigmas"]:
        raise ValueError(f"MMPose's keypoint set {name!r} has no sigmas: give a dict with its names and sigmas.")
    swapped = {
        tuple(sorted((index, names.index(each["swap"])))) for index, each in enumerate(keypoints) if each["swap"]
    }
    pairs = tuple(put_left_first(sorted(swapped), names))
    bones = tuple(
        (names.index(a), names.index(b)) for a, b in (each["link"] for each in values["skeleton_info"].values())
    )
    return KeypointSchema(tuple(names), tuple(values["sigmas"]), pairs, bones)


def find_installed_set(names: Sequence[str]) -> KeypointSchema | None:
    """Return the keypoint set of the installed MMPose that has exactly these names in this order, and sigmas.

    Args:
        names: K names.
    """
    for known in list_installed_sets():
        text = _read_text(known)
        if all(f"'{name}'" in text for name in names):  # sooner than reading each of them
            try:
                found = read_installed_set(known)
            except (KeyError, ValueError):  # a set without keypoint names or without sigmas
                continue
            if found.names == tuple(names):
                return found
    return None


def _read_text(name: str) -> str:
    folder = _find_folder()
    assert folder is not None  # it lists the name
    return read_text(folder / f"{name}.py", _MAX_BYTES)


def _find_folder() -> Path | None:
    """Return the folder of MMPose's metainfo, or None without MMPose; the package is found, not imported."""
    found = importlib.util.find_spec("mmpose")
    places = (found.submodule_search_locations if found else None) or []
    return next((Path(place, _FOLDER) for place in places if Path(place, _FOLDER).is_dir()), None)


class _InfoReader(LiteralReader):
    """Reads literals; what is computed, such as joint weights, is None."""

    def read_other(self, node: ast.expr) -> Any:
        """Return None."""
        return None
