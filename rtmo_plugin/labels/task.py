"""What a COCO file asks a model to learn: classes and keypoints, and whether training can read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtmo_plugin.errors import DataError
from rtmo_plugin.labels.categories import is_bone, list_partners
from rtmo_plugin.labels.checking import check_coco
from rtmo_plugin.labels.files import Coco, read_coco
from rtmo_plugin.labels.sigmas import choose_sigmas
from rtmo_plugin.structures import KeypointSchema

# Findings that training lives with: it leaves out those people, images and bones by itself.
_HARMLESS = {
    "category-sides", "category-skeleton", "image-repeated", "annotation-repeated", "unknown-image", "keypoint-outside",
    "num-keypoints", "box-empty", "box-outside",
}  # fmt: skip


@dataclass(frozen=True)
class Task:
    """Classes and keypoints of a COCO file.

    Attributes:
        classes: Names of the C categories with keypoints, by ascending id.
        schema: Their K keypoints.
        sigma_sources: K times ``given``, ``known``, ``estimated`` or ``typical`` (see ``sigmas``).
        has_areas: Whether every person has an ``area``.
    """

    classes: tuple[str, ...]
    schema: KeypointSchema
    sigma_sources: tuple[str, ...]
    has_areas: bool

    def __str__(self) -> str:
        """Say what will be learnt, in two lines."""
        names = self.schema.names
        pairs = [f"{names[a]}-{names[b]}" for a, b in self.schema.flip_pairs]
        sigmas = [f"{name} {s:g} ({source})" for name, s, source in zip(names, self.schema.sigmas, self.sigma_sources)]
        return (
            f"{len(self.classes)} class{'es' if len(self.classes) > 1 else ''}: {', '.join(self.classes)}; "
            f"a flip exchanges {', '.join(pairs) or 'nothing'}\n"
            f"{len(names)} keypoints with sigmas: {', '.join(sigmas)}"
        )


def read_task(path: str | Path, sigmas: Sequence[float] | None = None) -> Task:
    """Return classes and keypoints of a COCO file that training can read.

    Categories without keypoints do not count.  Flip pairs are the categories' own ``flip_pairs``, or
    else what the names tell (``keypoint_sides``).

    Args:
        path: The file.
        sigmas: K sigmas in place of known or estimated ones.

    Raises:
        MissingFileError: There is no such file.
        DataError: It has something that training would stop at or learn wrongly, or another number
            of keypoints than ``sigmas``.
    """
    coco = _leave_out_others(read_coco(path))
    _refuse_problems(path, coco)
    categories = sorted(coco["categories"], key=lambda category: int(category["id"]))
    names = categories[0]["keypoints"]
    people = [each for each in coco["annotations"] if isinstance(each.get("keypoints"), list)]
    if sigmas is None:
        chosen, sources = choose_sigmas(names, [each for each in people if not each.get("iscrowd")])
    else:
        chosen, sources = _read_numbers(sigmas), ("given",) * len(names)
    try:
        schema = KeypointSchema(tuple(names), chosen, _find_pairs(categories[0]), _list_bones(categories[0]))
    except ValueError as error:  # of given sigmas: everything else was checked
        raise DataError(f"{path}: {error}") from None
    classes = tuple(category["name"] for category in categories)
    return Task(classes, schema, sources, all("area" in each for each in people))


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


def _refuse_problems(path: str | Path, coco: Coco) -> None:
    """Raise a DataError for what training would stop at, crash from or learn wrongly."""
    if not coco["categories"]:
        raise DataError(f"{path} has no category with a list `keypoints` of names: they say what a model can learn.")
    for kind, problems in check_coco(coco).items():
        if kind not in _HARMLESS:
            count = f" (and {len(problems) - 1:,} more)" if len(problems) > 1 else ""
            advice = f"run `rtmo dataset check {path}` first, which has --fix"
            raise DataError(f"{path} cannot be trained on: {problems[0].text}{count} [{kind}]; {advice}.")
    names = [category["name"] for category in coco["categories"]]
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise DataError(f"{path} has two categories named {repeated[0]!r}: classes are told apart by their names.")


def _read_numbers(sigmas: Any) -> tuple[float, ...]:
    try:
        return tuple(float(sigma) for sigma in sigmas)
    except (TypeError, ValueError):
        raise DataError(f"Sigmas are a list of numbers, one a keypoint, not {sigmas!r}.") from None


def _find_pairs(category: dict[str, Any]) -> tuple[tuple[int, int], ...]:
    """Return pairs of indices, each once, the first name first."""
    partners = list_partners(category["keypoints"], category.get("flip_pairs"))
    return tuple((a, b) for a, b in enumerate(partners) if a < b)


def _list_bones(category: dict[str, Any]) -> tuple[tuple[int, int], ...]:
    """Return the skeleton from 0, as far as it leads anywhere."""
    names, skeleton = category["keypoints"], category.get("skeleton") or []
    bones = skeleton if isinstance(skeleton, list) else []
    return tuple((bone[0] - 1, bone[1] - 1) for bone in bones if is_bone(bone, len(names)))
