"""Sections of configs, whichever way they are nested."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def walk_sections(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every dict inside ``value``, a config or a part of one, itself included."""
    if isinstance(value, dict):
        yield value
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
        yield from walk_sections(child)


def resize_steps(steps: Sequence[Mapping[str, Any]], size_wh: tuple[int, int]) -> list[dict[str, Any]]:
    """Return the transforms of a pipeline with another input size, in their encoders as well; for configs.

    Args:
        steps: Transforms.
        size_wh: Input width and height in pixels.

    Examples:
        >>> resize_steps([{"type": "RandomFlip"}, {"type": "BottomupResize", "input_size": (640, 640)}], (128, 128))
        [{'type': 'RandomFlip'}, {'type': 'BottomupResize', 'input_size': (128, 128)}]
    """
    resized = [copy.deepcopy(dict(step)) for step in steps]
    for section in walk_sections(resized):
        if "input_size" in section:
            section["input_size"] = size_wh
    return resized


def is_pretrained(section: Any) -> bool:
    """Tell whether a section asks for pretrained weights."""
    return isinstance(section, dict) and section.get("type") in ("Pretrained", "PretrainedInit")
