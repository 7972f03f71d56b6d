"""The command that checks a COCO file, and fixes it where asked for, as a function."""

from __future__ import annotations

import warnings
from pathlib import Path

from rtmo_plugin.errors import DataError
from rtmo_plugin.files import pause_collector
from rtmo_plugin.labels.annotations import count_labelled_people, count_labelled_points
from rtmo_plugin.labels.check_report import format_check, format_fix
from rtmo_plugin.labels.checking import check_coco
from rtmo_plugin.labels.coco_files import Coco, read_coco, write_coco
from rtmo_plugin.labels.fixing import Fixed, fix_coco
from rtmo_plugin.labels.image_inspection import ImageInspection, inspect_images
from rtmo_plugin.labels.moved_images import find_moved_images
from rtmo_plugin.labels.normalizing import normalize_coco
from rtmo_plugin.progress_bar import show_progress

_KEPT_SHARE = 0.5  # of the labelled people, and of their keypoints, below which a fixed copy is not a success


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
    if fix is not None and _is_same_file(Path(file), Path(fix)):
        raise DataError(f"--fix {fix} is the file that is checked, which is never changed: name another file.")
    coco = read_coco(file)
    inspections = None if images is None else _inspect_images(coco, images)
    with pause_collector():  # which would look at millions of lists of numbers again and again
        problems = check_coco(coco, inspections)
    print(format_check(file, coco, problems, examples))
    if fix is None:
        return not problems
    with pause_collector():
        fixed = fix_coco(coco, inspections, problems)
    write_coco(fix, fixed.coco)
    print(format_fix(fix, fixed.coco, fixed.changes, fixed.remaining))
    return _keeps_labels(normalize_coco(coco)[0], fixed) and not fixed.remaining


def _is_same_file(file: Path, other: Path) -> bool:
    """Whether two paths lead to one file, through links of either sort as well."""
    if other.exists() and file.exists():
        return file.samefile(other)
    return file.resolve() == other.resolve()


def _inspect_images(coco: Coco, folder: str | Path) -> dict[str, ImageInspection]:
    """Open the images of a COCO file, each once."""
    entries = [entry for entry in coco["images"] if isinstance(entry, dict)]
    names = {entry["file_name"]: None for entry in entries if isinstance(entry.get("file_name"), str)}
    places = find_moved_images(names, folder)
    looked = inspect_images([places.get(name, name) for name in names], folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's about damaged files, which the report will name
        bar = show_progress(looked, desc="opening images", total=len(names))
        found = {
            name: inspection for (_, inspection), name in zip(bar, names)
        }  # the bar first, so that it sees its end
    if found and all(inspection.kind == "image-missing" for inspection in found.values()):
        raise DataError(
            f"{folder} has none of the {len(found):,} images, such as {next(iter(found))}: name the folder that the "
            "file names are relative to."
        )
    moved = {places[name]: inspection for name, inspection in found.items() if name in places}
    for name, place in places.items():
        if not found[name].fault:
            fault = f"no file {name}, but {place}"
            found[name] = found[name]._replace(kind="image-elsewhere", fault=fault, place=place)
    return {**moved, **found}


def _keeps_labels(before: Coco, fixed: Fixed) -> bool:
    """Return whether a fix left at least half of the people and keypoints, and print what it dropped where not."""
    after = fixed.coco
    num_before, num_after = count_labelled_people(before), count_labelled_people(after)
    points_before, points_after = count_labelled_points(before)[0], count_labelled_points(after)[0]
    is_emptied = any(before[name] and not after[name] for name in ("images", "annotations"))
    if not is_emptied and num_after >= num_before * _KEPT_SHARE:
        if "keypoint-outside" not in fixed.changes or points_after >= points_before * _KEPT_SHARE:
            return True
        print(
            f"  {points_after:,} of {points_before:,} labelled keypoints are left, too few for the copy to be of use: "
            "mend the original where the findings above say"
        )
        return False
    counts = ", ".join(f"{len(after[name]):,} of {len(before[name]):,} {name}" for name in ("images", "annotations"))
    print(
        f"  {counts} and {num_after:,} of {num_before:,} people with labelled keypoints are left, too few for the "
        "copy to be of use: mend the original where the findings above say"
    )
    return False
