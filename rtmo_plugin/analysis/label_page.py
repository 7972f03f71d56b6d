"""The page of `rtmo dataset show`: labels drawn on their images, and their statistics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from rtmo_plugin.analysis.templates import render_template
from rtmo_plugin.errors import DataError, MissingFileError, OutputError
from rtmo_plugin.files import check_folder_is_free, check_outputs, create_folder, join_inside, write_file
from rtmo_plugin.keypoints.sides import put_left_first
from rtmo_plugin.labels.categories import list_bones, list_partners
from rtmo_plugin.labels.check_tool import describe_contents
from rtmo_plugin.labels.checking import check_coco
from rtmo_plugin.labels.coco_files import Coco, read_coco
from rtmo_plugin.labels.conversion import convert_to_coco
from rtmo_plugin.labels.format_detection import detect_format
from rtmo_plugin.labels.image_inspection import find_moved_images
from rtmo_plugin.labels.json_values import are_numbers
from rtmo_plugin.labels.label_set import ReadOptions
from rtmo_plugin.labels.label_statistics import LabelStatistics, measure_labels
from rtmo_plugin.labels.normalizing import normalize_coco
from rtmo_plugin.labels.problems import KINDS, Problem
from rtmo_plugin.media.drawing import Image, draw_ellipses, draw_people
from rtmo_plugin.media.images import read_image
from rtmo_plugin.number_ranges import NUMBER
from rtmo_plugin.progress_bar import show_progress
from rtmo_plugin.wording import count, format_bytes

_LONGER_SIDE = 640  # of a drawn image, in pixels
_QUALITY = 80
_BOX_COLOR = (255, 255, 255)
_MAX_TEXTS = 3  # findings in the caption of an image


class DrawnImage(NamedTuple):
    """An image with its labels: JPEG file, name, and caption."""

    jpeg: bytes
    name: str
    caption: str


def show_labels(
    labels: str | Path,
    out: str | Path,
    images: str | Path | None = None,
    limit: int = 40,
    source_format: str | None = None,
) -> bool:
    """Write a page, or a folder of images, with the labels drawn; print what is in it and what stands out.

    Images with findings come first, the others are evenly spread over the file.

    Args:
        labels: Label file or folder in any format that ``rtmo dataset convert`` reads.
        out: HTML page (.html), or folder of images, which must not exist yet.
        images: Folder of the images. Default: statistics only.
        limit: Largest number of images.
        source_format: Format of the labels. Default: the one that they show.

    Returns:
        True: the page is written.

    Raises:
        MissingFileError: The labels or the folder do not exist.
        DataError: The labels cannot be read, or all images are missing.
        OutputError: ``out`` cannot be written.
    """
    NUMBER.check("limit", limit)
    source, target, folder = Path(labels), Path(out), None if images is None else Path(images)
    is_page = target.suffix.lower() in (".html", ".htm")
    _check_paths(target, source, folder, is_page=is_page)
    source_format = source_format or detect_format(source)
    if source_format == "coco":
        coco = read_coco(source)
    else:
        coco, _ = convert_to_coco(source, source_format, ReadOptions(images=folder))
    problems = check_coco(coco)
    coco, _ = normalize_coco(coco)
    measured = measure_labels(coco, folder)
    drawn = [] if folder is None else list(_draw_images(coco, folder, problems, limit))
    findings = [*measured.list_findings(), *(KINDS[kind].describe(len(found)) for kind, found in problems.items())]
    if is_page:
        page = _render(source.name, coco, measured, findings, drawn)
        write_file(target, page)
        what = f"{count(len(drawn), 'image')} of {measured.num_images:,}, {format_bytes(len(page.encode()))}"
    else:
        with create_folder(target) as draft:
            for each in drawn:
                write_file(join_inside(draft, f"{each.name}.jpg"), each.jpeg)
        what = f"{count(len(drawn), 'image')} of {measured.num_images:,}"
    print(f"{target}: {what}; {describe_contents(coco)}")
    for sentence in findings:
        print(f"  {sentence}")
    return True


def _check_paths(target: Path, labels: Path, folder: Path | None, *, is_page: bool) -> None:
    if folder is not None and not folder.is_dir():
        raise MissingFileError(f"The image folder {folder} does not exist.")
    if not is_page and folder is None:
        raise OutputError(f"{target} is a folder of drawn images, which needs --images; a page is called NAME.html.")
    if not is_page:
        check_folder_is_free(target)
    check_outputs([target if is_page else target / "image.jpg"], [labels] if labels.is_file() else [])


def _draw_images(coco: Coco, folder: Path, problems: Mapping[str, list[Problem]], limit: int) -> Iterator[DrawnImage]:
    """Yield the drawn images.

    Raises:
        DataError: The folder has none of the images.
    """
    entries = [each for each in coco["images"] if isinstance(each.get("file_name"), str)]
    moved = find_moved_images([each["file_name"] for each in entries], folder)
    places = {each["id"]: moved.get(each["file_name"], each["file_name"]) for each in entries}
    there = [each for each in entries if (folder / places[each["id"]]).is_file()]
    if not there:
        raise DataError(f"{folder} has none of the {len(entries):,} images: name the folder with --images.")
    texts = _list_texts(coco, problems)
    suspicious = [each for each in there if each["id"] in texts]
    others = [each for each in there if each["id"] not in texts]
    chosen = suspicious[:limit]
    room = min(limit - len(chosen), len(others))
    chosen += [others[len(others) * index // room] for index in range(room)]
    people: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for each in coco["annotations"]:
        if isinstance(each, dict):
            people[each.get("image_id")].append(each)
    for entry in show_progress(chosen, desc="drawing images"):
        own = people[entry["id"]]
        path = join_inside(folder, places[entry["id"]])
        try:
            drawn = draw_annotations(read_image(path), own, coco["categories"])
        except DataError as error:
            texts[entry["id"]].append(str(error))
            drawn = np.full((48, _LONGER_SIDE, 3), 128, np.uint8)
        _, content = cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        words = [count(len(own), "person", "people"), *texts.get(entry["id"], [])[:_MAX_TEXTS]]
        yield DrawnImage(content.tobytes(), str(entry["file_name"]), "; ".join(words))


def _list_texts(coco: Coco, problems: Mapping[str, list[Problem]]) -> dict[Any, list[str]]:
    """Return the findings of each image and its people, by image id."""
    texts: dict[Any, list[str]] = defaultdict(list)
    for kind, found in problems.items():
        section, key = KINDS[kind].section, {"images": "id", "annotations": "image_id"}.get(KINDS[kind].section)
        for problem in found if key else ():
            entry = coco[section][problem.place]
            texts[entry.get(key) if isinstance(entry, dict) else None].append(problem.text)
    return texts


def draw_annotations(image: Image, people: list[dict[str, Any]], categories: list[dict[str, Any]]) -> Image:
    """Return an image, its longer side 640 pixels, with labeled people on it.

    A thin box is that of the label, and a ring marks a hidden keypoint (visibility 1).

    Args:
        image: Image, (height, width, 3) BGR.
        people: Annotations of the image; those of another form are left out.
        categories: Categories of the COCO file.
    """
    scale = _LONGER_SIDE / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    canvas: Image = np.asarray(
        cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC), np.uint8
    )
    for number, person in enumerate(people):
        box = person.get("bbox")
        if are_numbers(box, 4):
            x, y, w, h = np.clip(np.array(box) * scale, -1e4, 1e4)
            cv2.rectangle(canvas, (int(x), int(y)), (int(x + w), int(y + h)), _BOX_COLOR, 1, cv2.LINE_AA)
        category = next((each for each in categories if each.get("id") == person.get("category_id")), {})
        names = category.get("keypoints") or []
        if person.get("iscrowd") or not names or not are_numbers(person.get("keypoints"), 3 * len(names)):
            continue
        points = np.array(person["keypoints"], float).reshape(1, -1, 3)
        bones = [(a - 1, b - 1) for a, b in list_bones(category.get("skeleton"), len(names))]
        try:
            partners = list_partners(names, category.get("flip_pairs"))
            pairs = put_left_first([(a, b) for a, b in enumerate(partners) if a < b], names)
        except ValueError:  # sides that the check of the file explains
            pairs = []
        canvas = draw_people(
            canvas,
            points[..., :2] * scale,
            (points[..., 2] > 0).astype(float),
            [bones],
            flip_pairs=pairs,
            texts=[str(category.get("name"))] if len(categories) > 1 else (),
            numbers=[number],
        )
        hidden = points[0, points[0, :, 2] == 1, :2] * scale
        draw_ellipses(canvas, hidden, np.full_like(hidden, 5))
    return canvas


def _render(name: str, coco: Coco, measured: LabelStatistics, findings: list[str], drawn: list[DrawnImage]) -> str:
    tiles = {
        "images": measured.num_images,
        "without people": measured.num_backgrounds,
        "people": measured.num_people,
        "with keypoints": measured.num_labeled,
        "keypoints": sum(each.num_labeled for each in measured.keypoints),
        "classes": len(measured.classes),
    }
    return render_template(
        "labels.html", name=name, measured=measured, findings=findings, drawn=drawn, tiles=tiles, side=_LONGER_SIDE
    )
