"""Steps of an export: its writer, its options, and the metadata and summary of the written file."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from rtmo_plugin import __version__
from rtmo_plugin.config.sections import walk_sections
from rtmo_plugin.engine.loaded_model import LoadedModel
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.evaluation.ground_truth import read_annotations
from rtmo_plugin.export.checks.accuracy import QuantizedAccuracy
from rtmo_plugin.export.checks.tolerance import Differences, choose_tolerance
from rtmo_plugin.export.export_options import FORMATS, PACKAGE_SUFFIX, ExportOptions, parse_dynamic, parse_size
from rtmo_plugin.export.writers.draft import FormatWriter
from rtmo_plugin.export.writers.quantization import choose_int8_images
from rtmo_plugin.keypoints.metainfo import read_class_skeletons
from rtmo_plugin.runtime.model_files import list_model_files
from rtmo_plugin.runtime.model_info import ModelInfo
from rtmo_plugin.score_calibration import ScoreCalibration
from rtmo_plugin.uncertainty_calibration import UncertaintyCalibration
from rtmo_plugin.wording import count, show_path

_DEFAULT_SIZE = (640, 640)


@dataclass(frozen=True)
class ExportResult:
    """A written file, and how it compares with PyTorch.

    Attributes:
        path: The file.
        info: Metadata in the file.
        differences: Largest differences between the file and PyTorch, as shares of the tolerance.
        accuracy: AP and speed in float32 and in eight bits, if annotations were given.
    """

    path: Path
    info: ModelInfo
    differences: Differences
    accuracy: QuantizedAccuracy | None = None

    def describe(self) -> str:
        """Return the summary that the tool prints."""
        width, height = self.info.size_wh
        found, files = self.differences, list_model_files(self.path, self.info.cut)
        size = sum(each.stat().st_size for each in files) / 1e6
        names = [each.name.removeprefix(self.path.stem) for each in files[1:]]
        beside = f", with {', '.join(names)} beside it" if names else ""
        if self.path.is_dir():
            beside = f" in {len(files)} files"
        worst, tolerance = found.find_largest(), choose_tolerance(self.info.precision)
        kinds = ["maps"] if self.info.cut == "raw" else ["score", "box", "keypoint"]
        kinds += ["uncertainty"] if self.info.uncertainty else []
        people = "" if self.info.cut == "raw" else f", {count(found.num_people, 'person', 'people')}"
        images, shown = count(found.num_images, "image"), show_path(self.path)
        lines = [
            f"{shown}: {size:.1f} MB{beside}, {width}x{height}, {self.info.cut}, {self.info.precision}",
            f"compared with PyTorch: {images}{people}; the largest difference ({worst}) is {getattr(found, worst):.2g} "
            f"of the tolerance ({tolerance.precision}): {tolerance.describe(*kinds)}",
        ]
        if self.accuracy:
            lines.append(self.accuracy.describe())
        if self.path.is_dir() and self.path.suffix != PACKAGE_SUFFIX:
            lines.append(
                f"to open it: python3 -m http.server --directory {shlex.quote(shown)}, then http://localhost:8000"
            )
        return "\n".join(lines)


def read_export_options(cfg: Config, options: Mapping[str, Any]) -> ExportOptions:
    """Return the options of a file; those that are None have the config's values, or the defaults.

    Args:
        cfg: Config of the model.
        options: Options as ``rtmo export`` takes them.

    Raises:
        UserError: An option is wrong.
    """
    given = {name: value for name, value in options.items() if value is not None}
    size, earlier = given.pop("size", None), given.pop("calibration_images", None)  # the earlier name of int8_images
    folder, ort_web = given.pop("int8_images", earlier), given.pop("ort_web", None)
    sizes = (tuple(step["input_size"]) for step in _find_resize_steps(cfg))
    thresholds = {name: cfg.model.get("test_cfg", {}).get(name) for name in ("score_thr", "nms_thr")}
    return ExportOptions(
        size_wh=parse_size(size) if size else next(iter(sizes), _DEFAULT_SIZE),
        dynamic=parse_dynamic(given.pop("dynamic", "batch")),
        int8_images=() if folder is None else choose_int8_images(folder),
        ort_web=None if ort_web is None else Path(ort_web),
        **{**{name: value for name, value in thresholds.items() if value is not None}, **given},
    )


def find_writer(name: str, path: Path) -> FormatWriter:
    """Return the functions that check and write a format, and check that the name of the file fits it.

    Raises:
        ConfigError: The format is unknown, or the name has another suffix.
    """
    if name not in FORMATS:
        raise ConfigError(f"--format {name}: choose {', '.join(FORMATS)}.")
    if not FORMATS[name] and path.suffix in FORMATS.values() and path.suffix:
        raise ConfigError(f"--out {path}: name a folder, which --format {name} writes.")
    if FORMATS[name] and path.suffix != FORMATS[name]:
        raise ConfigError(f"--out {path}: the file name of {name} must end with {FORMATS[name]}.")
    from rtmo_plugin.export.writers.compiled_file import check_compiled, write_compiled
    from rtmo_plugin.export.writers.coreml_file import check_coreml, write_coreml
    from rtmo_plugin.export.writers.engine_file import check_engine, write_engine
    from rtmo_plugin.export.writers.executorch_file import check_executorch, write_executorch
    from rtmo_plugin.export.writers.litert_file import check_litert, write_litert
    from rtmo_plugin.export.writers.ncnn_file import check_ncnn, write_ncnn
    from rtmo_plugin.export.writers.onnx_file import check_onnx, write_onnx
    from rtmo_plugin.export.writers.openvino_file import check_openvino, write_openvino
    from rtmo_plugin.export.writers.torch_files import (
        check_program,
        check_torch_file,
        write_program,
        write_torchscript,
    )
    from rtmo_plugin.export.writers.web_folder import check_web, write_web

    writers = (
        FormatWriter(check_onnx, write_onnx),
        FormatWriter(check_openvino, write_openvino),
        FormatWriter(check_torch_file, write_torchscript),
        FormatWriter(check_program, write_program),
        FormatWriter(check_ncnn, write_ncnn),
        FormatWriter(check_web, write_web),
        FormatWriter(check_litert, write_litert),
        FormatWriter(check_coreml, write_coreml),
        FormatWriter(check_compiled, write_compiled),
        FormatWriter(check_engine, write_engine),
        FormatWriter(check_executorch, write_executorch),
    )
    return dict(zip(FORMATS, writers, strict=True))[name]


def check_combination(
    name: str,
    path: Path,
    options: ExportOptions,
    *,
    opset: int | None,
    annotations: str | Path | None,
    has_uncertainty_calibration: bool,
) -> None:
    """Check options that only some formats, cuts and precisions have, before the model is loaded.

    Args:
        name: Format of the file.
        path: Name of the file.
        options: Options of the file.
        opset: The opset that was asked for, if any.
        annotations: Annotation file of the images for ``int8``, if any.
        has_uncertainty_calibration: Whether a calibration of the standard deviations was given.

    Raises:
        UserError: An option is given to a format or precision that does not use it, a package is missing, or the
            annotations cannot be read.
    """
    has_annotations = annotations is not None
    if opset is not None and name != "onnx":
        raise ConfigError(f"--opset is for --format onnx, and {name} has none.")
    if has_uncertainty_calibration and not (options.uncertainty or options.cut == "raw"):
        raise ConfigError("--uncertainty-calibration is for --uncertainty, which is missing.")
    if has_annotations and not options.int8:
        raise ConfigError("--annotations is for the AP of --int8, which is missing.")
    if has_annotations and name == "web":
        raise ConfigError("--annotations is for files: export the same options with --format onnx for the AP.")
    if name != "web" and options.ort_web is not None:
        raise ConfigError("--ort-web is for --format web.")
    if name not in ("aoti", "engine") and options.device != "cpu":
        raise ConfigError("--device is for --format aoti and engine, which are built for a device.")
    find_writer(name, path).check(options, path)
    if annotations is not None:
        read_annotations(annotations)


def _find_resize_steps(cfg: Config) -> Iterable[dict[str, Any]]:
    """Return the steps of the test pipeline that scale images to the size of the input."""
    pipeline = (cfg.get("test_dataloader") or {}).get("dataset", {}).get("pipeline", [])
    return [step for step in walk_sections(pipeline) if "BottomupResize" in str(step.get("type"))]


def check_is_rtmo(model: Any, cfg: Config) -> None:
    """Check that a model is an RTMO of this package.

    Raises:
        ConfigError: It is another model.
    """
    if not all(hasattr(getattr(model, "head", None), part) for part in ("head_module", "dcc", "schema")):
        name = cfg.filename or "The config"
        raise ConfigError(f"{name} does not describe an RTMO model of this package; other models cannot be exported.")


def read_calibrations(scores: str | Path | None, uncertainty: str | Path | None) -> dict[str, Any]:
    """Return the metadata that files of ``rtmo analyze`` give to an exported file, by name.

    Args:
        scores: Score calibration, if any.
        uncertainty: Calibration of the keypoints' standard deviations, if any.

    Raises:
        UserError: A file cannot be read.
    """
    found: dict[str, Any] = {} if scores is None else {"score_calibration": ScoreCalibration.read(scores)}
    if uncertainty is not None:
        found["uncertainty_factor"] = UncertaintyCalibration.read(uncertainty).factor
    return found


def make_model_info(loaded: LoadedModel, options: ExportOptions) -> ModelInfo:
    """Return the metadata of a file.

    Args:
        loaded: Model, which ``check_is_rtmo`` has checked.
        options: Options of the file.
    """
    cfg, head = loaded.cfg, loaded.model.head
    pads = [step.get("pad_val", 0) for step in _find_resize_steps(cfg)] or [114]
    pad = tuple(pads[0]) if isinstance(pads[0], (tuple, list)) else (pads[0],) * 3
    return ModelInfo(
        schema=head.schema,
        classes=loaded.classes,
        size_wh=options.size_wh,
        cut=options.cut,
        input=options.input,
        dynamic=options.dynamic,
        precision=options.precision,
        score_thr=options.score_thr,
        nms_thr=options.nms_thr,
        max_people=options.max_people,
        strides=head.strides,
        pad_value=(pad[0], pad[1], pad[2]),
        name=Path(cfg.filename).stem if cfg.filename else "",
        version=__version__,
        training_ap=loaded.training_ap,
        uncertainty=options.uncertainty,
        class_skeletons=read_class_skeletons(loaded.metainfo, len(loaded.classes)),
    )
