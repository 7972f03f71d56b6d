"""What an exported file says of itself: its classes and keypoints, its input, and how to read its outputs.

It travels inside of the file as one JSON value for each name: in ONNX as metadata properties.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from rtmo_plugin.errors import DataError
from rtmo_plugin.score_calibration import METADATA_KEY, ScoreCalibration
from rtmo_plugin.structures import KeypointSchema

CUTS = ("end2end", "decoded", "raw")
INPUTS = ("float32", "uint8")
OUTPUT_NAMES = "output_names"  # among the metadata of files whose format keeps no names
_OF_OWN_KIND = ("schema", "score_calibration")  # the fields that are no JSON values


@dataclass(frozen=True)
class ModelInfo:
    """What a program needs to know to run an exported file.

    Attributes:
        schema: Names, sigmas, left-right pairs and skeleton of the keypoints.
        classes: Names of the classes.
        size_wh: Width and height of the input; where the size is dynamic, those to choose by default.
        cut: Where the file ends: ``"end2end"``, ``"decoded"`` or ``"raw"``.
        input: ``"float32"``: (B, 3, H, W), or ``"uint8"``: (B, H, W, 3); BGR, 0..255.
        dynamic: What may differ from call to call: ``"batch"``, ``"size"``.
        precision: Of the convolutions: ``"float32"``, ``"float16"`` or ``"int8"``.
        score_thr: People score above this.
        nms_thr: Boxes of higher IoU are one person.
        max_people: At most so many people an image.
        strides: Of the head's maps.
        pad_value: BGR around an image that has another shape than the input.
        name: Of the config.
        version: Of the package that wrote the file.
        training_ap: AP in the last validation of the training, if it is known.
        score_calibration: What makes scores the OKS to be expected, if it was given at export.
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
    score_calibration: ScoreCalibration | None = None

    def name_classes(self, labels: Iterable[int]) -> list[str]:
        """Return the class name of each label; nothing where the file knows but one class."""
        return [self.classes[label] for label in labels] if len(self.classes) > 1 else []

    def to_strings(self) -> dict[str, str]:
        """Return one JSON value for each name, those of the schema among them."""
        values = {f"keypoint_{name}": value for name, value in asdict(self.schema).items()}
        values |= {name: getattr(self, name) for name in list_names()}
        strings = {name: json.dumps(value) for name, value in values.items()}
        calibration = self.score_calibration
        return strings if calibration is None else {**strings, METADATA_KEY: calibration.to_json()}

    @classmethod
    def from_strings(cls, strings: Mapping[str, str], where: str) -> ModelInfo:
        """Read what ``to_strings`` wrote; other names are left alone.

        Raises:
            DataError: A value is missing or cannot be understood; the message calls the file ``where``.
        """
        schema_names = [field.name for field in fields(KeypointSchema)]
        try:
            schema = {name: json.loads(strings[f"keypoint_{name}"]) for name in schema_names}
            values = {name: _freeze(json.loads(strings[name])) for name in list_names()}
            if METADATA_KEY in strings:
                values["score_calibration"] = ScoreCalibration.from_json(strings[METADATA_KEY])
            info = cls(schema=KeypointSchema.from_dict(schema), **values)
        except (KeyError, ValueError, TypeError) as error:
            raise DataError(f"{where} has metadata that this version cannot read: {error}.") from error
        if info.cut not in CUTS or info.input not in INPUTS:
            raise DataError(f"{where} has a cut {info.cut!r} and input {info.input!r} that this version does not know.")
        return info

    @staticmethod
    def is_in(strings: Mapping[str, str]) -> bool:
        """Tell whether a file's metadata are of this kind."""
        return "cut" in strings and "keypoint_names" in strings


def list_names() -> list[str]:
    """Return the names of the values of a ``ModelInfo`` that travel as JSON, but for those of the schema."""
    return [field.name for field in fields(ModelInfo) if field.name not in _OF_OWN_KIND]


def _freeze(value: Any) -> Any:
    return tuple(map(_freeze, value)) if isinstance(value, list) else value
