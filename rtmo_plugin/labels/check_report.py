"""What a check found and what a fix changed, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rtmo_plugin.errors import escape_control_characters
from rtmo_plugin.labels.categories import find_name_fault, is_category
from rtmo_plugin.labels.coco_files import Coco
from rtmo_plugin.labels.problems import KINDS, Problem

_MAX_CATEGORIES = 5
_MAX_LENGTH = 300


def format_check(path: str | Path, coco: Coco, problems: Mapping[str, list[Problem]], num_examples: int = 3) -> str:
    """Return the report of a check: what the file holds, then each kind of finding with examples."""
    lines = [f"{path}: {describe_contents(coco)}"]
    for kind, found in problems.items():
        lines.append(f"\n{KINDS[kind].describe(len(found))}  [{kind}]")
        lines += [f"    {escape_control_characters(problem.text[:_MAX_LENGTH])}" for problem in found[:num_examples]]
        if len(found) > num_examples:
            lines.append(f"    ... and {len(found) - num_examples:,} more")
    if not problems:
        lines.append("Nothing is wrong with it.")
    return "\n".join(lines)


def format_fix(out: str | Path, coco: Coco, changes: Mapping[str, int], remaining: Mapping[str, list[Problem]]) -> str:
    """Return what a fix changed, and what it leaves to a person."""
    lines = [f"\n{out}: {describe_contents(coco)}"]
    for kind, meaning in KINDS.items():
        if kind in changes:
            lines.append(f"  {meaning.describe(changes[kind])}: {meaning.remedy}  [{kind}]")
        elif kind in remaining:
            lines.append(f"  {meaning.describe(len(remaining[kind]))}: left to you  [{kind}]")
    return "\n".join(lines if len(lines) > 1 else [*lines, "  nothing to change"])


def describe_contents(coco: Coco) -> str:
    """Return the counts of a COCO file, such as ``'2 images, 5 annotations, 1 category: person (17 keypoints)'``."""
    counts = [_count(coco["images"], "image"), _count(coco["annotations"], "annotation")]
    categories = _count(coco["categories"], "category", "categories")
    named = list(_describe_categories(coco["categories"]))
    names = ", ".join(named[:_MAX_CATEGORIES]) + (", ..." if len(named) > _MAX_CATEGORIES else "")
    return f"{', '.join(counts)}, {categories}{': ' if names else ''}{names}"


def _describe_categories(categories: list[Any]) -> Iterator[str]:
    for category in filter(is_category, categories):
        names = category.get("keypoints")
        count = _count([] if find_name_fault(names) else names, "keypoint")
        yield f"{escape_control_characters(category['name'])} ({count})"


def _count(entries: list[Any], one: str, many: str = "") -> str:
    return f"{len(entries):,} {one if len(entries) == 1 else many or one + 's'}"
