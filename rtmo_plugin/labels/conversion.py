"""Convert labels to COCO, and COCO to the formats of other tools.

The output is read back before it gets its final name: every image, person, box and keypoint must be the same. What a
format cannot hold is listed in one sentence.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rtmo_plugin.errors import ConfigError, DataError, MissingFileError, escape_control_characters
from rtmo_plugin.files import check_outputs, create_folder, join_inside, replace_file
from rtmo_plugin.labels.categories import is_bone
from rtmo_plugin.labels.check_tool import describe_contents
from rtmo_plugin.labels.checking import check_coco
from rtmo_plugin.labels.coco_files import SECTIONS, Coco, read_coco, write_coco
from rtmo_plugin.labels.cvat import read_cvat, write_cvat
from rtmo_plugin.labels.format_detection import detect_format
from rtmo_plugin.labels.label_set import (
    LabelSet,
    Person,
    ReadOptions,
    check_categories,
    from_coco,
    strip_suffix,
    to_coco,
)
from rtmo_plugin.labels.labelme import read_labelme, write_labelme
from rtmo_plugin.labels.tool_files.datumaro_json import read_datumaro
from rtmo_plugin.labels.tool_files.deeplabcut import read_deeplabcut
from rtmo_plugin.labels.tool_files.label_studio import read_label_studio, write_label_studio
from rtmo_plugin.labels.tool_files.roboflow import read_roboflow
from rtmo_plugin.labels.tool_files.sleap import read_sleap
from rtmo_plugin.labels.tool_files.supervisely import read_supervisely
from rtmo_plugin.labels.tool_files.via import read_via
from rtmo_plugin.labels.yolo import read_yolo, write_yolo
from rtmo_plugin.wording import count

_TOLERANCE = 1e-6  # pixels
# Fields of a COCO file that every format holds, or that follow from what it holds.
_HELD = {
    "images": {"file_name", "width", "height"},
    "annotations": {"image_id", "category_id", "bbox", "keypoints", "num_keypoints", "iscrowd"},
    "categories": {"name", "keypoints"},
}


@dataclass(frozen=True)
class Format:
    """How one format is read and written.

    Attributes:
        title: Name of the format in messages.
        read: Function that reads a path.
        write: Function that writes labels to a new path, for a split. None: the format is only read.
        holds: Fields of a category that the format can hold besides the keypoints.
        is_folder: Whether the format is written as a folder rather than a file.
        is_by_image: Whether the folder has a file for each image, named like it.
        needs_images: Whether reading may need the images, for what the labels do not hold.
        about: Sentence on what reading the labels back needs, if anything.
    """

    title: str
    read: Callable[[Path, ReadOptions], LabelSet]
    write: Callable[[LabelSet, Path, str], None] | None = None
    holds: frozenset[str] = frozenset()
    is_folder: bool = True
    is_by_image: bool = True
    needs_images: bool = True
    about: str = ""


FORMATS = {
    "yolo": Format(
        "YOLO", read_yolo, write_yolo, frozenset({"flip_pairs"}),
        about="YOLO labels are fractions of the image: its images belong in images/ beside labels/.",
    ),
    "labelme": Format(
        "LabelMe", read_labelme, write_labelme, needs_images=False,
        about="LabelMe has no order of keypoints: name them with --keypoints on the way back.",
    ),
    "cvat": Format("CVAT", read_cvat, write_cvat, frozenset({"skeleton"}), is_folder=False, needs_images=False),
    "label-studio": Format(
        "Label Studio", read_label_studio, write_label_studio, is_by_image=False,
        about="Import tasks.json into a project whose labeling interface is interface.xml. It has no order of "
        "keypoints: name them with --keypoints on the way back.",
    ),
    "via": Format("VIA", read_via),
    "deeplabcut": Format("DeepLabCut", read_deeplabcut),
    "sleap": Format("SLEAP", read_sleap),
    "roboflow": Format("Roboflow", read_roboflow),
    "supervisely": Format("Supervisely", read_supervisely, needs_images=False),
    "datumaro": Format("Datumaro", read_datumaro),
}  # fmt: skip
WRITTEN = tuple(name for name, form in FORMATS.items() if form.write)


def convert_file(
    source: str | Path,
    out: str | Path,
    source_format: str | None = None,
    target_format: str = "coco",
    *,
    images: str | Path | None = None,
    keypoints: list[str] | None = None,
    skeleton: list[str] | None = None,
    split: str = "train",
) -> bool:
    """Convert labels to or from COCO, and print what was written and what was left out.

    Args:
        source: File or folder of the source format.
        out: File or folder of the target format, which must not exist yet.
        source_format: ``"coco"`` or a key of ``FORMATS``. Default: the one that the files show.
        target_format: ``"coco"`` or one of ``WRITTEN``; one of the two formats is ``"coco"``.
        images: Folder of the images, for formats that do not hold their sizes. Default: beside the labels, or where
            the data.yaml of a YOLO folder says.
        keypoints: Keypoint names in order, for formats that do not hold them.
        skeleton: Bones as ``'head,neck'``. Default: the bones in the labels, if any.
        split: Split of a YOLO folder or of an export with several.

    Returns:
        Whether the output has people.

    Raises:
        ConfigError: Neither or both formats are COCO, or an option does not apply to the conversion.
        MissingFileError: The source does not exist.
        DataError: The source cannot be read, the format cannot hold it, or ``out`` exists.
        OutputError: ``out`` cannot be written.
    """
    path, target = Path(source), Path(out)
    if os.path.lexists(target) and not (target.is_dir() and not any(target.iterdir())):
        raise DataError(f"{target} exists already and is not overwritten: name another file or folder.")
    is_folder = target_format != "coco" and FORMATS[target_format].is_folder
    if target.is_dir() and not is_folder:
        raise DataError(f"{target} is a folder: name a file.")
    check_outputs([target / "labels" if is_folder else target], [path])
    is_found = source_format is None
    source_format = source_format or detect_format(path)
    if is_found and source_format == target_format == "coco":
        raise ConfigError(
            f"{path} shows no other format than COCO, the target's: name the right one with --from or --to."
        )
    _check_options(source_format, target_format, {"--keypoints": keypoints, "--skeleton": skeleton}, images)
    if target_format == "coco":
        options = ReadOptions(split, keypoints, Path(images) if images else None)
        coco, notes = convert_to_coco(path, source_format, options)
        coco = connect(coco, skeleton or [])
        write_coco(target, coco, overwrite=False)
        findings = [f"{kind} ({len(found):,})" for kind, found in check_coco(coco).items()]
        notes += [f"Findings, which `rtmo dataset check` explains: {', '.join(findings)}."] if findings else []
    else:
        coco, notes = convert_from_coco(read_coco(path), target, target_format, split)
    print(f"{target}: {describe_contents(coco)}")
    if is_found and source_format != "coco":
        print(f"  Format of {path.name}: {FORMATS[source_format].title} (--from {source_format}).")
    for note in notes:
        print(f"  {escape_control_characters(note)}")
    if not coco["annotations"]:
        print("  It has no people.")
    return bool(coco["annotations"])


def connect(coco: Coco, skeleton: list[str]) -> Coco:
    """Return a COCO file whose categories have the bones ``skeleton``, or the same file without any.

    Raises:
        DataError: A bone is not two keypoint names of a category, separated by a comma.
    """
    if not skeleton:
        return coco
    categories = []
    for category in coco["categories"]:
        names = category["keypoints"]
        ends = [[names.index(end) + 1 if end in names else 0 for end in bone.split(",")] for bone in skeleton]
        wrong = [bone for bone, pair in zip(skeleton, ends) if not is_bone(pair, len(names))]
        if wrong:
            raise DataError(
                f"--skeleton {wrong[0]}: two of {', '.join(names)} are needed, such as {','.join(names[:2])}."
            )
        categories.append({**category, "skeleton": ends})
    return {**coco, "categories": categories}


def convert_to_coco(source: Path, name: str, options: ReadOptions | None = None) -> tuple[Coco, list[str]]:
    """Return labels in another format as a COCO file, and sentences on what was left out.

    Raises:
        MissingFileError: The source does not exist.
        DataError: It cannot be read; the message names the place.
    """
    options = options or ReadOptions()
    if options.images and not options.images.is_dir():
        raise MissingFileError(f"The image folder {options.images} does not exist.")
    labels = FORMATS[name].read(source, options)
    check_categories(labels.categories, str(source))
    labels = labels.complete_boxes()
    return to_coco(labels), labels.notes


def convert_from_coco(
    coco: Coco, out: Path, name: str, split: str = "train", form: Format | None = None
) -> tuple[Coco, list[str]]:
    """Write a COCO file in another format.

    Args:
        coco: Content of the file.
        out: File or folder to write.
        name: Key of ``FORMATS``.
        split: Split of a YOLO folder.
        form: Format with a writer of its own. Default: that of ``name``.

    Returns:
        The written labels as a COCO file, and sentences on what was left out.

    Raises:
        DataError: The format cannot hold it, or the name of an image leads out of the folder.
        OutputError: ``out`` exists, or cannot be written.
    """
    form = form or FORMATS[name]
    if form.write is None:
        raise ConfigError(f"Labels can be read from {form.title} but not written: choose {' or '.join(WRITTEN)}.")
    labels = from_coco(coco).complete_boxes()
    if form.is_folder:
        join_inside(out, split)
        stems: dict[str, str] = {}
        for file_name in labels.images:
            join_inside(out, file_name)
            other = stems.setdefault(strip_suffix(file_name), file_name)
            if other != file_name and form.is_by_image:
                raise DataError(
                    f"{form.title} names labels like their image, and two images are alike: {other} and {file_name}."
                )
    with create_folder(out) if form.is_folder else replace_file(out, overwrite=False) as draft:
        form.write(labels, draft, split)
        sizes = {file: (image.width, image.height) for file, image in labels.images.items()}
        try:
            read = form.read(draft, ReadOptions(split, keypoints=labels.keypoints, sizes=sizes))
        except DataError as error:
            reason = str(error).replace(str(draft), str(out))
            raise DataError(f"{form.title} cannot hold these labels, nothing was written: {reason}") from error
        _check_same(labels, read, form.title)
    return to_coco(labels), [*describe_losses(coco, form), *labels.notes, *([form.about] if form.about else [])]


def describe_losses(coco: Coco, form: Format) -> list[str]:
    """Return a sentence that lists the parts of a COCO file that a format cannot hold, or nothing."""
    num_crowds = sum(bool(each.get("iscrowd")) for each in coco["annotations"])
    lost = [count(num_crowds, "crowd region")] if num_crowds else []
    for section, held in _HELD.items():
        keys = {str(key) for entry in coco[section] for key, value in entry.items() if value not in ([], {}, None)}
        keys -= held | (form.holds if section == "categories" else set())
        if keys:
            lost.append(f"{', '.join(sorted(keys))} of {section}")
    top = [str(key) for key in coco if key not in SECTIONS]
    lost += [", ".join(top)] if top else []
    return [f"Left out, because {form.title} cannot hold it: {'; '.join(lost)}."] if lost else []


def _check_options(source_format: str, target_format: str, naming: dict[str, list[str] | None], images: object) -> None:
    if (source_format == "coco") == (target_format == "coco"):
        raise ConfigError(
            "Either the source or the target must be COCO: convert twice to get from one other format to another."
        )
    useless = [option for option, value in naming.items() if value and source_format == "coco"]
    if images and (source_format == "coco" or not FORMATS[source_format].needs_images):
        useless.append("--images")
    if useless:
        raise ConfigError(f"{useless[0]} does not apply to this conversion: remove it.")


def _check_same(labels: LabelSet, read: LabelSet, title: str) -> None:
    """Check that all images and people were read back unchanged.

    Raises:
        DataError: An image or person is missing or different; the message names it.
    """
    if read.keypoints != labels.keypoints:
        raise DataError(f"{title} cannot hold the names of these categories and keypoints: use plain words.")
    for name in labels.images.keys() | read.images.keys():
        image, other = labels.images.get(name), read.images.get(name)
        if image is None or other is None:
            raise DataError(f"{title} cannot hold an image of the name {name!r}: rename it.")
        is_same = (image.width, image.height) == (other.width, other.height) and len(image.people) == len(other.people)
        for person, twin in zip(image.people, other.people):
            pairs = zip(_list_values(person), _list_values(twin))
            is_close = all(abs(a - b) <= _TOLERANCE * max(1.0, abs(a)) for a, b in pairs)
            is_same = is_same and is_close and person.category == twin.category
        if not is_same:
            raise DataError(f"{title} cannot hold the people of image {name!r}: they would not be the same.")


def _list_values(person: Person) -> Iterator[float]:
    """Yield the numbers that every format holds, without the coordinates of unlabeled keypoints."""
    yield from person.bbox or ()
    for x, y, v in person.points:
        yield from (x, y, v) if v > 0 else (0, 0, 0)
