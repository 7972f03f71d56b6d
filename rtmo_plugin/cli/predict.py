"""``rtmo predict``: detect the people in images, videos and camera streams."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from rtmo_plugin.cli.arguments import (
    add_batch_argument,
    add_file_arguments,
    add_json_argument,
    add_model_arguments,
    choose_options,
)
from rtmo_plugin.cli.command import Command
from rtmo_plugin.cli.jobs import add_job_arguments, is_job, run_as_job
from rtmo_plugin.cli.output import count_detections, keep_stdout_for_json, print_json
from rtmo_plugin.errors import EXIT_FAILURE, escape_control_characters
from rtmo_plugin.number_ranges import SIDE, STREAMS

_EXAMPLES = (
    "{command} rtmo-s.onnx photo.jpg --out found/               # an exported file: needs neither torch nor MMPose",
    "{command} rtmo-s.onnx photos/*.jpg                         # several sources: prints a table",
    "{command} rtmo-s.onnx photos/ --json > people.jsonl        # one line per image",
    "{command} rtmo-s.onnx clip.mp4 --json > people.jsonl       # one line per frame; rtmo track writes a video",
    "{command} rtmo-s.onnx photos/ --csv people.csv             # one row per person, for a spreadsheet or pandas",
    "{command} mine.pth photos/ --config rtmo-s_coco            # a checkpoint",
    "{command} rtmo-s.onnx many.txt --records parquet --out found/ --ray    # one name per line; can resume",
)
_VISIBLE = 0.3  # lowest visibility of keypoints that are drawn and counted
_NOTES = """Without --out and --json a table is printed, with one line per detection.

--out DIR writes a plot of each image, or frame of a video, and DIR/predictions.json:
{"keypoints": names, "images": [one object for each image, as --json prints it]}.  After Ctrl-C it
holds the images that were done.

A line of --json: {"image": path, "index": of the image or frame, "time": seconds in a video or null,
"people": [{"score": 0..1, "box": [x1, y1, x2, y2], "keypoints": [[x, y, visibility], ...]}, ...],
"error": null, or why the image could not be used}.  Coordinates are pixels of the image; the keypoints
have the order of `rtmo info MODEL`.  With --uncertainty a person has "uncertainty": [[x, y], ...], the standard
deviation of each keypoint in pixels.  A person has a "class" if the model knows several.

--csv FILE has the columns image, index, time, id, class, score, x1, y1, x2, y2 and, for each keypoint, NAME_x, NAME_y
and NAME_visibility.  --openpose DIR has IMAGE_keypoints.json for each image; the 17 keypoints of COCO
are written as the 18 of OpenPose's COCO model, with a neck between the shoulders.

The former call CONFIG CHECKPOINT SOURCES means CHECKPOINT SOURCES --config CONFIG.

