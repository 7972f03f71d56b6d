"""Classes and keypoints that a model learns from a COCO file, and whether training can use the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rtmo_plugin.errors import DataError
from rtmo_plugin.labels.annotations import count_labeled_people, count_labeled_points
from rtmo_plugin.labels.categories import list_bones, list_partners
from rtmo_plugin.labels.checking import check_coco
from rtmo_plugin.labels.coco_files import Coco, name_keypoints, read_coco
from rtmo_plugin.labels.problems import KINDS, Problem
from rtmo_plugin.labels.sigmas import choose_sigmas, find_named_set
from rtmo_plugin.structures import KeypointSchema
from rtmo_plugin.wording import count

# Findings that do not stop training, which leaves out such people, images and bones.
_HARMLESS = {
    "category-sides", "category-skeleton", "image-repeated", "annotation-repeated", "unknown-image", "keypoint-outside",
    "num-keypoints", "annotation-copy", "unlabeled-file", "box-empty", "box-outside", "area-size", "image-file",
    "keypoint-far", "visibility-never-2", "visibility-none",
}  # fmt: skip
_SUSPICIOUS = ("image-file", "keypoint-far", "annotation-copy")  # reported before training
_MOST_NAMED = 8
_NOT_COMMON = ("keypoint-far", "keypoint-outside")  # refused if half of the people have them


@dataclass(frozen=True)
class DatasetKeypoints:
    """Classes and keypoints of a COCO file.

    Attributes:
        classes: Names of the C categories with keypoints, by ascending id.
        schema: Keypoint set of all classes.
        sigma_sources: K times ``given``, ``known``, ``estimated`` or ``typical`` (see ``sigmas``).
        has_areas: Whether every person has an ``area`` that fits the box.
        notes: Sentences on findings that do not stop training.
        class_skeletons: Bones of each class, those of all for a class without any. Empty if all have the same.
    """

    classes: tuple[str, ...]
    schema: KeypointSchema
    sigma_sources: tuple[str, ...]
    has_areas: bool
    notes: tuple[str, ...] = ()
    class_skeletons: tuple[tuple[tuple[int, int], ...], ...] = ()

    def __str__(self) -> str:
        """Return the numbers of classes and keypoints, and where the sigmas are from, in a line."""
        sources: dict[str, list[str]] = {}
        for name, source in zip(self.schema.names, self.sigma_sources):
            sources.setdefault(source, []).append(name)
        listed = [
            f"{source} for {', '.join(names[:_MOST_NAMED])}{', ...' if len(names) > _MOST_NAMED else ''}"
            for source, names in sources.items()
        ]
        sigmas = listed if len(sources) > 1 else list(sources)
        counts = f"{count(len(self.classes), 'class', 'classes')}, {count(self.schema.num_keypoints, 'keypoint')}"
        return f"{counts}; sigmas are {', '.join(sigmas)}"


def read_dataset_keypoints(
    path: str | Path, sigmas: Sequence[float] | None = None, keypoint_set: KeypointSchema | None = None
) -> DatasetKeypoints:
    """Return classes and keypoints of a COCO file that training can use.

    Categories without keypoints are left out. Flip pairs are the ``flip_pairs`` of the categories, or else those that
    the names imply (see ``keypoints.sides``).

    Args:
        path: COCO file.
        sigmas: K sigmas. Default: known or estimated ones.
        keypoint_set: Known keypoint set of the file, in the file's order. It has the sigmas, names the keypoints of
            categories without names, and gives flip pairs and bones where the categories have none.

    Raises:
        MissingFileError: The file does not exist.
        DataError: Training would stop at the file or learn it wrongly, or it has another number of keypoints than
            ``sigmas``.
    """
    coco = read_coco(path)
    if keypoint_set is not None:
        coco = name_keypoints(coco, keypoint_set)
    coco = _leave_out_others(coco)
    problems = check_coco(coco)
    _refuse_problems(path, coco, problems)
    categories = sorted(coco["categories"], key=lambda category: int(category["id"]))
    names = categories[0]["keypoints"]
    people = [each for each in coco["annotations"] if isinstance(each.get("keypoints"), list)]
    keypoint_set = keypoint_set or find_named_set(names)
    if sigmas is None and keypoint_set is not None:
        if keypoint_set.num_keypoints != len(names):
            raise DataError(
                f"{path} has {len(names)} keypoints, and the keypoint set of the config {keypoint_set.num_keypoints}."
            )
        chosen, sources = keypoint_set.sigmas, ("known",) * len(names)
    elif sigmas is None:
        chosen, sources = choose_sigmas(names, [each for each in people if not each.get("iscrowd")])
    else:
        try:
            chosen, sources = tuple(float(sigma) for sigma in sigmas), ("given",) * len(names)
        except (TypeError, ValueError):
            raise DataError(f"Sigmas are a list of numbers, one a keypoint, not {sigmas!r}.") from None
    try:
        partners = list_partners(names, categories[0].get("flip_pairs"))
        pairs = tuple((a, b) for a, b in enumerate(partners) if a < b)
        own = [
            tuple(dict.fromkeys((a - 1, b - 1) for a, b in list_bones(each.get("skeleton"), len(names))))
            for each in categories
        ]
        bones = tuple(dict.fromkeys(bone for each in own for bone in each))
        schema = KeypointSchema(tuple(names), chosen, pairs, bones)
    except ValueError as error:  # of given sigmas: everything else was checked
        raise DataError(f"{path}: {error}") from None
    classes = tuple(category["name"] for category in categories)
    has_areas = all(each.get("area") is not None for each in people)
    notes = tuple(_list_notes(problems, has_areas, len(people)))
    class_skeletons = tuple(each or bones for each in own) if len({frozenset(each) for each in own}) > 1 else ()
    return DatasetKeypoints(classes, schema, sources, has_areas and "area-size" not in problems, notes, class_skeletons)


def _list_notes(problems: dict[str, list[Problem]], has_areas: bool, num_people: int) -> Iterator[str]:
    """Yield sentences on findings that do not stop training."""
    if "area-size" in problems:
        found = problems["area-size"]
        where = f"{len(found):,} of {num_people:,} areas do not fit their box ({found[0].text})"
        yield f"{where}: 0.53 of the box is taken in training and evaluation"
    elif not has_areas:
        yield "some people have no area: 0.53 of the box is taken in training and evaluation"
    for problem in problems.get("category-skeleton", [])[:1]:
        if problem.text.endswith("counts from 0"):
            yield "the skeleton has a 0, so that its bones are counted from 0"
    for kind in _SUSPICIOUS:
        if kind in problems:
            found = problems[kind]
            yield f"{KINDS[kind].describe(len(found))}, such as {found[0].text} [{kind}]"


def _leave_out_others(coco: Coco) -> Coco:
    """Return a file without categories that have no keypoints, and without their annotations."""
    categories = coco["categories"]
    others = {id(each) for each in categories if isinstance(each, dict) and not each.get("keypoints")}
    kept = [each for each in categories if id(each) not in others]
    left_out = [each.get("id") for each in categories if id(each) in others]
    people = [
        each for each in coco["annotations"] if not (isinstance(each, dict) and each.get("category_id") in left_out)
    ]
    return {**coco, "categories": kept, "annotations": people}


def _refuse_problems(path: str | Path, coco: Coco, problems: dict[str, list[Problem]]) -> None:
    """Raise a DataError for findings that would stop training or be learned wrongly."""
    if not coco["categories"]:
        raise DataError(
            f"{path} has no category with a list `keypoints` of names, which say what a model can learn: name them, or "
            "set `model.head.keypoints.known_set` to a known set such as halpe26."
        )
    num_people = count_labeled_people(coco)
    for kind, found in problems.items():
        is_common = kind in _NOT_COMMON and 2 * len(found) >= num_people
        if is_common and kind == "keypoint-outside":
            num_points, num_outside = count_labeled_points(coco)
            is_common = 2 * num_outside >= num_points
        if kind not in _HARMLESS or is_common:
            more = f" (and {len(found) - 1:,} more)" if len(found) > 1 else ""
            advice = f"run `rtmo dataset check {path}` first, which has --fix"
            if kind == "category-differs":
                advice = f"join the keypoints first by `rtmo dataset merge {path} --out FILE`"
            raise DataError(f"{path} cannot be trained on: {found[0].text}{more} [{kind}]; {advice}.")
    names = [category["name"] for category in coco["categories"]]
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise DataError(f"{path} has two categories named {repeated[0]!r}: classes are told apart by their names.")
