"""Options of an exported file: its last step, input sizes and precision."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rtmo_plugin.errors import ConfigError
from rtmo_plugin.number_ranges import FRACTION, OPSET, PRIORS
from rtmo_plugin.runtime.model_info import CUTS, INPUTS

# Formats, and the suffix that the file name must have; web and coreml write folders.
FORMATS = {
    "onnx": ".onnx",
    "openvino": ".xml",
    "torchscript": ".pt",
    "pt2": ".pt2",
    "ncnn": ".param",
    "web": "",
    "litert": ".tflite",
    "coreml": ".mlpackage",
    "aoti": ".pt2",
    "engine": ".engine",
    "executorch": ".pte",
}
PACKAGE_SUFFIX = FORMATS["coreml"]
NMS_CONSTANTS = ("max_people", "nms_thr", "score_thr")  # inputs 2 to 4 of NonMaxSuppression in ONNX and OpenVINO
DYNAMIC = ("batch", "size")
SIZE_DIVISOR = 32
_INT8_OPSET = 13


@dataclass(frozen=True)
class ExportOptions:
    """Options of an exported file.

    Attributes:
        size_wh: Width and height of the input. With a dynamic size: the first that is checked.
        cut: End of the file. ``"end2end"``: people, NMS inside; ``"decoded"``: the ``top_k`` best priors as boxes,
            scores and keypoints, without NMS; ``"fused"``: the same as one array; ``"raw"``: the head's maps.
        dynamic: Axes that may differ from call to call: ``"batch"``, ``"size"``, both or neither.
        input: Type of the input. ``"float32"``: (B, 3, H, W) BGR, 0..255; ``"uint8"``: (B, H, W, 3) BGR, as
            OpenCV reads.
        half: Whether convolutions and attention compute in float16; inputs, outputs and geometry stay float32.
        int8: Whether convolutions compute in eight bits, except the last of each branch of the head.
        int8_images: Images that show ``int8`` the value ranges of the maps (quantization calibration).
        opset: Opset of an ONNX file.
        uncertainty: Whether the file returns the standard deviations of the keypoints as well.
        score_thr: Score that people must exceed.
        nms_thr: IoU above which two boxes are one person; 1 keeps all boxes.
        max_people: Largest number of people per image.
        top_k: Number of priors that the cuts ``decoded`` and ``fused`` return for each image.
        ort_web: Package onnxruntime-web for the format web, see ``read_ort_web``.
        device: Device that the formats aoti and engine are built for and compared on, in torch's notation; an engine
            is built for a GPU anyway.

    Raises:
        ConfigError: A value is out of range, or two options exclude each other.
    """

    size_wh: tuple[int, int] = (640, 640)
    cut: str = "end2end"
    dynamic: tuple[str, ...] = ("batch",)
    input: str = "float32"
    half: bool = False
    int8: bool = False
    int8_images: tuple[Path, ...] = ()
    opset: int = 17
    uncertainty: bool = False
    score_thr: float = 0.1
    nms_thr: float = 0.65
    max_people: int = 100
    top_k: int = 300
    ort_web: Path | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_size(self.size_wh)
        for option, value, allowed in (("cut", self.cut, CUTS), ("input", self.input, INPUTS)):
            if value not in allowed:
                raise ConfigError(f"--{option} {value}: choose {', '.join(allowed)}.")
        unknown = sorted(set(self.dynamic) - set(DYNAMIC))
        if unknown:
            raise ConfigError(f"--dynamic {unknown[0]}: choose batch, size, batch,size or none.")
        for name in ("max_people", "top_k"):
            PRIORS.check(name, getattr(self, name))
        self._check_cut()
        if self.int8 and self.half:
            raise ConfigError("--int8 and --half exclude each other: choose one.")
        if self.int8 and self.opset < _INT8_OPSET:
            raise ConfigError(f"--int8 has a scale for each channel, which ONNX has from --opset {_INT8_OPSET} on.")
        if self.int8 and not self.int8_images:
            raise ConfigError("--int8 measures its value ranges on images: name their folder with --int8-images DIR.")
        if self.int8_images and not self.int8:
            raise ConfigError("--int8-images is for --int8, which is missing.")
        OPSET.check("opset", self.opset)
        for name in ("score_thr", "nms_thr"):
            FRACTION.check(name, getattr(self, name))

    def _check_cut(self) -> None:
        if self.cut == "fused" and self.input != "float32":
            raise ConfigError(f"--cut fused is for DeepStream, which gives float32: leave out --input {self.input}.")
        if self.uncertainty and self.cut == "raw":
            raise ConfigError("--cut raw needs no --uncertainty: the parameters beside the file are enough for it.")
        if self.uncertainty and self.cut == "fused":
            raise ConfigError("--cut fused has no place for --uncertainty: take --cut end2end or decoded.")

    @property
    def precision(self) -> str:
        """Precision of the convolutions: ``"float32"``, ``"float16"`` or ``"int8"``."""
        return "int8" if self.int8 else "float16" if self.half else "float32"


def check_size(size_wh: Iterable[int]) -> None:
    """Check that the network takes inputs of a size.

    Raises:
        ConfigError: Width or height is not a positive multiple of 32; the message names the next one.
    """
    size = tuple(size_wh)
    if len(size) != 2 or any(n < SIZE_DIVISOR or n % SIZE_DIVISOR for n in size):
        fitting = "x".join(str(max(1, -(-n // SIZE_DIVISOR)) * SIZE_DIVISOR) for n in size)
        raise ConfigError(
            f"The size {'x'.join(map(str, size))} is not possible: width and height must be multiples of "
            f"{SIZE_DIVISOR}, such as {fitting}."
        )


def parse_size(text: str) -> tuple[int, int]:
    """Read ``WxH``, or one number for a square.

    Raises:
        ConfigError: The text is neither.

    Examples:
        >>> parse_size("640x384"), parse_size("416")
        ((640, 384), (416, 416))
    """
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() for part in parts):
        raise ConfigError(f"--size {text}: write WIDTHxHEIGHT, such as 640x384, or one number for a square.")
    return int(parts[0]), int(parts[-1])


def parse_dynamic(text: str) -> tuple[str, ...]:
    """Read a list such as ``batch,size``; ``none`` is an empty one.

    Examples:
        >>> parse_dynamic("batch,size"), parse_dynamic("none")
        (('batch', 'size'), ())
    """
    return tuple(part.strip() for part in text.split(",") if part.strip() not in ("", "none"))
