"""Comparison of keypoints and classes by name, wherever a model meets data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from rtmo_plugin.errors import CheckpointError, ConfigError, DataError
from rtmo_plugin.keypoints.metainfo import read_names
from rtmo_plugin.keypoints.order import (
    describe_difference,
    is_identity,
    list_category_names,
    match_order,
)

_MAPPED = "rtmo_plugin.CocoKeypoints and rtmo_plugin.CocoMetric find keypoints by their names"


def order_outputs(
    file: str | Path, given: tuple[Sequence[str], Sequence[str]], metainfo: Mapping[str, Any]
) -> tuple[list[int] | None, list[int] | None]:
    """Return how the outputs of a model become those of a data set.

    Args:
        file: Model, for the message.
        given: Keypoint names and class names of the model.
        metainfo: Metainfo of the data set.

    Returns:
        Index in the model of each keypoint of the data set; class in the data set of each class of the model.
        None where one side has no names.

    Raises:
        ConfigError: The model has other keypoints or classes.
    """
    names, order = read_names(metainfo), None
    if names:
        found = match_order(given[0], names)
        if found is None:
            raise ConfigError(
                f"The keypoints of {file} are not the config's: the file {describe_difference(given[0], names)}."
            )
        order = list(found)
    classes = [str(each) for each in metainfo.get("classes") or ()]
    if not classes or len(classes) == len(given[1]) == 1:
        return order, None
    unknown = [name for name in given[1] if name not in classes]
    if unknown:
        raise ConfigError(f"{file} has the class {unknown[0]!r}, and the config's are {', '.join(classes)}.")
    return order, [classes.index(name) for name in given[1]]


def check_checkpoint_names(
    checkpoint: Mapping[str, Any], path: Path, metainfo: Mapping[str, Any] | None, advice: str = ""
) -> None:
    """Check that a checkpoint was trained with the keypoints and classes of a model, in their order.

    Published checkpoints hold no names; only the number of keypoints is known.

    Args:
        checkpoint: Content of the file.
        path: Path of the checkpoint, for the message.
        metainfo: Metainfo of the model's data.
        advice: Remedy for the message. Default: the config beside the checkpoint.

    Raises:
        CheckpointError: They differ.
    """
    noted = checkpoint.get("meta")
    noted = noted.get("dataset_meta") if isinstance(noted, Mapping) else None
    if not isinstance(noted, Mapping) or not metainfo:
        return
    hint = advice or "use the config that training wrote beside the checkpoint"
    given, wanted = read_names(noted), read_names(metainfo)
    if given and wanted and len(given) == len(wanted):  # another number shows in the shapes of the weights
        order = match_order(given, wanted)
        if order is None or not is_identity(order):
            difference = describe_difference(given, wanted)
            raise CheckpointError(f"The keypoints of {path} are not the config's: the checkpoint {difference}; {hint}.")
    classes = [tuple(map(str, each.get("classes") or ())) for each in (noted, metainfo)]
    if min(map(len, classes)) > 1 and classes[0] != classes[1]:
        raise CheckpointError(
            f"The classes of {path} are {', '.join(classes[0])}, and the config's are {', '.join(classes[1])}: {hint}."
        )


def check_model_names(model: nn.Module, metainfo: Mapping[str, Any] | None, where: str, evaluators: Any = None) -> None:
    """Check that a head has the keypoints of a data set in the same order, if both have the same number.

    Args:
        model: Model; only RTMO's head here knows its keypoints.
        metainfo: Metainfo of the data set.
        where: Config section of the data set, for the message.
        evaluators: Metrics of the config; nothing is compared if one of them converts keypoints.

    Raises:
        ConfigError: They differ.
    """
    schema, names = getattr(getattr(model, "head", None), "schema", None), read_names(metainfo)
    if schema is None or names is None or len(names) != schema.num_keypoints or has_converter(evaluators):
        return
    order = match_order(names, schema.names)
    if order is None or not is_identity(order):
        raise ConfigError(
            f"The keypoints of {where} are not those of model.head.keypoints: the data set "
            f"{describe_difference(names, schema.names)}."
        )


def check_data_names(dataset: Any, evaluators: Any = None) -> None:
    """Check that annotation files have the keypoints of their data sets, in the order in which they are read.

    ``rtmo_plugin.CocoKeypoints`` reads them by name; MMPose's classes read them by position.

    Args:
        dataset: Data set, or several of them in one.
        evaluators: Metrics of the config; MMPose's read keypoints by position.

    Raises:
        DataError: A file lists other keypoints, or another order than its data set or metric expects.
    """
    for part in list_parts(dataset):
        metainfo, file = getattr(part, "metainfo", None), getattr(part, "ann_file", None)
        names = read_names(metainfo)
        if not file or not names:
            continue
        kinds = {str(each.get("type")) for each in _list_configs(evaluators)}
        if getattr(part, "is_reordered", False) and kinds & {"CocoMetric", "mmpose.CocoMetric"}:
            raise DataError(f"{file} lists the keypoints in another order than the config, and MMPose's metric reads "
                            f"them by position: {_MAPPED}.")  # fmt: skip
        for category in metainfo.get("CLASSES") or ():  # type: ignore[union-attr]  # names come from it
            found = list_category_names(category)
            if found is None or len(found) != len(names):  # names of something else than the annotations
                continue
            order = match_order(found, names, allow_renamed=True)
            if order is None or not is_identity(order):
                raise DataError(
                    f"{file} is not in the order of {type(part).__name__}: its category {category.get('name')!r} "
                    f"{describe_difference(found, names)}; {_MAPPED}."
                )


def list_parts(dataset: Any) -> Iterator[Any]:
    """Yield the parts of a wrapped or combined data set."""
    if hasattr(dataset, "datasets"):
        for part in dataset.datasets:
            yield from list_parts(part)
    elif hasattr(dataset, "dataset"):
        yield from list_parts(dataset.dataset)
    else:
        yield dataset


def has_converter(evaluators: Any) -> bool:
    """Return whether one of a config's metrics converts keypoints by itself."""
    return any(each.get(name) for each in _list_configs(evaluators) for name in ("pred_converter", "gt_converter"))


def _list_configs(evaluators: Any) -> list[Mapping[str, Any]]:
    listed = evaluators if isinstance(evaluators, (list, tuple)) else [evaluators]
    return [each for each in listed if isinstance(each, Mapping)]
