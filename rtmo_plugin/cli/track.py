"""``rtmo track``: follow the people in a video."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from typing import Any

from rtmo_plugin.cli.arguments import (
    MODEL_OPTIONS,
    add_batch_argument,
    add_file_arguments,
    add_json_argument,
    add_model_arguments,
    choose_options,
)
from rtmo_plugin.cli.command import Command, raise_when_terminated
from rtmo_plugin.cli.output import print_json
from rtmo_plugin.errors import DataError
from rtmo_plugin.wording import count

_EXAMPLES = (
    "{command} rtmo-s.onnx street.mp4 --out tracked.mp4         # and tracked.jsonl, one line per frame",
    "{command} rtmo-s.onnx 0 --out camera.mp4 --smooth          # the first camera, until Ctrl-C",
)
_NOTES = """The file of JSON lines beside the video, and --json, have one object per frame: {"image": name of the
source, "index": of the frame, "time": in seconds, "people": [{"id": from 1, or -1 until the track is
confirmed, "score": 0..1, "box": [x1, y1, x2, y2], "keypoints": [[x, y, visibility], ...]}, ...],
"error": null or a sentence}.  Coordinates are pixels of the frame; `rtmo info MODEL` names the keypoints.

--csv and --openpose hold the same people, as `rtmo predict --help` describes.

Each frame is shown at its time, also if the camera is slow or the frame rate varies.  An .mp4 holds H.264
if OpenCV has an encoder, the program ffmpeg or the package av is installed.  Otherwise it holds MPEG-4
Part 2, which browsers do not play; a .webm plays in browsers, and is what a folder gets then.

exit code: 0 every frame was used, 2 an argument or input is wrong or the video ends early, 130 after
Ctrl-C, 143 after SIGTERM; the frames until then are kept"""
_HOW_TO_PLAY = "it is MPEG-4 Part 2; install ffmpeg or the package av for H.264, or choose a name that ends with .webm"


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_arguments(parser, score_thr=0.1)  # so that ids stay with people who are hard to see
    parser.add_argument("source", help="video: a file or a web address; or a camera number, 0 for the first")
    parser.add_argument("--out", required=True, metavar="FILE", help="video file to write, or a folder for it")
    parser.add_argument("--smooth", action="store_true", help="smooth the keypoints over time with a One-Euro filter")
    add_batch_argument(parser)
    add_json_argument(parser, "one line for each frame")
    add_file_arguments(parser)


def _run(*, model: str, source: str, as_json: bool, csv: str | None, openpose: str | None, **arguments: Any) -> None:
    from rtmo_plugin import Pose
    from rtmo_plugin.pose.result_files import ResultFiles
    from rtmo_plugin.pose.tracking.track_video import TrackSummary, choose_files, track_video
    from rtmo_plugin.progress_bar import show_progress

    summary, num_frames = None, 0
    outputs = choose_files(source, arguments["out"])  # before the model is opened
    tables = ResultFiles([source], csv=csv, openpose=openpose, inputs=[model, *outputs])
    files = " and ".join(str(path) for path in (*outputs, csv, openpose) if path)
    opened = Pose(model, **choose_options({name: arguments.pop(name) for name in MODEL_OPTIONS}))
    with (
        raise_when_terminated(),
        tables.open(opened.info.schema.names) as write,
        closing(track_video(opened, source, **arguments)) as results,
    ):
        try:
            for result in show_progress(results, unit="frame"):
                if isinstance(result, TrackSummary):
                    summary = result
                    continue
                num_frames += write(result).error is None
                if as_json:
                    print_json(result.to_dict())
        except (KeyboardInterrupt, SystemExit):
            results.close()  # which writes the end of the video
            kept = f"{count(num_frames, 'frame is', 'frames are')} kept in {files}"
            print(f"\nstopped: {kept if num_frames else 'nothing is written'}", file=sys.stderr)
            raise
    assert summary is not None  # which comes last
    if not as_json and summary.num_frames:
        found = f"{count(summary.num_ids, 'person', 'people')} in {count(summary.num_frames, 'frame')}"
        print(f"{found}: {files}")
    if not summary.plays_in_browsers and summary.video.suffix.lower() in (".mp4", ".mov"):
        print(f"note: browsers do not play {summary.video}: {_HOW_TO_PLAY}", file=sys.stderr)
    if summary.error:
        raise DataError(summary.error)


COMMAND = Command(
    "follow the people in a video, each with an id, and write the video with them drawn",
    _EXAMPLES, _add_arguments, _run, _NOTES,
)  # fmt: skip
