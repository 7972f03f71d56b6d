"""``rtmo predict``: find the people in images, videos and cameras."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rtmo_plugin.cli.arguments import add_json_argument, add_model_arguments, choose_options, parse_count, read_source
from rtmo_plugin.cli.command import Command
from rtmo_plugin.cli.jobs import add_job_arguments, is_job, run_as_job
from rtmo_plugin.cli.output import count, keep_stdout_for_json, print_json
from rtmo_plugin.errors import EXIT_FAILURE

_EXAMPLES = (
    "{command} rtmo-s.onnx photo.jpg --out found/               # an exported file: needs neither torch nor MMPose",
    "{command} rtmo-s.onnx photos/ --json > people.jsonl        # one line an image",
    "{command} rtmo-s.onnx clip.mp4 --json > people.jsonl       # one line a frame; rtmo track writes a video",
    "{command} mine.pth photos/ --config rtmo-s_coco --out found/",
    "{command} rtmo-s.onnx many.txt --records parquet --out found/ --ray    # a name a line; goes on when restarted",
)
_NOTES = """A line of --json: {"image": path, "index": of the image or frame, "time": seconds in a video or null,
"people": [{"score": 0..1, "box": [x1, y1, x2, y2], "keypoints": [[x, y, visibility], ...]}, ...],
"error": null, or why the image could not be used}.  Coordinates are pixels of the image; the keypoints
have the order of `rtmo info MODEL`.

exit code: 0 every image was used, 1 some were not, 2 something in the input is wrong"""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_arguments(parser)
    parser.add_argument("source", help="image, folder, pattern such as 'photos/*.jpg', address, video, or camera (0)")
    parser.add_argument("--out", metavar="DIR", help="folder for pictures with the people drawn on them")
    parser.add_argument("--flip", action="store_true", help="look at the mirrored image as well: twice the time")
    parser.add_argument("--tile", type=int, metavar="PIXELS", help="look at tiles of this side, for small people")
    parser.add_argument("--batch-size", type=int, default=1, metavar="N", help="images at once (%(default)s)")
    parser.add_argument(
        "--streams",
        type=parse_count,
        metavar="N",
        help="batches side by side, each with its share of --threads: more images a second, each of them later "
        "(default: 2 for several images or a video, where the runtime has streams)",
    )
    add_json_argument(parser, "a line for each image (or shard)")
    add_job_arguments(parser)


def _run(**arguments: Any) -> int:
    if is_job(arguments):
        return run_as_job(**arguments)
    names = ("records", "ray", "ray_address", "workers", "shard_size")
    return _predict(**{name: value for name, value in arguments.items() if name not in names})


def _predict(
    *,
    model: str,
    source: str,
    out: str | None,
    batch_size: int,
    streams: int | None,
    as_json: bool,
    **options: Any,
) -> int:
    from tqdm import tqdm

    from rtmo_plugin.inference.files import make_folder
    from rtmo_plugin.pose import Pose

    folder = None if out is None else make_folder(out, "--out")
    what = read_source(source)
    with keep_stdout_for_json(as_json):
        pose = Pose(model, **choose_options(options), **choose_streams(model, what, streams))
        results = pose.stream(what, batch_size=batch_size)
    bar = tqdm(results, unit="image", disable=None)  # None: no bar unless on a terminal
    return _report(bar, folder, as_json)


def choose_streams(model: str, source: str | int, streams: int | None) -> dict[str, int | None]:
    """Return an option for ``Pose``, which chooses itself (None) where nobody waits for each image."""
    from rtmo_plugin.inference.sources import SourceKind, find_kind
    from rtmo_plugin.model_names import is_exported

    is_many = streams is None and is_exported(model) and find_kind(source) in (SourceKind.IMAGES, SourceKind.VIDEO)
    return {"streams": streams} if streams or is_many else {}


def _report(results: Iterable[Any], folder: Path | None, as_json: bool) -> int:
    """Print and draw what was found, as it comes, and return the exit code."""
    num_images = num_people = num_failed = 0
    written: set[Path] = set()
    for result in results:
        if result.error:
            num_failed += 1
            print(f"skipped: {result.error}", file=sys.stderr)
        else:
            num_images, num_people = num_images + 1, num_people + len(result)
            if folder is not None:
                written.add(result.save(_find_free(_name_picture(folder, result.frame), written)))
        if as_json:
            print_json(result.to_dict())
    if not as_json:
        where = "" if folder is None else f": pictures in {folder}"
        print(f"{count(num_people, 'person', 'people')} in {count(num_images, 'image', 'images')}{where}")
    return EXIT_FAILURE if num_failed else 0


def _find_free(path: Path, written: set[Path]) -> Path:
    """Return a path beside those written before: folders may hold images of the same name."""
    names = (path.with_stem(f"{path.stem}_{number}") for number in itertools.count(2))
    return next(each for each in itertools.chain([path], names) if each not in written)


def _name_picture(folder: Path, frame: Any) -> Path:
    """Return the picture's file: of the image's name, or of a frame's number.

    Raises:
        ConfigError: It would replace the image itself.
    """
    from rtmo_plugin.errors import ConfigError
    from rtmo_plugin.image_headers import SUFFIXES

    if frame.path is None or frame.time_s is not None:
        stem = "image" if frame.path is None else frame.path.stem
        return folder / f"{stem}_{frame.index:06d}.jpg"
    name: str = frame.path.name
    if folder.resolve() == frame.path.parent.resolve():
        raise ConfigError(f"--out {folder} is where the images are, and would replace them: choose another folder.")
    return folder / (name if frame.path.suffix.lower() in SUFFIXES else f"{name}.png")


COMMAND = Command("find the people in images, videos and cameras", _EXAMPLES, _add_arguments, _run, _NOTES)
