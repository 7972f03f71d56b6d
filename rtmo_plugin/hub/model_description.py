"""``config.json`` of a folder on the Hub: size, keypoints, classes, input and thresholds of a model, as plain data.

``transformers.js`` reads ``model_type``, ``id2label`` and the dtype of the ONNX file from it, and
``preprocessor_config.json`` beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rtmo_plugin.errors import ConfigError, DataError
from rtmo_plugin.files import parse_json, read_text
from rtmo_plugin.hub.model_folder import CONFIG_FILE
from rtmo_plugin.number_ranges import FRACTION
from rtmo_plugin.runtime.model_info import read_schema
from rtmo_plugin.structures import KeypointSchema

MODEL_TYPE = "rtmo"
SIZES = ("tiny", "small", "medium", "large")
_MAX_BYTES = 1_000_000
_MAX_CLASSES, _MAX_SIDE = 127, 16_384


@dataclass(frozen=True)
class ModelDescription:
    """A model as its ``config.json`` describes it.

    Attributes:
        schema: Keypoint set.
        classes: Class names by label.
        size: A name in ``SIZES``, or None for a network that is not one of the shipped ones.
        size_wh: Input width and height in pixels.
        score_thr: Score that detections must exceed.
        nms_thr: IoU above which NMS keeps only the better of two boxes.

    Raises:
        ConfigError: A value is out of range.
    """

    schema: KeypointSchema
    classes: tuple[str, ...] = ("person",)
    size: str | None = None
    size_wh: tuple[int, int] = (640, 640)
    score_thr: float = 0.1
    nms_thr: float = 0.65

    def __post_init__(self) -> None:
        is_named = all(isinstance(each, str) and each for each in self.classes)
        if not is_named or not 1 <= len(self.classes) <= _MAX_CLASSES:
            raise ConfigError(f"classes must be 1 to {_MAX_CLASSES} names, got {self.classes!r:.60}.")
        if self.size is not None and self.size not in SIZES:
            raise ConfigError(f"The size {self.size!r:.60} of RTMO is unknown: choose {', '.join(SIZES)}.")
        whole = all(type(side) is int and 32 <= side <= _MAX_SIDE and side % 32 == 0 for side in self.size_wh)
        if not whole or len(self.size_wh) != 2:
            raise ConfigError(f"The input size must be two multiples of 32, got {self.size_wh!r:.60}.")
        for name in ("score_thr", "nms_thr"):
            FRACTION.check(name, getattr(self, name))

    def to_dict(self) -> dict[str, Any]:
        """Return the content of ``config.json``."""
        return {
            "model_type": MODEL_TYPE,
            "architectures": ["RTMO"],
            "size": self.size,
            "num_classes": len(self.classes),
            "classes": list(self.classes),
            "num_keypoints": self.schema.num_keypoints,
            "keypoints": asdict(self.schema),
            "input_size_wh": list(self.size_wh),
            "score_thr": self.score_thr,
            "nms_thr": self.nms_thr,
            "id2label": {str(index): name for index, name in enumerate(self.schema.names)},
            "label2id": {name: index for index, name in enumerate(self.schema.names)},
            "transformers.js_config": {"dtype": "fp32"},  # without it browsers ask for model_quantized.onnx
        }

    def make_preprocessor_config(self) -> dict[str, Any]:
        """Return the content of ``preprocessor_config.json``: an image of the input's size, BGR, 0 to 255."""
        return {
            "feature_extractor_type": "ImageFeatureExtractor",
            "image_processor_type": "ImageFeatureExtractor",
            "do_convert_rgb": True,
            "do_flip_channel_order": True,
            "do_normalize": False,
            "do_rescale": False,
            "do_resize": True,
            "resample": 2,
            "size": {"width": self.size_wh[0], "height": self.size_wh[1]},
        }

    @classmethod
    def read(cls, folder: Path) -> ModelDescription:
        """Read the ``config.json`` of a folder; unknown keys are ignored.

        Raises:
            MissingFileError: The folder has no such file.
            DataError: It is too large, not JSON, or does not describe an RTMO model of this package.
        """
        path = folder / CONFIG_FILE
        content = parse_json(read_text(path, _MAX_BYTES), str(path))
        if not isinstance(content, Mapping) or content.get("model_type") != MODEL_TYPE:
            raise DataError(f"{path} does not describe an RTMO model: its model_type is not {MODEL_TYPE!r}.")
        try:
            return cls(
                schema=read_schema(content["keypoints"]),
                classes=tuple(content["classes"]),
                size=content["size"],
                size_wh=tuple(content["input_size_wh"]),
                score_thr=content["score_thr"],
                nms_thr=content["nms_thr"],
            )
        except KeyError as error:
            raise DataError(f"{path} was not written by this package: it has no {error}.") from error
        except (ValueError, TypeError) as error:
            raise DataError(f"{path} cannot be used: {str(error).rstrip('.')}.") from error
