"""Sections of configs, whichever way they are nested."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def walk_sections(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every dict inside ``value``, a config or a part of one, itself included."""
    if isinstance(value, dict):
        yield value
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
        yield from walk_sections(child)


def is_pretrained(section: Any) -> bool:
    """Tell whether a section asks for pretrained weights."""
    return isinstance(section, dict) and section.get("type") in ("Pretrained", "PretrainedInit")
