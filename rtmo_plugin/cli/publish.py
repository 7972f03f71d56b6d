"""``rtmo publish``: write a model in the layout of the Hugging Face Hub."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from rtmo_plugin.cli.arguments import CHECKPOINT, CONFIG, add_config_options, add_json_argument
from rtmo_plugin.cli.command import Command
from rtmo_plugin.cli.output import keep_stdout_for_json, print_json

_EXAMPLES = (
    "{command} work_dirs/demo/epoch_6.pth demo-model/         # a checkpoint carries its config",
    "{command} mine.pth mine/ --config rtmo-s_coco --onnx --license apache-2.0",
    "{command} epoch_6.pth mine/ --onnx --half --int8-images photos/    # all that transformers.js reads",
)
_NOTES = """The folder holds README.md (the model card), config.json, model.safetensors, preprocessor_config.json and,
with --onnx, --half and --int8-images, onnx/model.onnx, onnx/model_fp16.onnx and onnx/model_int8.onnx. Nothing is
uploaded: `hf upload OWNER/NAME DIR` of huggingface_hub does that.
Pose.from_pretrained and RTMO.from_pretrained open the folder or the uploaded model."""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("model", help=CHECKPOINT)
    add("folder", metavar="DIR", help="folder to write, which becomes the repository of the model")
    add("--config", metavar="FILE", help=f"{CONFIG} (default: the one that the checkpoint carries)")
    add_config_options(parser)
    add("--onnx", action="store_true", help="write an ONNX model as well, and compare it with PyTorch")
    add("--half", action="store_true", help="write an ONNX model that computes in float16, and compare it with PyTorch")
    add(
        "--int8-images",
        metavar="DIR",
        help="folder of about a hundred typical images; write an ONNX model whose value ranges are measured on them",
    )
    add("--license", metavar="NAME", help="license of the weights, such as apache-2.0 (default: not stated)")
    add("--overwrite", action="store_true", help="replace files of the same names in DIR, and keep others")
    add_json_argument(parser, "the names of the files and the description of the model")


def _run(*, as_json: bool, **arguments: Any) -> None:
    from rtmo_plugin.api import publish

    with keep_stdout_for_json(as_json):
        result = publish(**arguments)
    if as_json:
        print_json({"folder": str(result.folder), "files": result.files, "description": asdict(result.description)})
    else:
        print(result.describe())


COMMAND = Command(
    "write a checkpoint as a folder for the Hugging Face Hub: weights, config and model card",
    _EXAMPLES, _add_arguments, _run, _NOTES,
)  # fmt: skip