exit code: 0 every image was used, 1 some could not be used, 2 an argument or input is wrong"""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_arguments(parser)
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="source",
        help="image, video, folder, pattern such as 'photos/*.jpg', web address, or camera number; or several",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="folder for predictions.json and plots of the images with their people; no input is overwritten",
    )
    parser.add_argument(
        "--flip", action="store_true", help="detect in the mirrored image too and combine both: twice the time"
    )
    parser.add_argument(
        "--tile", type=SIDE, metavar="PIXELS", help="side of square tiles, to detect small people in large images"
    )
    parser.add_argument(
        "--uncertainty",
        action="store_true",
        default=None,
        help="add the standard deviation of each keypoint to the JSON, and ellipses to the plots",
    )
    add_batch_argument(parser)
    parser.add_argument(
        "--streams",
        type=STREAMS,
        metavar="N",
        help="number of batches computed side by side, each with its share of --threads: more images per second, "
        "each of them later (default: 2 for several images or a video, if the runtime supports it)",
    )
    add_json_argument(parser, "one line for each image (or shard)")
    add_file_arguments(parser)
    add_job_arguments(parser)


def _run(**arguments: Any) -> int:
    arguments |= read_config_first(arguments["model"], arguments["sources"], arguments["config"])
    if is_job(arguments):
        return run_as_job(**arguments)
    names = ("records", "ray", "ray_address", "workers", "shard_size")
    return _predict(**{name: value for name, value in arguments.items() if name not in names})


def _predict(
    *,
    model: str,
    sources: Sequence[str],
    out: str | None,
    batch_size: int,
    streams: int | None,
    as_json: bool,
    csv: str | None,
    openpose: str | None,
    **options: Any,
) -> int:
    from rtmo_plugin.media.sources import expand_all
    from rtmo_plugin.pose.pose import Pose
    from rtmo_plugin.pose.result_files import ResultFiles
    from rtmo_plugin.pose.result_folder import PREDICTIONS_FILE, ResultFolder
    from rtmo_plugin.progress_bar import show_progress

    source: Any = sources[0] if len(sources) == 1 else sources
    with keep_stdout_for_json(as_json):
        found = expand_all(sources)
        folder = None if out is None else ResultFolder(out, found, inputs=[model])
        files = ResultFiles(found, csv=csv, openpose=openpose, inputs=[model])
        pose = Pose(model, **choose_options(options), **choose_streams(model, source, streams))
        results = pose.stream(source if found == sources else found, batch_size=batch_size)
    names = pose.info.schema.names
    if folder is not None:
        results = folder.write(results, names)
    # ``closing`` so that Ctrl-C leaves a whole predictions.json
    with closing(results), files.open(names) as write:
        bar = show_progress(map(write, results), unit="image")
        num_failed, summary = _report(bar, has_table=not (out or csv or openpose or as_json), as_json=as_json)
    if not as_json:
        written = [out and f"plots and {PREDICTIONS_FILE} in {out}", csv, openpose]
        names_of_files = ", ".join(name for name in written if name)
        print(
            summary
            + (f": {names_of_files}" if names_of_files else "; --out DIR draws them, --json prints the keypoints")
        )
    return EXIT_FAILURE if num_failed else 0


def read_config_first(model: str, sources: Sequence[str], config: str | None) -> dict[str, Any]:
    """Return ``model``, ``sources`` and ``config`` of a call, also of the former one, CONFIG CHECKPOINT SOURCES."""
    from rtmo_plugin.checkpoints.model_names import ModelKind, find_kind_of_model
    from rtmo_plugin.checkpoints.zoo import CATALOGUE

    kind = find_kind_of_model(model)
    is_checkpoint = Path(sources[0]).suffix.lower() in (".pth", ".pt", ".safetensors") or sources[0] in CATALOGUE
    if config is None and len(sources) > 1 and (kind is ModelKind.CONFIG or is_checkpoint):
        model, config, sources = sources[0], model, sources[1:]
        call = shlex.join(["rtmo", "predict", model, *sources, "--config", config])
        print(f"note: the config is an option now: {call}", file=sys.stderr)
    return {"model": model, "sources": sources, "config": config}


def choose_streams(model: str, source: Any, streams: int | None) -> dict[str, Any]:
    """Return the option ``streams`` for ``Pose``; None lets it choose, for sources that need no immediate results."""
    from rtmo_plugin.checkpoints.model_names import is_exported
    from rtmo_plugin.media.sources import SourceKind, find_kind

    is_many = streams is None and is_exported(model) and find_kind(source) in (SourceKind.IMAGES, SourceKind.VIDEO)
    return {"streams": streams} if streams or is_many else {}


def _report(results: Iterable[Any], *, has_table: bool, as_json: bool) -> tuple[int, str]:
    """Print results as they arrive: a table, lines of JSON, or nothing but the images that could not be used.

    Returns:
        Number of images that could not be used, and a phrase with the numbers of people and images.
    """
    from rtmo_plugin.progress_bar import write_above_bar

    counts: Counter[str] = Counter()
    if has_table:
        print(_HEADER)
    for result in results:
        if result.error:
            counts["failed"] += 1
            print(f"skipped: {escape_control_characters(result.error)}", file=sys.stderr)
        else:
            counts["image" if result.frame.time_s is None else "frame"] += 1
            counts["people"] += len(result)
        if as_json:
            print_json(result.to_dict())
        elif has_table and not result.error:
            write_above_bar("\n".join(_make_rows(result)))
    return counts["failed"], count_detections(counts["people"], counts["image"], counts["frame"])


_HEADER = "score      x1      y1      x2      y2  keypoints  image"


def _make_rows(result: Any) -> list[str]:
    """Return one line per detection, or one for an empty image, with the name of the image and the time in a video."""
    time_s = result.frame.time_s
    name = escape_control_characters(result.frame.name)
    name = name if time_s is None else f"{name} {time_s:.3f} s"
    rows = []
    for score, box, visibility in zip(result.scores, result.boxes, result.visibility):
        num_visible = f"{(visibility >= _VISIBLE).sum()}/{len(visibility)}"
        corners = "".join(f"{value:8.1f}" for value in box)
        rows.append(f"{score:5.2f}{corners}  {num_visible:>9}  {name}")
    return rows or [f"    -{'-':>8}{'-':>8}{'-':>8}{'-':>8}  {'-':>9}  {name}"]


COMMAND = Command(
    "detect the people in images, videos and cameras, and draw them or print their keypoints",
    _EXAMPLES, _add_arguments, _run, _NOTES,
)  # fmt: skip
