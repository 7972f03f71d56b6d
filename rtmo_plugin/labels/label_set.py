"""The data model of all label formats: images with their people, and names instead of ids.

Each format is read into a ``LabelSet`` and written from one; COCO is one of the formats. What else a format holds
(outlines, attributes, licenses, ids) is left out, and ``notes`` says so in sentences for the user.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from rtmo_plugin.errors import DataError
from rtmo_plugin.keypoints.person_boxes import complete_box, has_area, span_keypoints
from rtmo_plugin.labels.annotations import count_labeled
from rtmo_plugin.labels.categories import find_name_fault, list_bones, list_others
from rtmo_plugin.labels.checking import check_coco
from rtmo_plugin.labels.coco_files import Coco, split_points
from rtmo_plugin.labels.normalizing import normalize_coco

Point = tuple[float, float, int]
_DECIMALS = 10
_LARGEST = 1e9  # pixels
# Findings that leave ids, references or numbers ambiguous; labels with other findings convert as they are.
_OBSTACLES = (
    "-broken", "-repeated", "-conflict", "-keypoints", "-skeleton", "unknown-",
    "keypoint-count", "-number", "-visibility", "share-numbers", "box-convention", "-shift", "image-unsized",
)  # fmt: skip


class Person(NamedTuple):
    """One labeled person.

    Attributes:
        category: Name of the category.
        bbox: Box (x, y, width, height) in pixels; None if only keypoints were labeled.
        keypoints: K times (x, y, visibility), flat as in COCO.
        group_id: Number of the person in the labeling tool, if any.
    """

    category: str
    bbox: list[float] | None
    keypoints: list[float]
    group_id: int | None = None

    @classmethod
    def from_points(
        cls, category: str, bbox: list[float] | None, points: Iterable[Point], group_id: int | None = None
    ) -> Person:
        """Return a person whose keypoints are K points (x, y, visibility)."""
        return cls(category, bbox, [tidy(number) for point in points for number in point], group_id)

    @property
    def points(self) -> list[Point]:
        """K points (x, y, visibility)."""
        return list(split_points(self.keypoints))  # type: ignore[arg-type]


class LabeledImage(NamedTuple):
    """Size of an image in pixels, and its people."""

    width: int
    height: int
    people: list[Person]


@dataclass(frozen=True)
class LabelSet:
    """Labels of many images.

    Attributes:
        categories: COCO's fields by category name: ``keypoints``, and where known ``skeleton`` and ``flip_pairs``.
        images: Labeled images by file name.
        notes: Sentences on what was left out or assumed.
    """

    categories: dict[str, dict[str, Any]]
    images: dict[str, LabeledImage]
    notes: list[str] = field(default_factory=list)

    @property
    def keypoints(self) -> dict[str, list[str]]:
        """Keypoint names by category."""
        return {name: entry["keypoints"] for name, entry in self.categories.items()}

    def complete_boxes(self) -> LabelSet:
        """Return the labels with a box that has an area for every person.

        Missing boxes and boxes without area are drawn around the labeled keypoints. People with neither a box nor a
        labeled keypoint are left out. Notes count the boxes that got a margin, and the people left out.

        Raises:
            DataError: A coordinate is too large for any image.
        """
        counts: Counter[str] = Counter()
        images = {}
        for name, image in self.images.items():
            people = [_complete_person(person, name, image, counts) for person in image.people]
            images[name] = image._replace(people=[person for person in people if person is not None])
        notes = []
        if counts["drawn"]:
            notes.append(f"Boxes without area, drawn around the keypoints with a margin: {counts['drawn']:,}.")
        if counts["gone"]:
            notes.append(f"People left out, without a box and without a labeled keypoint: {counts['gone']:,}.")
        return replace(self, images=images, notes=[*self.notes, *notes])


@dataclass(frozen=True)
class ReadOptions:
    """Facts about labels that their files may lack: from the user, or from a conversion that reads back its output.

    Attributes:
        split: Split of a YOLO folder.
        keypoints: Keypoint names in order, for all categories or by category. Default: the names in the files.
        images: Folder of a YOLO folder's images. Default: where data.yaml says.
        sizes: Image width and height by file name, for a YOLO folder without images. Default: read from the images.
    """

    split: str = "train"
    keypoints: list[str] | Mapping[str, list[str]] | None = None
    images: Path | None = None
    sizes: Mapping[str, tuple[int, int]] | None = None

    def choose_keypoints(self, category: str, found: list[str] | None) -> list[str]:
        """Return the keypoint names given for a category, else those ``found`` in the files."""
        if isinstance(self.keypoints, Mapping):
            return list(self.keypoints.get(category) or found or [])
        return list(self.keypoints or found or [])


def clean_name(name: str) -> str:
    """Return a name without outer spaces, and with single inner spaces.

    Examples:
        >>> clean_name(" left  eye ")
        'left eye'
    """
    return " ".join(name.split())


def strip_suffix(name: str) -> str:
    """Return an image name without its suffix, as YOLO and LabelMe name labels.

    Examples:
        >>> strip_suffix("v1.0/a.b.jpg"), strip_suffix("v1.0/a")
        ('v1.0/a.b', 'v1.0/a')
    """
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.rpartition('.')[0] or last}"


def tidy(value: float) -> float:
    """Return a coordinate without rounding noise, as an integer if it is whole.

    Examples:
        >>> tidy(0.1 + 0.2), tidy(7.0)
        (0.3, 7)
    """
    rounded = round(float(value), _DECIMALS)
    return int(rounded) if rounded.is_integer() else rounded


def write_new(path: Path, text: str) -> None:
    """Write a new file and the folders above it, in the draft of a conversion."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8", newline="\n") as file:
        file.write(text)


