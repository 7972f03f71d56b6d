"""Output of commands: text for people, or JSON alone for programs."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from typing import Any

from rtmo_plugin.wording import count


@contextmanager
def keep_stdout_for_json(is_kept: bool) -> Iterator[None]:
    """Redirect stdout to stderr during the block if ``is_kept``, so that stdout is JSON alone."""
    with redirect_stdout(sys.stderr) if is_kept else nullcontext():
        yield


def count_detections(num_people: int, num_images: int, num_frames: int = 0) -> str:
    """Return the number of people or detections with the number of images and video frames.

    Examples:
        >>> count_detections(132, 0, 72)
        '132 detections in 72 frames'
    """
    images, frames = count(num_images, "image"), count(num_frames, "frame")
    if not num_frames:  # a person of a video is detected in many frames
        return f"{count(num_people, 'person', 'people')} in {images}"
    where = f"{images} and {frames}" if num_images else frames
    return f"{count(num_people, 'detection')} in {where}"


def print_json(value: Any) -> None:
    """Print ``value`` as one line of JSON, without buffering.

    JSON has neither NaN nor infinity: a non-finite number, such as an undefined metric, is null.
    """
    try:
        line = json.dumps(value, allow_nan=False)
    except ValueError:
        line = json.dumps(_replace_non_finite(value))
    print(line, flush=True)


def _replace_non_finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _replace_non_finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_replace_non_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
