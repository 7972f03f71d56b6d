"""``rtmo export``: write a model as a file for other runtimes."""

from __future__ import annotations

import argparse
from typing import Any

from rtmo_plugin.cli.arguments import CHECKPOINT, add_config_arguments, add_json_argument, add_score_argument
from rtmo_plugin.cli.command import Command
from rtmo_plugin.cli.output import keep_stdout_for_json, print_json
from rtmo_plugin.export.export_options import FORMATS
from rtmo_plugin.number_ranges import FRACTION, OPSET, PRIORS
from rtmo_plugin.runtime.model_info import CUTS, INPUTS

_EXAMPLES = (
    "{command} rtmo-s_coco rtmo-s_coco --out rtmo-s.onnx",
    "{command} work_dirs/demo/epoch_6.pth --out demo.onnx      # a checkpoint carries its config",
    "{command} rtmo-s_coco rtmo-s_coco --out rtmo-s-page/ --format web    # a page that runs it in the browser",
    "{command} configs/rtmo-s_coco.py mine.pth --out rtmo-s.xml --format openvino --size 640x384",
)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_arguments(parser)
    parser.add_argument("checkpoint", nargs="?", help=f"{CHECKPOINT}; left out if the config is a checkpoint")
    parser.add_argument(
        "--out", required=True, metavar="FILE", help="file to write; its suffix must fit --format; a folder for web"
    )
    parser.add_argument("--format", choices=tuple(FORMATS), default="onnx", help="format of the file")
    parser.add_argument(
        "--cut",
        choices=CUTS,
        default="end2end",
        help="last step in the file: end2end gives people, decoded stops before NMS, fused is decoded as one array for "
        "DeepStream, raw stops after the head",
    )
    parser.add_argument(
        "--size", metavar="WxH", help="width and height of the input, multiples of 32 (default: set by the config)"
    )
    parser.add_argument(
        "--dynamic",
        default="batch",
        metavar="WHAT",
        help="axes whose size may change between calls: batch, size, batch,size or none",
    )
    parser.add_argument(
        "--opset",
        type=OPSET,
        metavar="N",
        help="opset of an ONNX file, 11 to 20 (default: 17)",
    )
    parser.add_argument(
        "--input", choices=INPUTS, default="float32", help="type of the input; uint8 takes images as OpenCV reads them"
    )
    parser.add_argument(
        "--ort-web",
        metavar="PATH",
        help="npm package onnxruntime-web for --format web: a .tgz file or a folder (default: downloaded once)",
    )
    parser.add_argument(
        "--device",
        metavar="NAME",
        help="device to compute on, such as cpu or cuda:0 (for --format aoti and engine; default: cpu, engine: cuda)",
    )
    _add_precision(parser)
    _add_uncertainty(parser)
    _add_limits(parser)
    add_json_argument(parser, "the file's name and its differences from PyTorch")


def _add_precision(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--half", action="store_true", help="compute in float16, except coordinates")
    parser.add_argument(
        "--int8", action="store_true", help="compute the convolutions in eight bits; needs --int8-images"
    )
    parser.add_argument(
        "--int8-images",
        metavar="DIR",
        help="folder of about a hundred typical images, on which --int8 measures its value ranges",
    )
    parser.add_argument("--calibration-images", dest="int8_images", help=argparse.SUPPRESS)  # the earlier name
    parser.add_argument(
        "--annotations",
        metavar="FILE",
        help="COCO annotations of the images in --int8-images, to print the AP with --int8 and without",
    )
    parser.add_argument(
        "--calibration",
        metavar="FILE",
        help="score calibration that `rtmo analyze --calibration FILE` wrote, to store in the exported file",
    )


def _add_uncertainty(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--uncertainty",
        action="store_true",
        help="add an output with the standard deviation of each keypoint (--cut end2end and decoded)",
    )
    parser.add_argument(
        "--uncertainty-calibration",
        metavar="FILE",
        help="calibration of the standard deviations that `rtmo analyze --uncertainty-calibration FILE` wrote, to "
        "store in the exported file",
    )


def _add_limits(parser: argparse.ArgumentParser) -> None:
    add_score_argument(parser, None)
    parser.add_argument(
        "--nms-thr",
        type=FRACTION,
        metavar="IOU",
        help="IoU above which two boxes are one person (default: set by the config)",
    )
    parser.add_argument(
        "--max-people", type=PRIORS, default=100, metavar="N", help="largest number of people per image"
    )
    parser.add_argument(
        "--top-k", type=PRIORS, default=300, metavar="N", help="priors per image in a file of --cut decoded or fused"
    )


def _run(*, as_json: bool, **arguments: Any) -> None:
    from dataclasses import asdict

    from rtmo_plugin.api import export
    from rtmo_plugin.config.embedded import find_checkpoint

    with keep_stdout_for_json(as_json):
        checkpoint = find_checkpoint(arguments["config"], arguments.pop("checkpoint"))
        result = export(checkpoint=checkpoint, **arguments)
    if as_json:
        print_json({"file": str(result.path), "differences": asdict(result.differences)})
    else:
        print(result.describe())


COMMAND = Command(
    "convert a model to a file for other runtimes, phones or browsers, and compare it with the model",
    _EXAMPLES, _add_arguments, _run,
)  # fmt: skip