def describe_left_out(unused: Counter[str]) -> list[str]:
    """Return a sentence with the number of omitted shapes by kind, or nothing."""
    left = ", ".join(f"{count:,} {kind}" for kind, count in sorted(unused.items()) if count)
    return [f"Left out, as COCO keypoints cannot hold them: {left}."] if left else []


def check_categories(categories: Mapping[str, dict[str, Any]], origin: str) -> None:
    """Check the names of categories and keypoints.

    Raises:
        DataError: Categories are missing, or one has no keypoints, an empty name or a repeated name.
    """
    for name, entry in categories.items():
        if not name:
            raise DataError(f"{origin} has a category without a name.")
        fault = find_name_fault(entry["keypoints"])
        if fault:
            raise DataError(f"{origin}, category {name!r}: {fault}; name the keypoints with --keypoints.")
    if not categories:
        raise DataError(f"{origin} has no category.")


def is_obstacle(kind: str) -> bool:
    """Whether findings of a kind leave ids, references, names or numbers of a COCO file open.

    Examples:
        >>> is_obstacle("unknown-image"), is_obstacle("category-differs")
        (True, False)
    """
    return any(part in kind for part in _OBSTACLES)


def from_coco(coco: Coco) -> LabelSet:
    """Return the labels of a COCO file, without crowd regions and fields that only COCO has.

    Raises:
        DataError: Ids, references, names or numbers are broken, or the file has no images.
    """
    coco, _ = normalize_coco(coco)
    if not coco["images"]:
        raise DataError("The file has no images, so there is nothing to convert.")
    for kind, problems in check_coco(coco).items():
        if is_obstacle(kind):
            raise DataError(f"The file cannot be converted, run check with --fix first: {problems[0].text} [{kind}].")
    others = list_others(coco)
    if others:
        left_out = {each["id"] for each in others}
        coco = {
            **coco,
            "categories": [each for each in coco["categories"] if each["id"] not in left_out],
            "annotations": [each for each in coco["annotations"] if each["category_id"] not in left_out],
        }
    notes = [f"Categories without keypoints, left out: {', '.join(each['name'] for each in others)}."] if others else []
    categories: dict[str, dict[str, Any]] = {}
    for name, entry in _index_by(coco, "categories", "name").items():
        bones = list_bones(entry.get("skeleton"), len(entry["keypoints"] or ()))
        fields = {"keypoints": entry["keypoints"], "skeleton": bones or None, "flip_pairs": entry.get("flip_pairs")}
        categories[name] = {key: value for key, value in fields.items() if value is not None}
    entries = _index_by(coco, "images", "file_name")
    images = {name: LabeledImage(entry["width"], entry["height"], []) for name, entry in entries.items()}
    by_id = {entry["id"]: images[name] for name, entry in entries.items()}
    names = {entry["id"]: entry["name"] for entry in coco["categories"]}
    check_categories(categories, "The file")
    for each in coco["annotations"]:
        if not each.get("iscrowd"):
            person = Person(names[each["category_id"]], each["bbox"], each["keypoints"])
            by_id[each["image_id"]].people.append(person)
    return LabelSet(categories, images, notes)


def to_coco(labels: LabelSet) -> Coco:
    """Return labels as a COCO file with ids from 1; every person must have a box."""
    numbered = enumerate(labels.categories.items(), start=1)
    categories = [{"id": number, "name": name, **entry} for number, (name, entry) in numbered]
    category_ids = {entry["name"]: entry["id"] for entry in categories}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, (file_name, image) in enumerate(labels.images.items(), start=1):
        images.append({"id": image_id, "file_name": file_name, "width": image.width, "height": image.height})
        for person in image.people:
            assert person.bbox is not None
            bbox = [tidy(number) for number in person.bbox]
            own = {} if person.group_id is None else {"group_id": person.group_id}
            annotations.append({
                "id": len(annotations) + 1, "image_id": image_id, "category_id": category_ids[person.category],
                "bbox": bbox, "area": tidy(bbox[2] * bbox[3]), "iscrowd": 0,
                "num_keypoints": count_labeled(person.keypoints), "keypoints": person.keypoints, **own,
            })  # fmt: skip
    return {"images": images, "annotations": annotations, "categories": categories}


def _complete_person(person: Person, name: str, image: LabeledImage, counts: Counter[str]) -> Person | None:
    wrong = [number for number in (*(person.bbox or ()), *person.keypoints) if not abs(number) <= _LARGEST]
    if wrong:
        raise DataError(f"Image {name!r} has a person with the coordinate {wrong[0]:.3g}, which is in no image.")
    box = complete_box(person.bbox, person.keypoints, (image.width, image.height))
    if box is None:
        counts["gone"] += 1
        return None
    counts["drawn"] += not has_area(person.bbox or span_keypoints(person.keypoints) or [0, 0, 0, 0])
    return person._replace(bbox=[tidy(number) for number in box])


def _index_by(coco: Coco, section: str, key: str) -> dict[str, Any]:
    indexed: dict[str, Any] = {}
    for entry in coco[section]:
        if entry[key] in indexed:
            raise DataError(f"The file cannot be converted: two {section} have the {key} {entry[key]!r}.")
        indexed[entry[key]] = entry
    return indexed
