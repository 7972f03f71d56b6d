"""The command `rtmo dataset check` as a function: checks a COCO file, prints a report, and writes a fixed copy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rtmo_plugin.errors import DataError, escape_control_characters
from rtmo_plugin.files import pause_collector
from rtmo_plugin.labels.annotations import count_labeled_people, count_labeled_points
from rtmo_plugin.labels.categories import find_name_fault, is_category
from rtmo_plugin.labels.checking import check_coco
from rtmo_plugin.labels.coco_files import Coco, read_coco, write_coco
from rtmo_plugin.labels.fixing import Fixed, fix_coco
from rtmo_plugin.labels.image_inspection import open_images
from rtmo_plugin.labels.normalizing import normalize_coco
from rtmo_plugin.labels.problems import KINDS, Problem
from rtmo_plugin.wording import count

_KEPT_SHARE = 0.5  # share of the labeled people, and of their keypoints, below which a fixed copy is a failure
_MAX_CATEGORIES = 5
_MAX_LENGTH = 300


def check_file(
    file: str | Path, images: str | Path | None = None, fix: str | Path | None = None, examples: int = 3
) -> bool:
    """Check a COCO file and print its problems; write a cleaned copy if ``fix`` is given.

    Args:
        file: COCO file; never changed.
        images: Folder of its images, which are opened. Default: images are not judged.
        fix: Path of the cleaned copy. Default: no copy.
        examples: Number of findings of each kind to print.

    Returns:
        Whether the file is clean; with ``fix``, whether the copy is, and has at least half of the people.

    Raises:
        MissingFileError: The file or the folder does not exist.
        DataError: The file cannot be read as COCO, the copy would overwrite it, or all images are missing.
    """
    if fix is not None:
        original, copy = Path(file), Path(fix)
        are_there = original.exists() and copy.exists()  # then links count as well
        if original.samefile(copy) if are_there else original.resolve() == copy.resolve():
            raise DataError(f"--fix {fix} is the file that is checked, which is never changed: name another file.")
    coco = read_coco(file)
    inspections = None if images is None else open_images(coco, images)
    with pause_collector():  # it would examine millions of lists of numbers again and again
        problems = check_coco(coco, inspections)
    print(format_check(file, coco, problems, examples))
    if fix is None:
        return not problems
    with pause_collector():
        fixed = fix_coco(coco, inspections, problems)
    write_coco(fix, fixed.coco)
    print(format_fix(fix, fixed.coco, fixed.changes, fixed.remaining))
    return _keeps_labels(normalize_coco(coco)[0], fixed) and not fixed.remaining


def _keeps_labels(before: Coco, fixed: Fixed) -> bool:
    """Return whether a fix left at least half of the people and keypoints, and print what it dropped where not."""
    after = fixed.coco
    num_before, num_after = count_labeled_people(before), count_labeled_people(after)
    points_before, points_after = count_labeled_points(before)[0], count_labeled_points(after)[0]
    is_emptied = any(before[name] and not after[name] for name in ("images", "annotations"))
    if not is_emptied and num_after >= num_before * _KEPT_SHARE:
        if "keypoint-outside" not in fixed.changes or points_after >= points_before * _KEPT_SHARE:
            return True
        print(
            f"  {points_after:,} of {points_before:,} labeled keypoints are left, too few for the copy to be of use: "
            "mend the original where the findings above say"
        )
        return False
    counts = ", ".join(f"{len(after[name]):,} of {len(before[name]):,} {name}" for name in ("images", "annotations"))
    print(
        f"  {counts} and {num_after:,} of {num_before:,} people with labeled keypoints are left, too few for the "
        "copy to be of use: mend the original where the findings above say"
    )
    return False


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
