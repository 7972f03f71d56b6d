"""What the commands call and programs may: train, evaluate, predict, export, publish and analyze."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, overload

import mmengine
from mmengine.config import Config

from rtmo_plugin.analysis import analyze
from rtmo_plugin.analysis.comparing import compare_evaluations
from rtmo_plugin.config.edits import list_training_edits, prepare_config
from rtmo_plugin.config.embedded import carries_config, find_checkpoint
from rtmo_plugin.engine.evaluating import run_evaluation
from rtmo_plugin.engine.evaluation_result import Evaluation
from rtmo_plugin.engine.largest_batch import find_batch_size
from rtmo_plugin.engine.output_files import METRIC_FILES, prepare_file
from rtmo_plugin.engine.train_result import TrainResult
from rtmo_plugin.engine.training import run_training
from rtmo_plugin.errors import ConfigError, DataError
from rtmo_plugin.export.exporting import ExportResult, export
from rtmo_plugin.export.publishing import PublishedModel, publish
from rtmo_plugin.files import check_outputs
from rtmo_plugin.media.sources import expand_all
from rtmo_plugin.number_ranges import BATCH_SIZE_OR_AUTO, GIGABYTES
from rtmo_plugin.pose.pose import Pose
from rtmo_plugin.pose.result_folder import ResultFolder
from rtmo_plugin.pose.results import PoseResult
from rtmo_plugin.progress_bar import show_progress
from rtmo_plugin.speed.dry_run import DryRun, dry_run_training

__all__ = [
    "DryRun",
    "Evaluation",
    "ExportResult",
    "PublishedModel",
    "TrainResult",
    "analyze",
    "evaluate",
    "export",
    "predict",
    "publish",
    "train",
]


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
    graphs: bool = False,
    auto_scale_lr: bool = False,
    validate: bool = True,
    patience: int | None = None,
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
        graphs: Whether to run the network as CUDA graphs, see ``GraphsHook``.
        auto_scale_lr: Whether to scale the learning rate to the actual batch size.
        validate: Whether to evaluate during training, as often as the config says.
        patience: Number of validations without a higher AP after which training ends. Default: it never ends early.
        from_scratch: Whether to start from random weights, without the pretrained backbone.
        show_dir: Folder for plots of the predictions during validation.
        cache_gb: Memory for decoded training images, in gigabytes (10**9 bytes), of this process and its workers.
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
    if carries_config(config):
        raise ConfigError(f"{config} is a checkpoint: name a config, and the checkpoint after --resume or --load-from.")
    GIGABYTES.check("cache_gb", cache_gb)
    network = {"amp": amp, "compiled": compiled, "graphs": graphs}
    edits = list_training_edits(
        validate=validate, patience=patience, cache_gb=cache_gb, auto_scale_lr=auto_scale_lr, **network
    )
    if load_from and transfer_from:
        raise ConfigError("--load-from and --transfer-from name two checkpoints: start from one of them.")
    if batch_size is not None:
        BATCH_SIZE_OR_AUTO.check("batch_size", batch_size)
    if isinstance(batch_size, str):
        batch_size = find_batch_size(
            prepare_config(config, edits, **{**options, "total_batch": None}), options.get("total_batch")
        )
    cfg = prepare_config(config, edits, batch_size=batch_size, **options)
    if show_dir:
        check_outputs([Path(show_dir, "0.jpg")])
    start: dict[str, Any] = {
        "resume": resume,
        "load_from": load_from,
        "transfer_from": transfer_from,
        "from_scratch": from_scratch,
        "overwrite": overwrite,
    }
    return dry_run_training(cfg, **start) if dry_run else run_training(cfg, **start, show_dir=show_dir)


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
        trust: Whether code in a .pt or .pt2 file may run that was not exported here.
        **options: ``work_dir``, ``data_root``, ``launcher``, ``seed`` and ``cfg_options``, see ``prepare_config``.

    Returns:
        The metrics by name, such as ``coco/AP``; the comparison with the second model; and the time per image in
        milliseconds. It can be used as the mapping of the metrics.

    Raises:
        UserError: Something in the arguments, the config, the data or a model is wrong; also a ``ValueError``,
            ``KeyError`` or ``FileNotFoundError``.
    """
    if compare_with is not None and (dump or show_dir):
        raise ConfigError(f"--{'dump' if dump else 'show-dir'} is for one model, and --compare has two.")
    if out is not None:
        prepare_file("--out", Path(out), METRIC_FILES)
    model, is_compared = find_checkpoint(config, model), compare_with is not None
    found = run_evaluation(config, model, dump=dump, show_dir=show_dir, trust=trust, keep_people=is_compared, **options)
    if compare_with is not None:
        second = run_evaluation(config, compare_with, trust=trust, keep_people=True, **options)
        found = replace(found, comparison=compare_evaluations(found, second, (model, compare_with)))
    if out is not None:
        mmengine.dump(found.to_dict(), str(out))
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
