"""CVAT's tracks, "CVAT for video 1.1": the shapes of each frame, as if it were an image.

A track lists a shape, or a skeleton with its points, at some frames. Between two of them places change evenly; a shape
that is ``outside`` ends there until the next frame that lists it. The last one stays until the last frame of any track.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement

from rtmo_plugin.errors import DataError
from rtmo_plugin.labels.json_values import parse_number

_MAX_FRAMES = 10**6
_FRAME = "frame_{:06d}.PNG"  # as CVAT names the frames that it exports
_CORNERS = ("xtl", "ytl", "xbr", "ybr")


class _Place(NamedTuple):
    """Numbers of a shape at a frame, and its attributes."""

    numbers: list[float]
    attributes: dict[str, str]


Keys = dict[int, _Place]


def list_frames(root: Element, name: str) -> tuple[Iterator[Element], list[str]]:
    """Return an ``<image>`` for each frame from the first to the last one of all tracks, and notes.

    Args:
        root: Content of a CVAT file.
        name: Name of the file for messages.

    Raises:
        DataError: A frame is not a number, there are too many of them, or the size of the video is missing.
    """
    tracks = root.findall("track")
    if not tracks:
        return iter(()), []
    numbers = [_read_frame(shape, name) for track in tracks for shape in track if shape.get("frame") is not None]
    if not numbers:
        raise DataError(f"{name}: no track has a shape with a frame.")
    first, last = min(numbers), max(numbers)
    if last - first >= _MAX_FRAMES:
        raise DataError(f"{name}: its tracks go from frame {first:,} to {last:,}, more than {_MAX_FRAMES:,} frames.")
    size = root.find("meta//original_size")
    sides = {} if size is None else {key: (size.findtext(key) or "").strip() for key in ("width", "height")}
    if not all(sides.get(key) for key in ("width", "height")):
        raise DataError(f"{name} has tracks but no <original_size> with width and height in <meta>: export it again.")
    # An annotator set these shapes, or a point of them, at their frame.
    keys = [each for track in tracks for each in track if any(part.get("keyframe") == "1" for part in each.iter())]
    num_keys = len({_read_frame(shape, name) for shape in keys})
    note = (
        f"Frames of a video: {last - first + 1:,}, of which {num_keys:,} have key frames. They are named "
        f"{_FRAME.format(first)} and so on: `ffmpeg -i VIDEO -start_number 0 frame_%06d.PNG` writes them."
    )
    return _make_frames(tracks, range(first, last + 1), sides, name), [note]


def _make_frames(tracks: list[Element], frames: range, sides: dict[str, str], name: str) -> Iterator[Element]:
    parts = [(track, _read_track(track, name)) for track in tracks]
    orders = [{part: sorted(keys) for part, keys in listed.items()} for _, listed in parts]
    for frame in frames:
        image = Element("image", {"name": _FRAME.format(frame), **sides})
        for (track, listed), order in zip(parts, orders):
            places = {part: _interpolate(keys, order[part], frame) for part, keys in listed.items()}
            common = {key: track.get(key, "") for key in ("label", "group_id") if track.get(key)}
            seen = {part: place for part, place in places.items() if place and place.attributes.get("outside") != "1"}
            if "" in seen:
                corners = dict(zip(_CORNERS, map(repr, seen[""].numbers)))
                SubElement(image, "box", {**seen[""].attributes, **common, **corners})
            elif seen:
                skeleton = SubElement(image, "skeleton", common)
                for part, place in seen.items():
                    x, y = place.numbers
                    SubElement(skeleton, "points", {**place.attributes, "label": part, "points": f"{x!r},{y!r}"})
        yield image


def _read_track(track: Element, name: str) -> dict[str, Keys]:
    """Return the places of a track by frame, for each point of its skeleton; a box is the part ``""``."""
    parts: dict[str, Keys] = defaultdict(dict)
    try:
        for shape in track:
            if shape.tag == "box":
                numbers = [parse_number(shape.attrib[corner]) for corner in _CORNERS]
                parts[""][_read_frame(shape, name)] = _Place(numbers, dict(shape.attrib))
            for point in shape.findall("points") if shape.tag == "skeleton" else ():
                x, y = (parse_number(word) for word in point.attrib["points"].split(","))
                frame = _read_frame(point if point.get("frame") else shape, name)
                parts[point.attrib["label"]][frame] = _Place([x, y], dict(point.attrib))
    except (KeyError, ValueError) as error:
        reason = f"no attribute {error}" if isinstance(error, KeyError) else f"not two numbers ({error})"
        raise DataError(f"{name}, track {track.get('id')!r}: {reason}.") from None
    return parts


def _interpolate(keys: Keys, order: list[int], frame: int) -> _Place | None:
    """Return the place at a frame, or None before the first one.

    Args:
        keys: Places by frame.
        order: Frames in order.
        frame: Frame that is asked for.
    """
    if frame in keys:
        return keys[frame]
    after = bisect_left(order, frame)
    if not after:
        return None
    before = keys[order[after - 1]]
    if after == len(order) or "1" in (before.attributes.get("outside"), keys[order[after]].attributes.get("outside")):
        return before
    share = (frame - order[after - 1]) / (order[after] - order[after - 1])
    pairs = zip(before.numbers, keys[order[after]].numbers)
    return before._replace(numbers=[start + share * (end - start) for start, end in pairs])


def _read_frame(shape: Element, name: str) -> int:
    number = shape.get("frame") or ""
    if not re.fullmatch("[0-9]{1,9}", number):
        raise DataError(f"{name}: a track has the frame {number[:60]!r}, not a whole number.")
    return int(number)
