"""A Core ML package (.mlpackage) for iOS and macOS, converted from TorchScript by coremltools.

Core ML itself runs on Apple's systems alone, so the comparison computes the written program in PyTorch.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rtmo_plugin.engine.console import suppress_output
from rtmo_plugin.errors import ConfigError, ExportError, write_install_line
from rtmo_plugin.export.checks.comparison import Run
from rtmo_plugin.export.checks.coreml_program import CoreMlProgram
from rtmo_plugin.export.checks.tolerance import Differences
from rtmo_plugin.export.export_options import ExportOptions
from rtmo_plugin.export.graphs import RawGraph, build_graph, make_example
from rtmo_plugin.export.writers.draft import write_verified
from rtmo_plugin.runtime.model_info import ModelInfo

_INPUT = "input"


def write_coreml(model: Any, path: Path, options: ExportOptions, info: ModelInfo) -> Differences:
    """Write a model as a Core ML package, see ``write_verified``.

    Args:
        model: Trained model, in eval mode.
        path: Name of the ``.mlpackage`` folder.
        options: Options of the file; one image of one size is possible, before NMS. The input ``uint8`` is an image of
            Core ML, ``float32`` an array.
        info: Metadata to store in the package.

    Returns:
        Differences between the written program, computed by PyTorch, and the model.

    Raises:
        ExportError: The program does not compute what PyTorch computes, and was not kept.
        OutputError: A file cannot be written.
        ConfigError: The package is missing, or the format does not support the options.
    """
    check_coreml(options, path)
    # The converter chooses the precision and the input; a float16 graph is only emulated on this processor.
    graph = build_graph(model, replace(options, half=False, input="float32"))

    def save(draft: Path) -> None:
        _convert(graph, draft, options, info)

    def load(draft: Path) -> Run:
        with suppress_output("coremltools"):
            program = CoreMlProgram(draft)
        _check_signature(program.spec.description, graph.output_names, options, path)

        def run(images: NDArray[Any], score_thr: float) -> dict[str, NDArray[Any]]:
            planar = np.moveaxis(images, -1, 1) if options.input == "uint8" else images
            outputs = program.run(torch.from_numpy(np.ascontiguousarray(planar, np.float32)))
            return {name: outputs[name].numpy() for name in graph.output_names}

        return run

    return write_verified(model, path, options, save, load)


def check_coreml(options: ExportOptions, path: Path) -> None:
    """Check that the packages are installed, and that the format can hold what the options ask for.

    Raises:
        ConfigError: A package is missing, or the format cannot.
    """
    if find_spec("coremltools") is None:
        raise ConfigError(f"Writing Core ML packages needs the package coremltools: {write_install_line('coreml')}")
    if options.cut == "end2end" or options.dynamic or options.int8:
        raise ConfigError(
            f"{path.name} can hold one image of one size before NMS: export it with --cut decoded or raw and "
            "--dynamic none, without --int8."
        )


def _convert(graph: RawGraph, path: Path, options: ExportOptions, info: ModelInfo) -> None:
    """Write a package."""
    with suppress_output():  # a note on versions
        import coremltools as ct

    width, height = options.size_wh
    shape = (1, 3, height, width)
    is_image = options.input == "uint8"
    image = (
        ct.ImageType(_INPUT, shape, color_layout=ct.colorlayout.BGR)
        if is_image
        else ct.TensorType(_INPUT, shape, np.float32)
    )
    half = {True: ct.precision.FLOAT16, False: ct.precision.FLOAT32}
    example = make_example(replace(options, input="float32"))
    with suppress_output("coremltools"), torch.no_grad():
        script = torch.jit.trace(graph, example, check_trace=False)  # type: ignore[no-untyped-call]
        converted = ct.convert(
            script,
            inputs=[image],
            outputs=[
                ct.TensorType(name, dtype=None if name == "labels" else np.float32) for name in graph.output_names
            ],
            convert_to="mlprogram",
            minimum_deployment_target=ct.target.iOS16,
            compute_precision=half[options.half],
            skip_model_load=True,
        )
        converted.short_description = f"RTMO, {info.cut}: people and their keypoints in one image"
        converted.user_defined_metadata.update(info.to_strings())
        converted.save(str(path))


def _check_signature(description: Any, output_names: list[str], options: ExportOptions, path: Path) -> None:
    """Check the input and the names of the outputs of a package, which an app refers to.

    Raises:
        ExportError: One differs from the options.
    """
    (given,) = description.input
    image = given.type.imageType
    is_image = given.type.WhichOneof("Type") == "imageType"
    size = (image.width, image.height) if is_image else tuple(given.type.multiArrayType.shape)[:1:-1]
    names = [each.name for each in description.output]
    if (given.name, size, names) != (_INPUT, options.size_wh, output_names) or is_image != (options.input == "uint8"):
        raise ExportError(
            f"{path} was not kept: it takes {given.name} of {size} and gives {', '.join(names)}, where input of "
            f"{options.size_wh} and {', '.join(output_names)} were expected."
        )
