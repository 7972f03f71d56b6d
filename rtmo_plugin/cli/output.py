"""What a command prints: words for people, or JSON and nothing else for a program."""

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
    """Send what is printed meanwhile to stderr if ``is_kept``, so that stdout can be JSON alone."""
    with redirect_stdout(sys.stderr) if is_kept else nullcontext():
        yield


def count_detections(num_people: int, num_images: int, num_frames: int = 0) -> str:
    """Return how many people were found in how many images and frames of videos.

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
    """Print ``value`` as one line of JSON, at once, for a program that reads along.

    JSON has no NaN and no infinity: a number that is not finite, such as a metric that is not defined, is null.
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
