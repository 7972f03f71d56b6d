"""Evaluate a model on the test data of a config: a checkpoint, an exported file, or a file with its results."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mmengine
import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, METRICS

from rtmo_plugin.checkpoints.model_names import ModelKind, find_kind_of_model
from rtmo_plugin.checkpoints.name_checks import check_data_names, has_converter
from rtmo_plugin.checkpoints.reading import locate_checkpoint
from rtmo_plugin.config.data_paths import check_data
from rtmo_plugin.engine.console import SHOWN_BY_TABLE, suppress_library_noise
from rtmo_plugin.engine.exported import Metrics, Sample, Speed, predict_infos
from rtmo_plugin.engine.testing import (
    METRIC_FILES,
    build_test_runner,
    evaluate,
    find_speed,
    prepare_file,
    prepare_test,
)
from rtmo_plugin.errors import ConfigError, DataError, refuse_config_errors
from rtmo_plugin.evaluation import CocoMetric
from rtmo_plugin.evaluation.records import Comparison
from rtmo_plugin.evaluation.results_file import read_results

RESULTS_SUFFIX = ".json"
_OF_DATA_SET = ("id", "img_id", "raw_ann_info", "crowd_index")
_THEIRS, _OURS = ("CocoMetric", "mmpose.CocoMetric"), "rtmo_plugin.CocoMetric"


@dataclass(frozen=True)
class Evaluated:
    """Metrics of one model, and the people and detections that were compared."""

    metrics: Metrics
    comparison: Comparison
    metainfo: Mapping[str, Any]  # of the data set
    image_paths: Mapping[Hashable, str]  # by image id


def evaluate_source(
    config: str | Path | Config, source: str | Path, *, trust: bool | None = None, **options: Any
) -> Evaluated:
    """Evaluate a checkpoint, an exported file, or a result file of the config's test data.

    Args:
        config: Path of a config file, or a config.
        source: A checkpoint as ``evaluate`` takes it, an exported file (.onnx), or a result file in
            COCO's format (.json).
        trust: Whether code in a .pt or .pt2 file may run that was not exported here.
        **options: See ``prepare_config``.

    Raises:
        UserError: Something in the arguments, the config, the data or the source is wrong.
    """
    cfg = copy.deepcopy(prepare_test(config, **options))
    # Our metric has the numbers of MMPose's, and keeps the people and detections that it compared.
    cfg.test_evaluator = [
        {**each, "type": _OURS} if each.get("type") in _THEIRS else each for each in _list_evaluators(cfg)
    ]
    if cfg.get("launcher", "none") != "none":
        raise ConfigError("A comparison and an analysis run in one process: leave --launcher out.")
    kind = find_kind_of_model(source)
    if kind is ModelKind.RESULTS:
        return _evaluate_results(cfg, Path(source))
    check_data(cfg, ("test",))
    if kind is ModelKind.EXPORTED:
        return _evaluate_exported(cfg, source, trust=bool(trust))
    path = locate_checkpoint(source)
    with suppress_library_noise(*SHOWN_BY_TABLE):
        runner = build_test_runner(cfg, path)
        metrics = runner.test()
    metric = _find_metric(runner.test_evaluator.metrics)
    infos = _list_infos(runner.test_loop.dataloader.dataset)
    assert metric.comparison is not None
    measured = Metrics(metrics, find_speed(runner))
    return Evaluated(measured, metric.comparison, metric.dataset_meta, _find_paths(infos))


def measure_model(
    config: str | Path | Config, model: str | Path, *, out: str | Path | None = None, **options: Any
) -> Metrics:
    """Evaluate a model in whatever form it is, see ``evaluate_source``; a checkpoint by ``evaluate`` with its options.

    Args:
        config: Path of a config file, or a config.
        model: A checkpoint, an exported file (.onnx) or a result file (.json).
        out: File for the metrics (.json, .yaml or .pkl).
        **options: Options of ``evaluate``; ``dump`` and ``show_dir`` for checkpoints only, and ``trust`` for exported
            files (see ``evaluate_source``).

    Raises:
        UserError: Something in the arguments, the config, the data or the model is wrong.
    """
    if find_kind_of_model(model) not in (ModelKind.EXPORTED, ModelKind.RESULTS):
        options.pop("trust", None)  # nothing in a checkpoint runs
        return evaluate(config, model, out=out, **options)
    given = [name for name in ("dump", "show_dir") if options.pop(name, None)]
    if given:
        raise ConfigError(f"--{given[0].replace('_', '-')} is for checkpoints, and {model} is not one.")
    if out is not None:
        prepare_file("--out", Path(out), METRIC_FILES)
    metrics = evaluate_source(config, model, **options).metrics
    if out is not None:
        mmengine.dump(dict(metrics), str(out))
    return metrics


def _find_metric(metrics: list[Any]) -> CocoMetric:
    found = [metric for metric in metrics if isinstance(metric, CocoMetric)]
    if not found:
        raise ConfigError("This config's test_evaluator has no CocoMetric, which a comparison and an analysis need.")
    return found[0]


def _evaluate_results(cfg: Config, path: Path) -> Evaluated:
    """Evaluate a result file, whose scores are those that ``score_mode`` and ``nms_mode`` left, with neither again."""
    samples = read_results(path)
    as_they_are = {"score_mode": "bbox", "nms_mode": "none"}
    dataset, metric = _build_data(
        cfg,
        [
            {**each, **as_they_are} if str(each.get("type")).startswith("rtmo_plugin.") else each
            for each in _list_evaluators(cfg)
        ],
    )
    infos = _list_infos(dataset)
    complete = _complete(samples, infos, len(dataset.metainfo["sigmas"]), path)
    return _evaluate_samples(metric, dataset, complete, infos, None)


def _evaluate_exported(cfg: Config, model: str | Path, *, trust: bool) -> Evaluated:
    dataset, metric = _build_data(cfg, _list_evaluators(cfg))
    infos = _list_infos(dataset)
    metainfo = None if has_converter(cfg.test_evaluator) else dataset.metainfo
    samples, speed = predict_infos(model, infos, metainfo=metainfo, trust=trust)
    complete = [_add_truth(sample, info) for sample, info in zip(samples, infos)]
    return _evaluate_samples(metric, dataset, complete, infos, speed)


def _build_data(cfg: Config, evaluators: list[dict[str, Any]]) -> tuple[Any, CocoMetric]:
    """Build the test data and the metric of a config, and nothing else."""
    init_default_scope(cfg.get("default_scope", "mmpose"))
    with suppress_library_noise(), refuse_config_errors():
        dataset = DATASETS.build(cfg.test_dataloader.dataset)
        check_data_names(dataset, evaluators)
        metric = _find_metric([METRICS.build(evaluator) for evaluator in evaluators])
    metric.dataset_meta = dataset.metainfo
    return dataset, metric


def _evaluate_samples(
    metric: CocoMetric, dataset: Any, samples: list[Sample], infos: list[Sample], speed: Speed | None
) -> Evaluated:
    for sample in samples:
        metric.process(None, [sample])
    metrics = metric.evaluate(len(infos))
    assert metric.comparison is not None
    return Evaluated(Metrics(metrics, speed), metric.comparison, dataset.metainfo, _find_paths(infos))


def _list_evaluators(cfg: Config) -> list[dict[str, Any]]:
    found = cfg.test_evaluator
    return [dict(each) for each in (found if isinstance(found, (list, tuple)) else [found])]


def _list_infos(dataset: Any) -> list[dict[str, Any]]:
    return [dataset.get_data_info(index) for index in range(len(dataset))]


def _find_paths(infos: list[dict[str, Any]]) -> dict[Hashable, str]:
    return {info["img_id"]: info["img_path"] for info in infos}


def _complete(samples: list[Sample], infos: list[Sample], num_keypoints: int, path: Path) -> list[Sample]:
    """Return one sample for each image of a data set, with its annotations, in the order of the data set.

    Raises:
        DataError: There are detections in another image.
    """
    by_image = {sample["img_id"]: sample for sample in samples}
    unknown = by_image.keys() - {info["img_id"] for info in infos}
    if unknown:
        first = min(unknown, key=str)  # ids may be numbers and text
        raise DataError(
            f"The result file {path} has detections in image {first}, which the config's test data do not have "
            f"({len(unknown)} such ids)."
        )
    no_people = {
        "keypoints": np.zeros((0, num_keypoints, 2)),
        "keypoint_scores": np.zeros((0, num_keypoints)),
        "bbox_scores": np.zeros(0),
    }
    empty: Sample = {"pred_instances": no_people, "gt_instances": {}}
    return [_add_truth(by_image.get(info["img_id"], empty), info) for info in infos]


def _add_truth(sample: Sample, info: Sample) -> Sample:
    """Return a sample with what a metric without an annotation file takes from the data set."""
    return {**sample, **{name: info[name] for name in _OF_DATA_SET if name in info}}
