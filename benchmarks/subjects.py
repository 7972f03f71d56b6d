"""The command ``python -m benchmarks``: the subjects that are measured beside other projects, and their options."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from typing import Any

from rtmo_plugin.cli.arguments import add_json_argument
from rtmo_plugin.cli.command import Command, add_subcommand
from rtmo_plugin.cli.output import keep_stdout_for_json, print_json
from rtmo_plugin.number_ranges import BATCH_SIZE, COUNT, GIGABYTES, SEED, THREADS
from rtmo_plugin.speed.speed_report import SpeedReport

# The module of each subject; it loads PyTorch and MMPose, which --help does without.
SUBJECTS = {
    "eval": "metric_computation",
    "data": "training_samples",
    "loading": "loaded_batches",
    "train": "training_step",
    "keypoints": "keypoint_sets",
    "learning": "learning",
    "infer": "inference",
    "formats": "formats",
    "gpu-training": "gpu_training",
    "gpu-inference": "gpu_inference",
}
_WRITE_EARLY = ("gpu-training", "gpu-inference")  # subjects that write --out themselves before they are done
_EXAMPLES = (
    "{command} infer --images photos/ --rounds 6",
    "{command} eval --out eval.json",
)


def load_subject(name: str) -> Callable[..., SpeedReport]:
    """Return the function that measures a subject; its arguments are those of the command."""
    run: Callable[..., SpeedReport] = import_module(f"benchmarks.{SUBJECTS[name]}").run
    return run


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="subject", required=True, metavar=" | ".join(SUBJECTS))
    subjects = {
        "eval": (_add_eval, "evaluation of COCO keypoints, beside MMPose's CocoMetric", "--out eval.json"),
        "data": (_add_data, "preparation of training samples, beside MMPose's pipeline", "--data-root data/"),
        "loading": (_add_loading, "data loader by number of workers", "--max-workers 4 --data-root data/"),
        "train": (_add_train, "training step of RTMO-s, beside MMPose's", "--batch-size 4"),
        "keypoints": (_add_keypoints, "training step of RTMO-s with 17 and with 133 keypoints", "--batch-size 2"),
        "learning": (_add_learning, "learning curve of RTMO-t on drawn people, beside MMPose's", "--num-images 700"),
        "infer": (_add_infer, "time to find people, beside rtmlib and MMPose", "--images photos/ --rounds 6"),
        "formats": (_add_formats, "exported formats, compared with their checkpoint", "--num-images 20"),
        "gpu-training": (_add_gpu_training, "training on a GPU, beside MMPose's", "--data-root data/"),
        "gpu-inference": (
            _add_gpu_inference,
            "time to find people on a GPU, beside MMPose",
            "--models rtmo-s --people 8",
        ),
    }
    for name, (add_own, summary, example) in subjects.items():
        own = add_subcommand(commands, name, summary, example, f"Measure the {summary}.")
        add_own(own)
        own.add_argument("--out", metavar="FILE", help="write everything to FILE as JSON")
        add_json_argument(own, "everything")


def _add_rounds(parser: argparse.ArgumentParser, default: int, what: str) -> None:
    parser.add_argument("--rounds", type=COUNT, default=default, metavar="N", help=what)


def _add_eval(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--num-images", type=COUNT, default=5000, metavar="N", help="number of images; COCO's val2017 has 5000")
    add("--num-detections", type=COUNT, default=20, metavar="N", help="detections per image")
    add("--settings", choices=("recipe", "default"), default="recipe", help="settings of the metric")
    _add_rounds(parser, 3, "number of runs of each side")


def _add_data(parser: argparse.ArgumentParser) -> None:
    _add_data_root(parser)
    add = parser.add_argument
    add("--num-samples", type=COUNT, default=100, metavar="N", help="samples per side and round")
    add("--num-images", type=COUNT, default=64, metavar="N", help="number of synthetic images")
    add("--cache-gb", type=GIGABYTES, default=1.0, metavar="GB", help="memory of the cached side")
    _add_rounds(parser, 3, "number of runs of each side")


def _add_loading(parser: argparse.ArgumentParser) -> None:
    _add_data_root(parser)
    add = parser.add_argument
    add("--max-workers", type=COUNT, default=2, metavar="N", help="largest number of loading workers")
    add(
        "--ready",
        action="store_true",
        help="prepare samples beforehand, and measure only collation and transfer",
    )
    add("--batch-size", type=BATCH_SIZE, default=16, metavar="N", help="samples in a batch")
    add("--num-batches", type=COUNT, default=8, metavar="N", help="batches of each side and round")
    add("--num-images", type=COUNT, default=64, metavar="N", help="number of synthetic images")
    _add_rounds(parser, 3, "number of runs of each side")


def _add_train(parser: argparse.ArgumentParser) -> None:
    _add_data_root(parser)
    add = parser.add_argument
    add("--batch-size", type=BATCH_SIZE, default=8, metavar="N", help="images of 640 x 640 in a step")
    add(
        "--compile",
        dest="compiled",
        action="store_true",
        help="measure a compiled step as well; on CPUs it takes minutes",
    )
    add("--no-memory", dest="memory", action="store_false", help="do not measure memory")
    _add_rounds(parser, 5, "steps of each side")


def _add_keypoints(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--batch-size", type=BATCH_SIZE, default=4, metavar="N", help="images of 640 x 640 in a step")
    add("--no-memory", dest="memory", action="store_false", help="do not measure memory")
    _add_rounds(parser, 5, "steps of each side")


def _add_learning(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--work-dir", metavar="DIR", default="work_dirs/learning", help="new folder for both runs")
    add("--num-images", type=COUNT, metavar="N", help="training images (default: the recipe's 2800, half an hour)")
    add("--seed", type=SEED, default=0, help="seed of weights and transforms")


def _add_gpu_training(parser: argparse.ArgumentParser) -> None:
    _add_data_root(parser)
    add = parser.add_argument
    add("--minutes", type=COUNT, default=9, metavar="N", help="time for all parts; what does not fit is left out")
    add("--parts", metavar="NAMES", default="", help="parts to measure, separated by commas (default: all)")
    add("--tiny", action="store_true", help="small sizes and few steps, to try the benchmark itself, on CPUs too")


def _add_gpu_inference(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--models", metavar="NAMES", default="rtmo-s,rtmo-m,rtmo-l", help="models, separated by commas")
    add("--weights", metavar="DIR", help="folder with a checkpoint for each model, such as rtmo-s.pth (default: random "
        "weights)")  # fmt: skip
    add("--images", metavar="DIR", help="image or folder (default: drawn people)")
    add("--people", type=COUNT, default=5, metavar="N", help="people per image, for which a score threshold is chosen")
    add("--precision", metavar="NAME", default="float16", help="precision of ours: float16, bfloat16 or float32")
    add("--tiny", action="store_true", help="small sizes and few steps, to try the benchmark itself, on CPUs too")
    _add_rounds(parser, 50, "measured batches of each side")


def _add_data_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-root", metavar="DIR", help="folder with coco/train2017 and its annotations; else people are drawn"
    )


def _add_infer(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--peers", metavar="DIR", help="folder with weights, rtmo-s_weights.pth, and the file that MMDeploy wrote for "
        "them, rtmo-s_mmdeploy-1.3.1.onnx (default: the published rtmo-s_body7 and rtmo-s_body7-onnx, 80 MB, which are "
        "downloaded the first time)")  # fmt: skip
    add("--yolo", metavar="FILE", help="measure this as well, a yolo11s-pose.onnx that Ultralytics' package exported")
    add("--images", metavar="DIR", help="image or folder (default: an image of noise)")
    add("--num-images", type=COUNT, default=5, metavar="N", help="number of images of the folder")
    add("--threads", type=THREADS, metavar="N", help="CPU threads of our sides (default: all cores, as the others)")
    add("--int8", action="store_true", help="measure eight bits too, calibrated with the folder --images (minutes)")
    _add_rounds(parser, 20, "number of times that each side sees every image")


def _add_formats(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--checkpoint", metavar="FILE", default="work_dirs/demo/epoch_6.pth", help="checkpoint to export")
    add("--config", metavar="CONFIG", help="config of the checkpoint (default: the one that it carries)")
    add("--num-images", type=COUNT, default=20, metavar="N", help="number of test images; AP is of all")
    add("--only", metavar="TEXT", default="", help="measure the rows whose names contain TEXT (default: all)")
    _add_rounds(parser, 5, "number of times that each side sees every image")


def _run(*, subject: str, out: str | None, as_json: bool, **arguments: Any) -> None:
    from rtmo_plugin.engine.console import suppress_library_noise  # loads PyTorch, which --help does without

    if subject in _WRITE_EARLY:
        arguments["out"] = out
    with keep_stdout_for_json(as_json), suppress_library_noise():
        report = load_subject(subject)(**arguments)
    if out:
        report.write(out)
    if as_json:
        print_json(report.describe())
    else:
        print(f"\n{report.format()}")


COMMAND = Command("measure speed beside MMPose, rtmlib or YOLO", _EXAMPLES, _add_arguments, _run)
