"""Write a trained model as a file for other runtimes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmengine.config import Config

from rtmo_plugin import __version__
from rtmo_plugin.config.config_files import load_config, set_options
from rtmo_plugin.config.sections import walk_sections
from rtmo_plugin.engine.console import suppress_library_noise
from rtmo_plugin.engine.loaded_model import LoadedModel, load_model
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.export.checks.accuracy import QuantizedAccuracy, compare_accuracy
from rtmo_plugin.export.checks.tolerance import Differences, choose_tolerance
from rtmo_plugin.export.export_options import FORMATS, ExportOptions, parse_dynamic, parse_size
from rtmo_plugin.export.writers.quantization import choose_int8_images
from rtmo_plugin.media.image_files import make_folder
from rtmo_plugin.runtime.model_files import list_model_files
from rtmo_plugin.runtime.model_info import ModelInfo
from rtmo_plugin.score_calibration import ScoreCalibration
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
        beside = f", with {', '.join(each.suffix for each in files[1:])} beside it" if len(files) > 1 else ""
        worst, tolerance = found.find_largest(), choose_tolerance(self.info.precision)
        kinds = ("maps",) if self.info.cut == "raw" else ("score", "box", "keypoint")
        people = "" if self.info.cut == "raw" else f", {count(found.num_people, 'person', 'people')}"
        images = count(found.num_images, "image")
        return (
            f"{show_path(self.path)}: {size:.1f} MB{beside}, {width}x{height}, {self.info.cut}, {self.info.precision}\n"
            f"compared with PyTorch: {images}{people}; the largest difference ({worst}) is {getattr(found, worst):.2g} "
            f"of the tolerance ({tolerance.precision}): {tolerance.describe(*kinds)}"
            + (f"\n{self.accuracy.describe()}" if self.accuracy else "")
        )


def export(
    config: str | Path | Config,
    checkpoint: str | Path,
    out: str | Path,
    *,
    format: str = "onnx",  # noqa: A002  (the word of the command line)
    calibration: str | Path | None = None,
    annotations: str | Path | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> ExportResult:
    """Write a model as a file for other runtimes, and compare the file with PyTorch.

    Args:
        config: Path of a config file, or a config.
        checkpoint: Path or URL of a checkpoint, or a name such as ``rtmo-s_body7``.
        out: File to write.
        format: A key of ``FORMATS``.
        calibration: Score calibration that ``rtmo analyze`` wrote, to store in the file.
        annotations: Annotation file of the images in ``int8_images``, in COCO's format: measures the AP of the
            file in eight bits and in float32.
        cfg_options: Values to change in the config, by dotted key.
        **options: Options of ``ExportOptions`` as ``rtmo export`` takes them: ``size``, such as ``640x384``
            (default: that of the config's test pipeline); ``dynamic``: ``batch``, ``size``, ``batch,size`` or
            ``none``; ``int8_images``: a folder; and ``cut``, ``input``, ``half``, ``int8``, ``score_thr``,
            ``nms_thr``, ``max_people``, ``top_k``.

    Returns:
        The file and its differences from PyTorch.

    Raises:
        UserError: An argument is wrong, or the file does not compute what PyTorch computes.
    """
    path = Path(out)
    write = _find_writer(format, path)
    cfg = load_config(config)
    set_options(cfg, cfg_options)
    wanted = read_export_options(cfg, options)
    if annotations is not None and not wanted.int8:
        raise ConfigError("--annotations is for the AP of --int8, which is missing.")
    scores = None if calibration is None else ScoreCalibration.read(calibration)
    make_folder(path.parent, "The folder of --out,")
    with suppress_library_noise():
        loaded = load_model(cfg, checkpoint, device="cpu", check=check_is_rtmo)
        info = replace(_describe(loaded, wanted), score_calibration=scores)
        differences = write(loaded.model, path, wanted, info)
        accuracy = None
        if annotations is not None:
            accuracy = compare_accuracy(write, loaded.model, path, wanted, info, annotations)
    return ExportResult(path, info, differences, accuracy)


def read_export_options(cfg: Config, options: Mapping[str, Any]) -> ExportOptions:
    """Return the options of a file; those that are None have the config's values, or the defaults."""
    given = {name: value for name, value in options.items() if value is not None}
    size, earlier = given.pop("size", None), given.pop("calibration_images", None)  # the earlier name of int8_images
    folder = given.pop("int8_images", earlier)
    sizes = (tuple(step["input_size"]) for step in _find_resize_steps(cfg))
    thresholds = {name: cfg.model.get("test_cfg", {}).get(name) for name in ("score_thr", "nms_thr")}
    return ExportOptions(
        size_wh=parse_size(size) if size else next(iter(sizes), _DEFAULT_SIZE),
        dynamic=parse_dynamic(given.pop("dynamic", "batch")),
        int8_images=() if folder is None else choose_int8_images(folder),
        **{**{name: value for name, value in thresholds.items() if value is not None}, **given},
    )


def _find_writer(name: str, path: Path) -> Callable[[Any, Path, ExportOptions, ModelInfo], Differences]:
    """Return the function that writes a format, and check that the name of the file fits it."""
    if name not in FORMATS:
        raise ConfigError(f"--format {name}: choose {', '.join(FORMATS)}.")
    if path.suffix != FORMATS[name]:
        raise ConfigError(f"--out {path}: the file name of {name} must end with {FORMATS[name]}.")
    from rtmo_plugin.export.writers.ncnn_file import write_ncnn
    from rtmo_plugin.export.writers.onnx_file import write_onnx
    from rtmo_plugin.export.writers.openvino_file import write_openvino
    from rtmo_plugin.export.writers.torch_files import write_program, write_torchscript

    writers = (write_onnx, write_openvino, write_torchscript, write_program, write_ncnn)
    return dict(zip(FORMATS, writers, strict=True))[name]


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


def _describe(loaded: LoadedModel, options: ExportOptions) -> ModelInfo:
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
    )
