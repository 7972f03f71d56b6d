"""Keypoints and classes that a config leaves to its annotation file.

``keypoints=dict(from_data=True)`` in a head becomes what the categories of the training file say, in the
head and in every dataset, before anything is built.  The config that is written beside the checkpoints
has it in full, so that a trained model needs the data no longer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mmengine.config import Config

from rtmo_plugin.config.sections import walk_sections
from rtmo_plugin.errors import ConfigError, DataError, MissingFileError, refuse_config_errors
from rtmo_plugin.keypoints.metainfo import read_names
from rtmo_plugin.keypoints.order import describe_difference, is_identity, match_order
from rtmo_plugin.keypoints.sets import find_schema
from rtmo_plugin.keypoints.sides import read_sides
from rtmo_plugin.labels.dataset_keypoints import DatasetKeypoints, read_dataset_keypoints
from rtmo_plugin.structures import KeypointSchema

_DATASET = "rtmo_plugin.CocoKeypoints"
_METRIC = "rtmo_plugin.CocoMetric"


def fill_keypoints_from_data(cfg: Config) -> None:
    """Give ``cfg`` the keypoints and classes of its data, and print how many; one that names its keypoints stays.

    Raises:
        ConfigError: The training set is of another type than ``CocoKeypoints``.
        MissingFileError: The annotation file of the training set does not exist.
        DataError: An annotation file cannot be trained on, or the files differ in classes or keypoints.
    """
    wanted = (cfg.model.get("head") or {}).get("keypoints")
    if not (isinstance(wanted, Mapping) and wanted.get("from_data")):
        return
    training = _list_datasets(cfg.train_dataloader)
    if not training:
        raise ConfigError(f"Keypoints from the data need a training set of type {_DATASET}, and the config has none.")
    path = _find_file(training[0])
    if not path.is_file():
        raise MissingFileError(
            f"The annotation file {path}, whose keypoints the model takes, does not exist: pass --data-root "
            "with its folder, or, for a trained model, the config that training wrote beside the checkpoint."
        )
    with refuse_config_errors():
        known = find_schema(wanted["known_set"]) if wanted.get("known_set") else None
    data = read_dataset_keypoints(path, wanted.get("sigmas"), known)
    files = {_find_file(dataset): None for dataset in _list_datasets(cfg._cfg_dict)}
    others = [_read_other(other, path, data, known) for other in files if other != path and other.is_file()]
    print(f"{path}: {data}")
    for note in dict.fromkeys(note for each in (data, *others) for note in each.notes):
        print(note)
    has_areas = data.has_areas and all(other.has_areas for other in others)
    keypoints = {
        name: [list(each) if isinstance(each, tuple) else each for each in value]
        for name, value in asdict(data.schema).items()
    }
    cfg.model.head.keypoints = keypoints  # not `update`, which would merge the two
    cfg.model.head.num_classes = len(data.classes)
    settings: dict[str, Any] = {"keypoints": keypoints, "classes": list(data.classes)}
    settings |= {} if has_areas else {"use_area": False}
    if data.class_skeletons:
        settings["class_skeletons"] = [[list(bone) for bone in bones] for bones in data.class_skeletons]
    for dataset in _list_datasets(cfg._cfg_dict):
        dataset.update(settings)
    for section in walk_sections(cfg._cfg_dict):
        if section.get("type") == _METRIC and not has_areas:
            section["use_area"] = False


def describe_flips(metainfo: Mapping[str, Any]) -> str:
    """Return a warning about keypoints that a flip may leave on the wrong side, or an empty text.

    Args:
        metainfo: Data set metainfo as MMPose parses it.
    """
    names = read_names(metainfo) or ()
    sides, partners = read_sides(names), tuple(metainfo["flip_indices"])
    what_to_do = "name pairs in flip_pairs if that is wrong"
    if partners == tuple(range(len(names))) != sides.partners:
        left, right = next((names[a], names[b]) for a, b in enumerate(sides.partners) if a != b)
        return f"warning: a flip exchanges no keypoints, not even {left} and {right}; {what_to_do}"
    doubts = (*sides.faults, *sides.doubts)
    if partners != sides.partners or not doubts:
        return ""
    more = f" (and {len(doubts) - 1} more)" if len(doubts) > 1 else ""
    return f"warning: a flip may leave keypoints on the wrong side: {doubts[0]}{more}; {what_to_do}"


def _list_datasets(section: Any) -> list[dict[str, Any]]:
    return [each for each in walk_sections(section) if each.get("type") == _DATASET]


def _find_file(dataset: Mapping[str, Any]) -> Path:
    return Path(dataset.get("data_root") or "", dataset["ann_file"])


def _read_other(path: Path, first: Path, data: DatasetKeypoints, known: KeypointSchema | None) -> DatasetKeypoints:
    """Return classes and keypoints of another file, which must be those of the ``first``, in any order."""
    other = read_dataset_keypoints(path, data.schema.sigmas, known)
    found, expected = sorted(other.classes), sorted(data.classes)
    if found != expected:
        raise DataError(f"{path} has the classes {found}, and {first} has {expected}: both must have the same.")
    order = match_order(other.schema.names, data.schema.names)
    if order is None:
        difference = describe_difference(other.schema.names, data.schema.names)
        raise DataError(f"{path} does not have the keypoints of {first}: it {difference}.")
    if not is_identity(order):
        print(f"{path} has the same keypoints in another order: they are found by name")
    return other
