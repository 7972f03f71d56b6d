"""The dataset tool's two commands, as functions."""

from __future__ import annotations

import warnings
from pathlib import Path

from rtmo_plugin.errors import DataError
from rtmo_plugin.labels.checking import check_coco
from rtmo_plugin.labels.files import Coco, read_coco, write_coco
from rtmo_plugin.labels.fixing import fix_coco
from rtmo_plugin.labels.pictures import Picture, look_at_pictures
from rtmo_plugin.labels.report import format_check, format_fix
from rtmo_plugin.progress_bar import show_progress


def check_file(
    file: str | Path, images: str | Path | None = None, fix: str | Path | None = None, examples: int = 3
) -> bool:
    """Check a COCO file and print what is wrong with it; write a cleaned copy where asked for.

    Args:
        file: The COCO file; never changed.
        images: Folder of its images, which are then opened, with a bar on terminals.
        fix: Where to write the cleaned copy.
        examples: How many to print of each kind of finding.

    Returns:
        Whether the file is clean; with ``fix``, whether the copy is.

    Raises:
        MissingFileError: The file or the folder is not there.
        DataError: The file cannot be read as COCO, or the copy would overwrite it.
    """
    if fix is not None and _is_same_file(Path(file), Path(fix)):
        raise DataError(f"--fix {fix} is the file that is checked, which is never changed: name another file.")
    coco = read_coco(file)
    pictures = None if images is None else _open_pictures(coco, images)
    problems = check_coco(coco, pictures)
    print(format_check(file, coco, problems, examples))
    if fix is None:
        return not problems
    fixed = fix_coco(coco, pictures, problems)
    write_coco(fix, fixed.coco)
    print(format_fix(fix, fixed.coco, fixed.changes, fixed.remaining))
    return not fixed.remaining


def _is_same_file(file: Path, other: Path) -> bool:
    """Whether two paths lead to one file, through links of either sort as well."""
    if other.exists() and file.exists():
        return file.samefile(other)
    return file.resolve() == other.resolve()


def _open_pictures(coco: Coco, folder: str | Path) -> dict[str, Picture]:
    """Open the images of a COCO file, each once."""
    entries = [entry for entry in coco["images"] if isinstance(entry, dict)]
    names = {entry["file_name"]: None for entry in entries if isinstance(entry.get("file_name"), str)}
    looked = look_at_pictures(names, folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's about damaged files, which the report will name
        return dict(show_progress(looked, desc="opening images", total=len(names)))
