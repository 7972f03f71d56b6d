"""The protocol of all engines, and the metadata of exported files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from rtmo_plugin.errors import ConfigError, DataError, NonFiniteError
from rtmo_plugin.files import read_json
from rtmo_plugin.keypoints.sets import KEYPOINT_SCHEMAS
from rtmo_plugin.runtime.model_info import ModelInfo

# Outputs of a file without metadata: MMDeploy's, which has NMS inside and keeps 50 people.
_MMDEPLOY_OUTPUTS = ("dets", "keypoints")


class Engine(Protocol):
    """An exported file, ready to run.

    Attributes:
        info: Metadata of the file.
        computes_in: Human-readable precision in which this machine computes the file.
        streams: Number of batches that it computes side by side, for as many threads that call ``run``.
    """

    info: ModelInfo
    computes_in: str
    streams: int

    def run(self, images: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Run a batch.

        Args:
            images: (B, 3, H, W) float32 or (B, H, W, 3) uint8, as ``info.input`` says; BGR, 0..255.

        Returns:
            The file's outputs by name.
        """


def count_cores() -> int:
    """Return how many cores of the CPU this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_cpu(runtime: str, device: str, precision: str) -> None:
    """Check the options of a runtime that computes on the CPU alone, in the precision of the file.

    Args:
        runtime: Name of the runtime, for the message.
        device: Device that was asked for.
        precision: Precision that was asked for.

    Raises:
        ConfigError: The runtime does not have them.
    """
    if device != "cpu":
        raise ConfigError(f"{runtime} runs here on the cpu, not on {device}.")
    if precision not in ("auto", "float32"):
        raise ConfigError(f"{runtime} computes in the precision of the file, not in {precision}.")


def read_info(
    path: Path, strings: Mapping[str, str], input_shape: Sequence[Any], outputs: Mapping[str, Sequence[Any]]
) -> ModelInfo:
    """Return the metadata of a file, or those that the signature of one of MMDeploy's files implies.

    Args:
        path: Path of the file.
        strings: Metadata of the file.
        input_shape: Shape of the input; names or None for dynamic axes.
        outputs: Shapes of the outputs by name.

    Raises:
        DataError: It is not an RTMO model that this package knows.
    """
    if ModelInfo.is_in(strings):
        info = ModelInfo.from_strings(strings, str(path))
        info.check_outputs(outputs, str(path))
        _check_input(info, input_shape, path)
        return info
    num_keypoints = list(outputs.get("keypoints", ()))[-2:-1]
    schemas = {schema.num_keypoints: schema for schema in KEYPOINT_SCHEMAS.values()}
    is_image = len(input_shape) == 4 and input_shape[1] == 3
    if tuple(outputs) != _MMDEPLOY_OUTPUTS or not is_image or not set(num_keypoints) & set(schemas):
        raise DataError(
            f"{path} is not an RTMO model: it has the outputs {', '.join(outputs)} and no metadata of `rtmo export`."
        )
    batch, _, height, width = input_shape
    dynamic = ("batch",) if not isinstance(batch, int) else ()
    if not isinstance(height, int) or not isinstance(width, int):
        return ModelInfo(schemas[num_keypoints[0]], dynamic=(*dynamic, "size"))
    return ModelInfo(schemas[num_keypoints[0]], dynamic=dynamic, size_wh=(width, height))


def read_strings_beside(model: Path) -> dict[str, str]:
    """Return the metadata of a model whose format holds none, from the ``.json`` file beside it.

    Raises:
        DataError: The file does not exist, or it is another kind of file.
    """
    path = model.with_suffix(".json")
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read, and it must hold the keypoints and sizes of the model beside it."
        ) from error
    if not isinstance(content, dict) or not ModelInfo.is_in(content):
        raise DataError(f"{path} does not describe an RTMO model: `rtmo export` writes this file beside the model.")
    return content


def make_weight_error(path: str | Path, name: str) -> NonFiniteError:
    """Return the error of a file whose weight ``name`` is NaN or infinite."""
    return NonFiniteError(
        f"{path} holds weights that are not finite (NaN or infinity), first in {name}: the training of its model "
        "diverged."
    )


def _check_input(info: ModelInfo, shape: Sequence[Any], path: Path) -> None:
    """Check that a file takes images of the size and kind that its metadata say.

    Raises:
        DataError: It takes others.
    """
    is_planar = info.input == "float32"
    channels, sides = (shape[1:2], shape[2:]) if is_planar else (shape[3:], shape[1:3])
    expected = (3, *info.size_wh[::-1])
    found = (*channels, *sides)
    if len(shape) != 4 or any(isinstance(given, int) and given != n for given, n in zip(found, expected)):
        raise DataError(
            f"{path} has metadata of {info.input} images of {info.size_wh[0]}x{info.size_wh[1]}, and its input has the "
            f"shape {list(shape)}: they do not belong together."
        )
