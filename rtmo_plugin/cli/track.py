"""``rtmo track``: follow the people in a video."""

from __future__ import annotations

import argparse
from typing import Any

from rtmo_plugin.cli.arguments import MODEL_OPTIONS, add_json_argument, add_model_arguments, choose_options, read_source
from rtmo_plugin.cli.command import Command
from rtmo_plugin.cli.output import count, print_json
from rtmo_plugin.errors import DataError

_EXAMPLES = (
    "{command} rtmo-s.onnx street.mp4 --out tracked.mp4         # and tracked.jsonl, a line a frame",
    "{command} rtmo-s.onnx 0 --out camera.mp4 --smooth          # the first camera, until Ctrl-C",
)
_NOTES = """A line of --json, and of the file beside the video, is one of `rtmo predict`, and everybody has an "id":
from 1 on, or -1 as long as it is not sure that somebody is there.

exit code: 0 every frame was used, 2 something in the input is wrong or it stopped early: what was done is kept"""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_arguments(parser, score_thr=0.1)  # so that ids stay with people who are hard to see
    parser.add_argument("source", help="a video: file or address; or a camera: 0 is the first")
    parser.add_argument("--out", required=True, metavar="FILE", help="the video to write, or a folder for it")
    parser.add_argument("--smooth", action="store_true", help="smooth the keypoints over time (One-Euro filter)")
    parser.add_argument("--batch-size", type=int, default=1, metavar="N", help="frames at once (%(default)s)")
    add_json_argument(parser, "a line for each frame")


def _run(*, model: str, source: str, as_json: bool, **arguments: Any) -> None:
    from rtmo_plugin import Pose
    from rtmo_plugin.inference.track_video import TrackSummary, track_video
    from rtmo_plugin.progress_bar import show_progress

    summary = None
    opened = Pose(model, **choose_options({name: arguments.pop(name) for name in MODEL_OPTIONS}))
    for result in show_progress(track_video(opened, read_source(source), **arguments), unit="frame"):
        if isinstance(result, TrackSummary):
            summary = result
        elif as_json:
            print_json(result.to_dict())
    assert summary is not None  # which comes last
    if not as_json:
        found = f"{count(summary.num_ids, 'person', 'people')} in {count(summary.num_frames, 'frame', 'frames')}"
        print(f"{found}: {summary.video} and {summary.lines}")
    if summary.error:
        raise DataError(summary.error)


COMMAND = Command("follow the people in a video, each with an id", _EXAMPLES, _add_arguments, _run, _NOTES)
