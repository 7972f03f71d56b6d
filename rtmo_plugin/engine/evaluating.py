"""Evaluation of a model on the test data of a config: a checkpoint, an exported file, or a file with its results."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, METRICS

from rtmo_plugin.checkpoints.fit import check_fits
from rtmo_plugin.checkpoints.model_names import ModelKind, find_kind_of_model
from rtmo_plugin.checkpoints.name_checks import (
    check_checkpoint_names,
    check_data_names,
    check_model_names,
    has_converter,
)
from rtmo_plugin.checkpoints.reading import check_checkpoint_exists, locate_checkpoint, read_checkpoint
from rtmo_plugin.checkpoints.zoo import CATALOGUE, is_url
from rtmo_plugin.config.data_paths import check_data, check_images
from rtmo_plugin.config.edits import Edit, prepare_config, require_sections
from rtmo_plugin.engine.console import SHOWN_BY_TABLE, suppress_library_noise
from rtmo_plugin.engine.evaluation_result import EvaluatedPeople, Evaluation, Speed
from rtmo_plugin.engine.hooks.prediction_plots import PictureHook
from rtmo_plugin.engine.output_files import DUMP_FILES, prepare_file
from rtmo_plugin.engine.predicted_samples import Sample, add_truth, complete_results, predict_infos
from rtmo_plugin.engine.runner import QuietRunner, build_runner, get_model
from rtmo_plugin.errors import ConfigError, MissingFileError, refuse_config_errors
from rtmo_plugin.evaluation import CocoMetric
from rtmo_plugin.evaluation.results_file import read_results
from rtmo_plugin.files import check_outputs

_REPLACED = {
    f"{scope}{name}": f"rtmo_plugin.{name}"
    for scope in ("", "mmpose.")
    for name in ("CocoMetric", "CocoWholeBodyMetric")
}
_AS_WRITTEN = {"score_mode": "bbox", "nms_mode": "none"}  # for results that were rescored and filtered already


def run_evaluation(
    config: str | Path | Config,
    model: str | Path,
    *,
    dump: str | Path | None = None,
    show_dir: str | Path | None = None,
    trust: bool | None = None,
    keep_people: bool = False,
    uncertainty: bool = False,
    **options: Any,
) -> Evaluation:
    """Evaluate one model; see ``rtmo_plugin.api.evaluate``.

    Args:
        config: Path of a config file, or a config.
        model: Checkpoint, exported file, or result file in COCO's format (.json).
        dump: File for the predictions of a checkpoint (.pkl).
        show_dir: Folder for images with the predictions of a checkpoint drawn.
        trust: Whether code in a .pt, .pt2 or .engine file may run that was not exported here.
        keep_people: Whether to return people and detections, which takes one process and a ``CocoMetric``.
        uncertainty: Whether these detections have the standard deviations of their keypoints.
        **options: Options of ``prepare_config``.

    Raises:
        UserError: Something in the arguments, the config, the data or the model is wrong.
    """
    kind = find_kind_of_model(model)
    is_file = kind in (ModelKind.EXPORTED, ModelKind.RESULTS)
    for name, given in (("dump", dump), ("show-dir", show_dir)):
        if is_file and given:
            raise ConfigError(f"--{name} is for checkpoints, and {model} is not one.")
    if dump is not None:
        prepare_file("--dump", Path(dump), DUMP_FILES)
    if show_dir:
        check_outputs([Path(show_dir, "0.jpg")])
    check_model_exists(model)
    names = ("test_dataloader", "test_evaluator", "test_cfg")
    edits: list[Edit] = [partial(require_sections, names=names), *([use_own_metric] if is_file or keep_people else [])]
    cfg = prepare_config(config, [*edits, *([return_uncertainty] if uncertainty else [])], **options)
    if kind is ModelKind.RESULTS:
        if uncertainty:
            raise ConfigError(f"{model} is a result file, which has no uncertainty of keypoints.")
        return _evaluate_results(cfg, Path(model))
    check_data(cfg, ("test",))
    if kind is ModelKind.EXPORTED:
        return _evaluate_exported(cfg, model, trust=bool(trust), uncertainty=uncertainty)
    return _evaluate_checkpoint(cfg, locate_checkpoint(model), dump, show_dir, keep_people=keep_people)


def check_model_exists(model: str | Path) -> None:
    """Check that a model is a file, an address or a published name, without a download.

    Args:
        model: Checkpoint, exported file, or result file.

    Raises:
        UserError: It is none of them.
    """
    kind = find_kind_of_model(model)
    if kind not in (ModelKind.EXPORTED, ModelKind.RESULTS):
        check_checkpoint_exists(model)
    elif not (Path(model).expanduser().is_file() or str(model) in CATALOGUE or is_url(str(model))):
        raise MissingFileError(
            f"The {'model' if kind is ModelKind.EXPORTED else 'result'} file {model} does not exist."
        )


def use_own_metric(cfg: Config) -> None:
    """Replace MMPose's metrics of COCO and COCO-WholeBody by ours: the same numbers, and the people are kept.

    Raises:
        ConfigError: The run has several processes, or no ``CocoMetric``.
    """
    cfg.test_evaluator = [
        {**each, "type": _REPLACED.get(str(each.get("type")), each.get("type"))} for each in _list_evaluators(cfg)
    ]
    if cfg.get("launcher", "none") != "none":
        raise ConfigError("A comparison and an analysis run in one process: leave --launcher out.")


def return_uncertainty(cfg: Config) -> None:
    """Make the model of a config return the standard deviations of its keypoints."""
    require_sections(cfg, ("model",))
    cfg.model.test_cfg = {**(cfg.model.get("test_cfg") or {}), "uncertainty": True}


def _evaluate_checkpoint(
    cfg: Config, path: Path, dump: str | Path | None, show_dir: str | Path | None, *, keep_people: bool
) -> Evaluation:
    with suppress_library_noise(*SHOWN_BY_TABLE):
        runner = build_test_runner(cfg, path, dump)
        metric = _find_metric(runner.test_evaluator.metrics) if keep_people else None
        if show_dir:
            runner.register_hook(PictureHook(show_dir))
        metrics: dict[str, float] = runner.test()
    people = _collect_people(metric, _list_infos(runner.test_loop.dataloader.dataset)) if metric else None
    times, speed = runner.message_hub.log_scalars.get("test/time"), None
    if times is not None:  # from data to people
        seconds, size = times.data[0], runner.test_dataloader.batch_size or 1
        how = f"median; loading, network and decoding in batches of {size}, PyTorch on {get_device()}"
        speed = Speed(1000 * float(np.median(seconds)) / size, how)
    return Evaluation(metrics, speed=speed, people=people)


def build_test_runner(cfg: Config, path: Path, dump: str | Path | None = None) -> QuietRunner:
    """Build the runner of a test, so that mistakes show before the first image.

    Args:
        cfg: Config with test data; its start is set in place.
        path: Checkpoint.
        dump: File for the predictions (.pkl).

    Raises:
        UserError: Something cannot be built, or the checkpoint does not belong to the config.
    """
    content = read_checkpoint(path)
    cfg.load_from, cfg.resume = str(path), False
    evaluators = cfg.test_evaluator
    if dump:
        cfg.test_evaluator = [*_list_evaluators(cfg), dict(type="DumpResults", out_file_path=str(dump))]
    runner = build_runner(cfg)
    check_fits(get_model(runner), content, path)
    with refuse_config_errors():
        dataset = runner.test_loop.dataloader.dataset
        check_images(dataset)
        check_data_names(dataset, evaluators)
    check_checkpoint_names(content, path, dataset.metainfo)
    check_model_names(get_model(runner), dataset.metainfo, "test_dataloader", evaluators)
    return runner


def _evaluate_results(cfg: Config, path: Path) -> Evaluation:
    """Evaluate a result file, whose scores are those that ``score_mode`` and ``nms_mode`` left, with neither again."""
    samples = read_results(path)
    evaluators = [
        {**each, **_AS_WRITTEN} if str(each.get("type")).startswith("rtmo_plugin.") else each
        for each in _list_evaluators(cfg)
    ]
    dataset, metric = _build_data(cfg, evaluators)
    infos = _list_infos(dataset)
    complete = complete_results(samples, infos, len(dataset.metainfo["sigmas"]), path)
    return _evaluate_samples(metric, complete, infos, None)


def _evaluate_exported(cfg: Config, model: str | Path, *, trust: bool, uncertainty: bool) -> Evaluation:
    dataset, metric = _build_data(cfg, _list_evaluators(cfg))
    infos = _list_infos(dataset)
    metainfo = None if has_converter(cfg.test_evaluator) else dataset.metainfo
    samples, speed = predict_infos(model, infos, metainfo=metainfo, trust=trust, uncertainty=uncertainty)
    return _evaluate_samples(metric, [add_truth(sample, info) for sample, info in zip(samples, infos)], infos, speed)


def _evaluate_samples(
    metric: CocoMetric, samples: list[Sample], infos: list[Sample], speed: Speed | None
) -> Evaluation:
    for sample in samples:
        metric.process(None, [sample])
    metrics = metric.evaluate(len(infos))
    return Evaluation(metrics, speed=speed, people=_collect_people(metric, infos))


def _build_data(cfg: Config, evaluators: list[dict[str, Any]]) -> tuple[Any, CocoMetric]:
    """Build the test data and the metric of a config, and nothing else."""
    init_default_scope(cfg.get("default_scope", "mmpose"))
    with suppress_library_noise(), refuse_config_errors():
        dataset = DATASETS.build(cfg.test_dataloader.dataset)
        check_data_names(dataset, evaluators)
        metric = _find_metric([METRICS.build(evaluator) for evaluator in evaluators])
    metric.dataset_meta = dataset.metainfo
    return dataset, metric


def _find_metric(metrics: list[Any]) -> CocoMetric:
    found = [metric for metric in metrics if isinstance(metric, CocoMetric)]
    if not found:
        raise ConfigError("This config's test_evaluator has no CocoMetric, which a comparison and an analysis need.")
    return found[0]


def _collect_people(metric: CocoMetric, infos: list[Sample]) -> EvaluatedPeople:
    assert metric.comparison is not None  # it has evaluated
    return EvaluatedPeople(metric.comparison, metric.dataset_meta, {each["img_id"]: each["img_path"] for each in infos})


def _list_evaluators(cfg: Config) -> list[dict[str, Any]]:
    found = cfg.test_evaluator
    return [dict(each) for each in (found if isinstance(found, (list, tuple)) else [found])]


def _list_infos(dataset: Any) -> list[Sample]:
    return [dataset.get_data_info(index) for index in range(len(dataset))]
