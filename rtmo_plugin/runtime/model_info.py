"""Metadata of an exported file: keypoint set, classes, input, and how to read the outputs.

The file holds one JSON value for each name: in ONNX as metadata properties.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from rtmo_plugin.errors import DataError
from rtmo_plugin.score_calibration import METADATA_KEY, ScoreCalibration
from rtmo_plugin.structures import KeypointSchema

CUTS = ("end2end", "decoded", "fused", "raw")
INPUTS = ("float32", "uint8")
PRECISIONS = ("float32", "float16", "int8")
FUSED_OUTPUT = "output"  # the only one of the cut fused
UNCERTAINTY = "uncertainty"  # the output with the standard deviations of keypoints
OUTPUT_NAMES = "output_names"  # among the metadata of files whose format keeps no names
_MAX_SIDE = 16_384
_MAX_NUMBER = 2**31
_OF_OWN_KIND = ("schema", "score_calibration")  # fields that are not plain JSON values
# Fields that files of earlier versions do not have.
_ADDED_LATER = ("uncertainty", "uncertainty_factor", "class_skeletons")


@dataclass(frozen=True)
class ModelInfo:
    """Metadata that a program needs to run an exported file.

    Attributes:
        schema: Keypoint set: names, sigmas, flip pairs and skeleton.
        classes: Class names by label.
        size_wh: Input width and height in pixels; the default if the size is dynamic.
        cut: Last stage inside the file: ``"end2end"``, ``"decoded"``, ``"fused"`` or ``"raw"``.
        input: Type of the input: ``"float32"``, (B, 3, H, W), or ``"uint8"``, (B, H, W, 3); BGR, 0..255.
        dynamic: Axes whose size may change between calls: ``"batch"``, ``"size"``.
        precision: Precision of the convolutions: ``"float32"``, ``"float16"`` or ``"int8"``.
        score_thr: Score above which detections are returned.
        nms_thr: IoU above which NMS keeps only the better of two boxes.
        max_people: Largest number of detections per image.
        strides: Strides of the head's maps.
        pad_value: BGR color of the padding around an image of another shape than the input.
        name: Name of the config.
        version: Version of the package that wrote the file.
        training_ap: AP of the last validation in training. None if it is unknown.
        uncertainty: Whether the file has an output ``uncertainty``, standard deviations of keypoints.
        uncertainty_factor: Factor that calibrates standard deviations of keypoints.
        class_skeletons: Pairs of keypoints to draw as limbs for each class. Empty if all have those of the schema.
        score_calibration: Score calibration. None if none was given at export.
    """

    schema: KeypointSchema
    classes: tuple[str, ...] = ("person",)
    size_wh: tuple[int, int] = (640, 640)
    cut: str = "end2end"
    input: str = "float32"
    dynamic: tuple[str, ...] = ("batch",)
    precision: str = "float32"
    score_thr: float = 0.1
    nms_thr: float = 0.65
    max_people: int = 100
    strides: tuple[int, ...] = (16, 32)
    pad_value: tuple[int, int, int] = (114, 114, 114)
    name: str = ""
    version: str = ""
    training_ap: float | None = None
    uncertainty: bool = False
    uncertainty_factor: float = 1.0
    class_skeletons: tuple[tuple[tuple[int, int], ...], ...] = ()
    score_calibration: ScoreCalibration | None = None

    def name_classes(self, labels: Iterable[int]) -> list[str]:
        """Return the class name of each label; an empty list if the model has one class."""
        return [self.classes[label] for label in labels] if len(self.classes) > 1 else []

    def find_skeletons(self, labels: Iterable[int]) -> list[tuple[tuple[int, int], ...]]:
        """Return the pairs of keypoints to draw as limbs for each label."""
        return [self.class_skeletons[label] if self.class_skeletons else self.schema.skeleton for label in labels]

    def to_strings(self) -> dict[str, str]:
        """Return one JSON value for each name, also for the fields of the keypoint set."""
        values = {f"keypoint_{name}": value for name, value in asdict(self.schema).items()}
        values |= {name: getattr(self, name) for name in _list_plain_fields()}
        strings = {name: json.dumps(value) for name, value in values.items()}
        calibration = self.score_calibration
        return strings if calibration is None else {**strings, METADATA_KEY: calibration.to_json()}

    @classmethod
    def from_strings(cls, strings: Mapping[str, str], where: str) -> ModelInfo:
        """Return the metadata that ``to_strings`` wrote; other names are ignored.

        Raises:
            DataError: A value is missing or cannot be understood; the message calls the file ``where``.
        """
        schema_names = [field.name for field in fields(KeypointSchema)]
        try:
            schema = read_schema({name: json.loads(strings[f"keypoint_{name}"]) for name in schema_names})
            names = [name for name in _list_plain_fields() if name in strings or name not in _ADDED_LATER]
            values = {name: _freeze(json.loads(strings[name])) for name in names}
            if METADATA_KEY in strings:
                values["score_calibration"] = ScoreCalibration.from_json(strings[METADATA_KEY])
            info = cls(schema=schema, **values)
            _check_values(info)
        except (KeyError, ValueError, TypeError, RecursionError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else str(error).rstrip(".")
            raise DataError(f"{where} has metadata that this version cannot read: {reason}.") from error
        return info

    def check_outputs(self, outputs: Mapping[str, Sequence[Any]], where: str) -> None:
        """Check that a file has the outputs that its metadata imply, as far as their shapes are known.

        Args:
            outputs: Shapes by name; an axis that is not a number is dynamic.
            where: Name of the file in messages.

        Raises:
            DataError: An output is missing, or its number of keypoints or classes differs from the number of names.
        """
        num_keypoints, num_classes = self.schema.num_keypoints, len(self.classes)
        if self.cut == "raw":
            expected = {f"visibility_logits_{each}": (1, num_keypoints, "keypoint") for each in self.strides}
            expected |= {f"class_logits_{each}": (1, num_classes, "class") for each in self.strides}
            expected |= {
                f"{name}_{each}": (0, 0, "") for name in ("box_deltas", "pose_vectors") for each in self.strides
            }
        elif self.cut == "fused":
            expected = {FUSED_OUTPUT: (-1, count_fused_values(num_keypoints), "value")}
        else:
            expected = {"dets": (-1, 5, "value"), "keypoints": (-2, num_keypoints, "keypoint")}
            expected |= {"labels": (0, 0, "")} if num_classes > 1 else {}
            expected |= {UNCERTAINTY: (-2, num_keypoints, "keypoint")} if self.uncertainty else {}
        for name, (axis, number, what) in expected.items():
            shape = outputs.get(name)
            if shape is None:
                raise DataError(f"{where} has no output {name}, which its metadata promise: it is damaged.")
            found = shape[axis] if what and -len(shape) <= axis < len(shape) else number
            if isinstance(found, int) and found != number:
                raise DataError(
                    f"{where} has metadata of {number} {what} names, and its output {name} is of {found}: they do not "
                    "belong together."
                )

    @staticmethod
    def is_in(strings: Mapping[str, str]) -> bool:
        """Return whether the metadata of a file are of this kind."""
        return "cut" in strings and "keypoint_names" in strings


def count_fused_values(num_keypoints: int) -> int:
    """Return the length of a row of the cut ``fused``: box, score, and x, y and score of each keypoint."""
    return 5 + 3 * num_keypoints


def _list_plain_fields() -> list[str]:
    """Return the names of the fields of ``ModelInfo`` that are plain JSON values."""
    return [field.name for field in fields(ModelInfo) if field.name not in _OF_OWN_KIND]


def read_schema(schema: Mapping[str, Any]) -> KeypointSchema:
    """Return a keypoint set from the values of its fields, as JSON of a file has them.

    Raises:
        ValueError: A value has a wrong type, or the values do not describe a keypoint set.
        KeyError: A field is missing.
    """
    if not isinstance(schema, Mapping):
        raise ValueError(f"the keypoint set is not an object of JSON: {schema!r:.60}")
    names = schema["names"]
    if not isinstance(names, list) or not all(isinstance(each, str) and each for each in names):
        raise ValueError(f"keypoint_names is not a list of names: {names!r:.60}")
    if not isinstance(schema["sigmas"], list) or not all(_is_number(each) for each in schema["sigmas"]):
        raise ValueError(f"keypoint_sigmas is not a list of numbers: {schema['sigmas']!r:.60}")
    for name in ("flip_pairs", "skeleton"):
        pairs = schema[name]
        if not isinstance(pairs, list) or not all(isinstance(each, list) and _are_whole(each, 2) for each in pairs):
            raise ValueError(f"keypoint_{name} is not a list of pairs of indices: {pairs!r:.60}")
    return KeypointSchema.from_dict(schema)


def _check_values(info: ModelInfo) -> None:
    """Check the types and ranges of the other values.

    Raises:
        ValueError: A value has a wrong type or range.
    """
    classes, dynamic = info.classes, info.dynamic
    is_right = {
        "classes": isinstance(classes, tuple) and len(classes) > 0 and all(isinstance(each, str) for each in classes),
        "size_wh": _are_whole(info.size_wh, 2, 32, _MAX_SIDE),
        "cut": info.cut in CUTS,
        "input": info.input in INPUTS,
        "dynamic": isinstance(dynamic, tuple) and all(each in ("batch", "size") for each in dynamic),
        "precision": info.precision in PRECISIONS,
        "score_thr": _is_number(info.score_thr) and 0 <= info.score_thr <= 1,
        "nms_thr": _is_number(info.nms_thr) and 0 <= info.nms_thr <= 1,
        "max_people": _are_whole((info.max_people,), 1, 1),
        "strides": isinstance(info.strides, tuple) and _are_whole(info.strides, len(info.strides) or 1, 1, _MAX_SIDE),
        "pad_value": _are_whole(info.pad_value, 3, 0, 255),
        "name": isinstance(info.name, str),
        "version": isinstance(info.version, str),
        "training_ap": info.training_ap is None or _is_number(info.training_ap),
        "uncertainty": isinstance(info.uncertainty, bool),
        "class_skeletons": _are_skeletons(info.class_skeletons, len(classes), info.schema.num_keypoints),
        "uncertainty_factor": _is_number(info.uncertainty_factor) and info.uncertainty_factor > 0,
    }
    for name, is_fine in is_right.items():
        if not is_fine:
            raise ValueError(f"{name} is {getattr(info, name)!r:.60}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _are_whole(values: Any, count: int, low: int = 0, high: int = _MAX_NUMBER) -> bool:
    """Return whether ``values`` are ``count`` whole numbers within a range."""
    if not isinstance(values, (tuple, list)) or len(values) != count:
        return False
    return all(type(each) is int and low <= each <= high for each in values)


def _are_skeletons(values: Any, num_classes: int, num_keypoints: int) -> bool:
    """Return whether ``values`` are pairs of keypoints for each class, or empty."""
    if values == ():
        return True
    if not isinstance(values, tuple) or len(values) != num_classes:
        return False
    return all(isinstance(each, tuple) for each in values) and all(
        _are_whole(pair, 2, 0, num_keypoints - 1) for each in values for pair in each
    )


def _freeze(value: Any) -> Any:
    return tuple(map(_freeze, value)) if isinstance(value, list) else value
