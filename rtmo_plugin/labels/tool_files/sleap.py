"""SLEAP's files (.slp), read by the package sleap-io: the instances that people labeled, not the predicted ones.

A frame of a video is the image ``VIDEO_000012.png``, numbered from 0; a frame of a list of images is that image.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

from rtmo_plugin.errors import DataError, MissingPackageError, write_install_line
from rtmo_plugin.files import check_regular
from rtmo_plugin.labels.image_sizes import find_sizes
from rtmo_plugin.labels.json_values import is_finite
from rtmo_plugin.labels.label_set import LabeledImage, LabelSet, Person, Point, ReadOptions, clean_name

_DEFAULT_CATEGORY = "animal"
_FRAME_NOTE = (
    "Frames are named VIDEO_NUMBER.png, numbered from 0: "
    "`ffmpeg -i VIDEO.mp4 -start_number 0 VIDEO_%06d.png` writes them."
)


def read_sleap(path: Path, options: ReadOptions) -> LabelSet:
    """Return the labels of a SLEAP file.

    Raises:
        MissingFileError: The file does not exist.
        MissingPackageError: sleap-io is not installed.
        DataError: It cannot be read, or the size of an image is not known.
    """
    check_regular(path)
    try:
        import sleap_io
    except ImportError:
        raise MissingPackageError(f"{path} needs the package sleap-io: {write_install_line('labels')}") from None
    try:
        project = sleap_io.load_slp(str(path), open_videos=False)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise DataError(f"{path} cannot be read as a SLEAP file: {' '.join(str(error).split())[:200]}.") from None
    categories = _find_categories(project, options, path)
    counts: Counter[str] = Counter()
    found: dict[str, list[Person]] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for frame in project.labeled_frames:
        name, size = _name_frame(frame.video, int(frame.frame_idx), counts)
        people = found.setdefault(name, [])
        for instance in frame.instances:
            if type(instance).__name__ == "PredictedInstance":
                counts["predicted"] += 1
                continue
            people.append(_read_instance(instance, categories, path))
        if size and options.images is None:
            sizes[name] = size
    missing = [name for name in found if name not in sizes]
    places = {name: (name, size) for name, size in sizes.items()} | find_sizes(missing, path.parent, options)
    images = {places[name][0]: LabeledImage(*places[name][1], people) for name, people in found.items()}
    notes = [_FRAME_NOTE] if counts["frames"] else []
    if counts["predicted"]:
        notes.append(f"Predicted instances, left out: {counts['predicted']:,}.")
    return LabelSet(categories, images, notes)


def _find_categories(project: Any, options: ReadOptions, path: Path) -> dict[str, dict[str, Any]]:
    """Return keypoints, bones and flips by the name of the skeleton."""
    categories: dict[str, dict[str, Any]] = {}
    for skeleton in project.skeletons:
        names = [clean_name(node.name) for node in skeleton.nodes]
        category = _name_skeleton(skeleton)
        if category in categories:
            raise DataError(f"{path}: two skeletons are called {category!r}: rename one of them.")
        chosen = options.choose_keypoints(category, names)
        bones = [(names[start], names[end]) for start, end in skeleton.edge_inds]
        pairs = [[chosen.index(end) + 1 for end in bone] for bone in bones if set(bone) <= set(chosen)]
        flips = [sorted(names[index] for index in pair) for pair in skeleton.symmetry_inds]
        entry = {
            "keypoints": chosen,
            "skeleton": pairs,
            "flip_pairs": [each for each in flips if set(each) <= set(chosen)],
        }
        categories[category] = {key: value for key, value in entry.items() if value or key == "keypoints"}
    return categories


def _name_skeleton(skeleton: Any) -> str:
    """Return the category of a skeleton; SLEAP numbers those that a user has not named."""
    name = clean_name(str(skeleton.name or ""))
    return _DEFAULT_CATEGORY if not name or name.casefold().startswith("skeleton") else name


def _name_frame(video: Any, index: int, counts: Counter[str]) -> tuple[str, tuple[int, int] | None]:
    """Return the image name of a frame, and width and height if the file holds them."""
    shape, files = video.shape, video.filename
    if isinstance(files, list):
        return str(files[index]).replace("\\", "/"), None  # each image may have a size of its own
    counts["frames"] += 1
    size = (int(shape[2]), int(shape[1])) if shape is not None and len(shape) == 4 and shape[1] and shape[2] else None
    return f"{PurePosixPath(str(files).replace(chr(92), '/')).stem}_{index:06d}.png", size


def _read_instance(instance: Any, categories: dict[str, dict[str, Any]], path: Path) -> Person:
    category = _name_skeleton(instance.skeleton)
    points: dict[str, Point] = {}
    for point in instance.points:
        x, y = (float(number) for number in point["xy"])
        if is_finite(x) and is_finite(y):
            points[clean_name(str(point["name"]))] = x, y, 2 if point["visible"] else 1
    names = categories[category]["keypoints"]
    unknown = [name for name in points if name not in names]
    if unknown:
        raise DataError(f"{path}: {unknown[0]!r} is not one of the keypoints of {category!r}.")
    return Person.from_points(category, None, [points.get(name, (0, 0, 0)) for name in names])
