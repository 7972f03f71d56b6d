"""Train, tune, evaluate, predict, export, publish and analyze: each function reads like the steps a person would take.

Importing this module is light: each function imports what it needs when it is called, so that predicting with an
exported file works without torch and OpenMMLab.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from rtmo_plugin.errors import ConfigError, DataError

if TYPE_CHECKING:
    from mmengine.config import Config

    from rtmo_plugin.analysis.measures import Report
    from rtmo_plugin.engine.evaluation_result import Evaluation
    from rtmo_plugin.engine.train_result import TrainResult
    from rtmo_plugin.export.exporting import ExportResult
    from rtmo_plugin.export.publishing import PublishedModel
    from rtmo_plugin.pose.results import PoseResult
    from rtmo_plugin.speed.dry_run import DryRun
    from rtmo_plugin.tuning.tuning_result import TuningResult

__all__ = ["analyze", "evaluate", "export", "predict", "publish", "train", "tune"]


@overload
def train(config: str | Path | Config, *, dry_run: Literal[True], **options: Any) -> DryRun: ...


@overload
def train(config: str | Path | Config, *, dry_run: Literal[False] = False, **options: Any) -> TrainResult: ...


def train(  # noqa: PLR0913  (what the command offers: every option has a default)
    config: str | Path | Config,
    *,
    resume: str | Path | bool | None = None,
    load_from: str | Path | None = None,
    transfer_from: str | Path | None = None,
    amp: bool = False,
    compiled: bool = False,
    graphs: bool | None = None,
    auto_scale_lr: bool = False,
    validate: bool = True,
    patience: int | None = None,
    freeze: str | Sequence[str] | None = None,
    teacher: Sequence[str | Path] | None = None,
    augment: str | Sequence[str] | None = None,
    logger: str | Sequence[str] | None = None,
    from_scratch: bool = False,
    show_dir: str | Path | None = None,
    cache_gb: float = 0,
    overwrite: bool = False,
    dry_run: bool = False,
    batch_size: int | str | None = None,
    **options: Any,
) -> TrainResult | DryRun:
    """Train the model of a config.

    Args:
        config: Path of a config file, name of a shipped config, or a config, which is not changed.
        resume: Checkpoint to continue from; ``"auto"`` or True for the last one in the work folder, if it has one.
        load_from: Checkpoint whose weights to start from: path, URL or a name such as ``rtmo-s_body7``.
        transfer_from: Checkpoint of a model with other keypoints or classes: the weights of those with the same name
            are taken over, and new ones start from random weights.
        amp: Whether to train in half precision, on CPUs as well.
        compiled: Whether to compile the network, see ``CompileHook``.
        graphs: Whether to run the network as CUDA graphs, see ``GraphsHook``. Default: on NVIDIA GPUs, unless it is
            compiled.
        auto_scale_lr: Whether to scale the learning rate to the actual batch size.
        validate: Whether to evaluate during training, as often as the config says.
        patience: Number of validations without a higher AP after which training ends. Default: it never ends early.
        freeze: Parts of the model whose weights stay as they are, such as ``"backbone,neck"``, see ``FreezeHook``.
        teacher: Config and checkpoint of a model whose predictions are learned beside the labels, see
            ``DistillationHook``.
        augment: Optional transforms: ``copy-paste`` or ``occlusion``, as a sequence or separated by commas, see
            ``add_augmentations``. Default: those of the config.
        logger: Where the numbers of the log are sent too: ``tensorboard``, ``wandb``, ``mlflow`` or ``csv``, as a
            sequence or separated by commas. A dry run sends nothing.
        from_scratch: Whether to start from random weights, without the pretrained backbone.
        show_dir: Folder for plots of the predictions during validation.
        cache_gb: Memory for decoded training images, in gigabytes (10**9 bytes), for all processes of a machine.
        overwrite: Whether to remove the checkpoints of an earlier run in the work folder, when training begins.
        dry_run: Whether to train some steps only, keep nothing, and return the speed and the memory of the training.
        batch_size: Images that each process loads at a time; ``"auto"`` for the most that the GPU's memory has room
            for, see ``find_batch_size``. Default: the config's.
        **options: ``work_dir``, ``data_root``, ``launcher``, ``seed``, ``deterministic``, ``epochs``, ``total_batch``
            and ``cfg_options``, see ``prepare_config``.

    Returns:
        The metrics of the last validation by name, the last checkpoint, and the folder of the log; or the result of the
        dry run.

    Raises:
        UserError: Something in the arguments, the config, the data or a checkpoint is wrong; also a
            ``ValueError``, ``KeyError`` or ``FileNotFoundError``.
        FloatingPointError: A loss is not finite; see ``DivergenceHook.explain``.
        InterruptedRun: Ctrl-C was pressed or SIGTERM came; ``resume=True`` continues the run.
    """
    from rtmo_plugin.config.edits import add_loggers, list_training_edits, prepare_config, read_loggers
    from rtmo_plugin.config.embedded import refuse_checkpoint
    from rtmo_plugin.engine.largest_batch import choose_batch_size
    from rtmo_plugin.engine.resuming import TrainingStart
    from rtmo_plugin.engine.training import run_training
    from rtmo_plugin.speed.dry_run import dry_run_training

    refuse_checkpoint(config)
    start = TrainingStart(resume, load_from, transfer_from, from_scratch=from_scratch, overwrite=overwrite)
    network: dict[str, Any] = {"amp": amp, "compiled": compiled, "graphs": graphs}
    edits = list_training_edits(
        validate=validate,
        patience=patience,
        freeze=freeze,
        teacher=teacher,
        augment=augment,
        cache_gb=cache_gb,
        auto_scale_lr=auto_scale_lr,
        **network,
    )
    backends = read_loggers(logger)
    num_images = choose_batch_size(batch_size, config, edits, options)
    cfg = prepare_config(config, edits, batch_size=num_images, **options)
    if backends and not dry_run:
        add_loggers(cfg, backends)
    return dry_run_training(cfg, start) if dry_run else run_training(cfg, start, show_dir)


def tune(config: str | Path, **options: Any) -> TuningResult:
    """Search a few numbers of a config by short trainings on Ray Tune, and write the best as a config.

    Args:
        config: Path of a config file, or name of a shipped config.
        **options: ``work_dir``, ``trials``, ``epochs``, ``concurrent``, ``knobs``, ``metric``, ``resume`` and ``seed``,
            see ``rtmo_plugin.tuning.tuning_run.run_tuning``; others, such as ``data_root``, ``transfer_from``, ``amp``
            and ``cfg_options``, are those of ``train`` for each trial.

    Returns:
        The trials with their values and metrics; the folder has a table, a plot, and the best config, ``best.py``.

    Raises:
        UserError: Something in the arguments, the config or the data is wrong, or every trial failed.
        InterruptedRun: Ctrl-C was pressed or SIGTERM came; ``resume=True`` continues the tuning.
    """
    from rtmo_plugin.tuning.tuning_run import run_tuning

    return run_tuning(train, config, **options)


def evaluate(
    config: str | Path | Config,
    model: str | Path | None = None,
    *,
    compare_with: str | Path | None = None,
    out: str | Path | None = None,
    dump: str | Path | None = None,
    show_dir: str | Path | None = None,
    trust: bool | None = None,
    **options: Any,
) -> Evaluation:
    """Evaluate a model on the test data of a config, or compare two models there.

    Args:
        config: Path of a config file, name of a shipped config, checkpoint that carries its config, or a config.
        model: Checkpoint (path, URL or a name such as ``rtmo-s_body7``), exported file (such as .onnx), or result file
            in COCO's format (.json). Default: the checkpoint that ``config`` names.
        compare_with: Second model of any kind.
        out: File for the metrics, of both models and with their difference if there are two (.json, .yaml or .pkl).
        dump: File for the predictions of a checkpoint (.pkl), to evaluate them again elsewhere.
        show_dir: Folder for images with the predictions of a checkpoint drawn.
        trust: Whether code in a .pt, .pt2 or .engine file may run that was not exported here.
        **options: ``work_dir``, ``data_root``, ``launcher``, ``seed`` and ``cfg_options``, see ``prepare_config``.

    Returns:
        The metrics by name, such as ``coco/AP``; the comparison with the second model; and the time per image in
        milliseconds. It can be used as the mapping of the metrics.

    Raises:
        UserError: Something in the arguments, the config, the data or a model is wrong; also a ``ValueError``,
            ``KeyError`` or ``FileNotFoundError``.
    """
    from rtmo_plugin.analysis.comparing import compare_evaluations
    from rtmo_plugin.config.embedded import find_checkpoint
    from rtmo_plugin.engine.evaluating import check_model_exists, run_evaluation
    from rtmo_plugin.engine.output_files import METRIC_FILES, prepare_file, write_metrics

    if compare_with is not None and (dump or show_dir):
        raise ConfigError(f"--{'dump' if dump else 'show-dir'} is for one model, and --compare has two.")
    if out is not None:
        prepare_file("--out", Path(out), METRIC_FILES)
    model, is_compared = find_checkpoint(config, model), compare_with is not None
    if compare_with is not None:
        check_model_exists(compare_with)
    found = run_evaluation(config, model, dump=dump, show_dir=show_dir, trust=trust, keep_people=is_compared, **options)
    if compare_with is not None:
        second = run_evaluation(config, compare_with, trust=trust, keep_people=True, **options)
        found = replace(found, comparison=compare_evaluations(found, second, (model, compare_with)))
    if out is not None:
        write_metrics(out, found.to_dict())
    return found


def predict(
    model: str | Path, source: Any, *, out: str | Path | None = None, batch_size: int = 1, **options: Any
) -> list[PoseResult]:
    """Detect the people in all images of a source; an image that cannot be used does not stop the others.

    Args:
        model: Exported file, checkpoint or published name, as ``Pose`` takes it.
        source: Any source of ``rtmo_plugin.media.sources`` that ends, such as an image, a folder or a list of them.
        out: Folder for images with the people drawn and for ``predictions.json``, see
            ``rtmo_plugin.pose.result_folder``. With it, the results do not keep the pixels of their images.
        batch_size: Number of images that are computed at once.
        **options: Options of ``Pose``, such as ``config``, ``score_thr`` and ``device``.

    Returns:
        One result for each image or frame, in order.

    Raises:
        UserError: The model, the source or an option is wrong, a file would replace an input, or no image could be
            used.
    """
    from rtmo_plugin.media.sources import expand_all
    from rtmo_plugin.pose.pose import Pose
    from rtmo_plugin.pose.result_folder import ResultFolder
    from rtmo_plugin.progress_bar import show_progress

    if out is not None:
        source = expand_all([source] if isinstance(source, (str, int, Path)) else source)
        folder = ResultFolder(out, source, inputs=[model])
    pose = Pose(model, **options)
    results = pose.stream(source, batch_size=batch_size)
    if out is not None:
        results = folder.write(results, pose.info.schema.names)
    found = list(show_progress(results, unit="image"))
    if found and all(result.error for result in found):
        raise DataError(f"No image of {source} could be used: {found[0].error}")
    return found


def export(
    config: str | Path | Config,
    checkpoint: str | Path,
    out: str | Path,
    *,
    format: str = "onnx",  # noqa: A002  (the word of the command line)
    calibration: str | Path | None = None,
    uncertainty_calibration: str | Path | None = None,
    annotations: str | Path | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> ExportResult:
    """Write a model as a file for other runtimes, and compare the file with PyTorch.

    Args:
        config: Path of a config file, name of a shipped config, checkpoint that carries its config, or a config.
        checkpoint: Path or URL of a checkpoint, or a name such as ``rtmo-s_body7``.
        out: File to write; a folder for ``web`` and ``coreml``.
        format: ``onnx``, ``openvino``, ``torchscript``, ``pt2``, ``ncnn``, ``web``, ``litert``, ``coreml``, ``aoti``,
            ``engine`` or ``executorch``.
        calibration: Score calibration that ``rtmo analyze`` wrote, to store in the file.
        uncertainty_calibration: Calibration of the keypoints' standard deviations that ``rtmo analyze`` wrote, to store
            in the file.
        annotations: Annotation file of the images in ``int8_images``, in COCO's format: measures the AP of the
            file in eight bits and in float32.
        cfg_options: Values to change in the config, by dotted key.
        **options: Options of ``ExportOptions`` as ``rtmo export`` takes them: ``size``, such as ``640x384``
            (default: that of the config's test pipeline); ``dynamic``: ``batch``, ``size``, ``batch,size`` or
            ``none``; ``int8_images``: a folder; ``ort_web``: the package onnxruntime-web; ``device``: that of
            ``aoti`` and ``engine``; and ``cut``, ``opset``, ``input``, ``half``, ``int8``, ``uncertainty``,
            ``score_thr``, ``nms_thr``, ``max_people``, ``top_k``.

    Returns:
        The file and its differences from PyTorch.

    Raises:
        UserError: An argument is wrong, or the file does not compute what PyTorch computes.
    """
    from rtmo_plugin.config.config_files import load_config, set_options
    from rtmo_plugin.engine.console import suppress_library_noise
    from rtmo_plugin.engine.loaded_model import load_model
    from rtmo_plugin.export.checks.accuracy import compare_accuracy
    from rtmo_plugin.export.exporting import (
        ExportResult,
        check_combination,
        check_is_rtmo,
        find_writer,
        make_model_info,
        read_calibrations,
        read_export_options,
    )
    from rtmo_plugin.media.image_files import make_folder

    path = Path(out)
    writer = find_writer(format, path)
    cfg = load_config(config)
    set_options(cfg, cfg_options)
    chosen = read_export_options(cfg, options)
    check_combination(
        format,
        path,
        chosen,
        opset=options.get("opset"),
        annotations=annotations,
        has_uncertainty_calibration=uncertainty_calibration is not None,
    )
    calibrations = read_calibrations(calibration, uncertainty_calibration)
    make_folder(path.parent, "The folder of --out,")
    with suppress_library_noise():
        loaded = load_model(cfg, checkpoint, device="cpu", check=check_is_rtmo)
        info = replace(make_model_info(loaded, chosen), **calibrations)
        given = (loaded.model, path, chosen, info)
        differences = writer.write(*given)
        accuracy = None if annotations is None else compare_accuracy(writer.write, *given, annotations)
    return ExportResult(path, info, differences, accuracy)


def publish(  # noqa: PLR0913  (what the command offers: every option has a default)
    model: str | Path,
    folder: str | Path,
    *,
    config: str | Path | Config | None = None,
    onnx: bool = False,
    half: bool = False,
    int8_images: str | Path | None = None,
    license: str | None = None,  # noqa: A002  (the word of model cards)
    overwrite: bool = False,
    cfg_options: Mapping[str, Any] | None = None,
) -> PublishedModel:
    """Write a checkpoint as a folder in the layout of the Hub; nothing is uploaded.

    Args:
        model: Checkpoint: path, URL or a name such as ``rtmo-s_body7``.
        folder: Folder to write. It appears when everything in it is written.
        config: Config of the checkpoint. Default: the one that it carries or is published with.
        onnx: Whether to write an ONNX model as well.
        half: Whether to write an ONNX model in float16 as well.
        int8_images: Folder of images, to write an ONNX model in eight bits as well. Default: none is written.
        license: License of the weights for the model card, such as ``apache-2.0``. Default: not stated.
        overwrite: Whether files of the same names in an existing folder are replaced; others stay.
        cfg_options: Values to change in the config, by dotted key.

    Raises:
        UserError: The model or an option is wrong, the folder is not empty, or a file cannot be written.
    """
    from rtmo_plugin.config.config_files import load_config, set_options
    from rtmo_plugin.config.embedded import find_checkpoint
    from rtmo_plugin.engine.console import suppress_library_noise
    from rtmo_plugin.engine.loaded_model import load_model
    from rtmo_plugin.export.exporting import check_is_rtmo, find_writer, read_export_options
    from rtmo_plugin.export.publishing import PublishedModel, fill_published_folder
    from rtmo_plugin.files import check_folder_is_free, create_folder
    from rtmo_plugin.hub.model_folder import ONNX_FILES

    target = Path(folder)
    check_folder_is_free(target, overwrite=overwrite)
    cfg = load_config(config or find_checkpoint(model, None))
    set_options(cfg, cfg_options)
    choices: list[dict[str, Any] | None] = [
        {} if onnx else None,
        {"half": True} if half else None,
        {"int8": True, "int8_images": int8_images} if int8_images else None,
    ]
    exports = {file: given for file, given in zip(ONNX_FILES, choices, strict=True) if given is not None}
    for file, given in exports.items():
        find_writer("onnx", target / file).check(read_export_options(cfg, given), target / file)
    with suppress_library_noise():
        loaded = load_model(cfg, model, device="cpu", check=check_is_rtmo)
    with create_folder(target, overwrite=overwrite) as draft:
        for file, given in exports.items():
            export(cfg, model, draft / file, **given)
        description = fill_published_folder(draft, loaded, name=target.resolve().name, license=license)
        files = tuple(sorted(str(each.relative_to(draft)) for each in draft.rglob("*") if each.is_file()))
    return PublishedModel(target, files, description)


def analyze(
    source: str | Path | Config,
    model: str | Path | None = None,
    *,
    out: str | Path,
    run: str | Path | None = None,
    calibration: str | Path | None = None,
    uncertainty_calibration: str | Path | None = None,
    num_worst: int = 20,
    **options: Any,
) -> Report:
    """Write an HTML page about the errors of a model.

    Args:
        source: Config (file, shipped name or object); or result file in COCO's format (.json), with the option
            ``annotations``.
        model: Checkpoint, exported file, or result file of the config's test data.
        out: Page to write (.html), which needs no other file.
        run: Work dir of a training, for its curves. Default: the folder of the checkpoint, if it is one.
        calibration: File to write a score calibration to (.json). Default: none is written.
        uncertainty_calibration: File to write a calibration of the keypoints' standard deviations to (.json). The model
            must return them: a checkpoint, or a file that was exported with them. Default: they are not measured.
        num_worst: Largest number of images to show.
        **options: Further options. With a config: those of ``prepare_config``, and ``trust`` for an exported file. For
            a result file without one: ``annotations``, ``images`` and ``keypoints``, see ``evaluate_results_file``.

    Returns:
        The numbers that the page shows.

    Raises:
        UserError: Something in the arguments, the config, the data or the model is wrong.
    """
    from rtmo_plugin.analysis.analysis_input import evaluate_source
    from rtmo_plugin.analysis.measures import analyze_comparison
    from rtmo_plugin.analysis.page import render_page
    from rtmo_plugin.analysis.training_plots import find_training_plots
    from rtmo_plugin.analysis.worst_images import draw_worst_images
    from rtmo_plugin.engine.output_files import prepare_file
    from rtmo_plugin.files import write_file
    from rtmo_plugin.number_ranges import NUMBER

    NUMBER.check("num_worst", num_worst)
    prepare_file("--out", Path(out), (".html",))
    if calibration is not None:
        prepare_file("--calibration", Path(calibration), (".json",))
    if uncertainty_calibration is not None:
        prepare_file("--uncertainty-calibration", Path(uncertainty_calibration), (".json",))
    data = evaluate_source(source, model, uncertainty=None if uncertainty_calibration is None else True, **options)
    report = analyze_comparison(data.comparison, data.schema)
    training = find_training_plots(run, source, model)
    worst = draw_worst_images(data, report.study, num_worst)
    write_file(out, render_page(data, report, worst, training))
    if calibration is not None:
        write_file(calibration, report.calibration.calibration.to_json() + "\n")
    if uncertainty_calibration is not None:
        if report.uncertainty is None:
            raise DataError("The uncertainty cannot be calibrated: the model found no people.")
        write_file(uncertainty_calibration, report.uncertainty.calibration.to_json() + "\n")
    return report
