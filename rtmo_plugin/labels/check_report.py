"""What a check found and what a fix changed, in words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rtmo_plugin.errors import escape_control_characters
from rtmo_plugin.labels.categories import find_name_fault, is_category
from rtmo_plugin.labels.coco_files import Coco
from rtmo_plugin.labels.problems import KINDS, Problem
from rtmo_plugin.wording import count

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
    """Return what a fix changed, and what it leaves to the user."""
    lines = [f"\n{out}: {describe_contents(coco)}"]
    for kind, meaning in KINDS.items():
        if kind in changes:
            lines.append(f"  {meaning.describe(changes[kind])}: {meaning.remedy}  [{kind}]")
        elif kind in remaining:
            lines.append(f"  {meaning.describe(len(remaining[kind]))}: left to you  [{kind}]")
    return "\n".join(lines if len(lines) > 1 else [*lines, "  nothing to change"])


def describe_contents(coco: Coco) -> str:
    """Return the counts of a COCO file, such as ``'2 images, 5 annotations, 1 category: person (17 keypoints)'``."""
    named = []
    for category in filter(is_category, coco["categories"]):
        names = category.get("keypoints")
        num_keypoints = 0 if find_name_fault(names) else len(names)
        named.append(f"{escape_control_characters(category['name'])} ({count(num_keypoints, 'keypoint')})")
    listed = ", ".join(named[:_MAX_CATEGORIES]) + (", ..." if len(named) > _MAX_CATEGORIES else "")
    images, annotations = count(len(coco["images"]), "image"), count(len(coco["annotations"]), "annotation")
    categories = count(len(coco["categories"]), "category", "categories")
    return f"{images}, {annotations}, {categories}{': ' if listed else ''}{listed}"
