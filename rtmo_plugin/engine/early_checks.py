"""Names in a config that a training would refuse late, checked before data are read or weights are downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from mmengine.config import Config
from mmengine.registry import OPTIMIZERS, init_default_scope
from mmpose.registry import MODELS

from rtmo_plugin.checkpoints.reading import check_checkpoint_exists
from rtmo_plugin.config.config_files import load_config
from rtmo_plugin.config.sections import walk_sections
from rtmo_plugin.data.transforms.image_cache import choose_cache_folder
from rtmo_plugin.engine.console import suppress_library_noise
from rtmo_plugin.engine.hooks.freezing import find_frozen_parts, freeze_parts
from rtmo_plugin.errors import ConfigError, refuse_config_errors
from rtmo_plugin.evaluation.coco_metric import CocoMetric
from rtmo_plugin.registry import METRICS

_DISTILLATION_HOOK = "rtmo_plugin.DistillationHook"


def check_named_parts(cfg: Config) -> None:
    """Check the optimizer, the metric of the best checkpoint, the image cache, the teacher and the frozen parts.

    Args:
        cfg: Config that ``prepare_config`` returned.

    Raises:
        UserError: The optimizer or the metric is unknown, the memory has no room for the cache, the files of the
            teacher are missing, the model has no such part, or nothing is left to train.
    """
    check_optimizer(cfg)
    _check_best_metrics(cfg)
    for size in {part["cache_bytes"] for part in walk_sections(cfg.train_dataloader) if part.get("cache_bytes")}:
        choose_cache_folder(size)
    for hook in cfg.get("custom_hooks") or ():
        if isinstance(hook, Mapping) and hook.get("type") == _DISTILLATION_HOOK:
            check_teacher(hook)
    if names := find_frozen_parts(cfg):
        init_default_scope(cfg.get("default_scope", "mmpose"))
        with suppress_library_noise(), refuse_config_errors():
            freeze_parts(MODELS.build(cfg.model), names)


def check_metric_name(cfg: Config, name: str, option: str) -> None:
    """Check that the validation of a config can give a metric, if all its metrics are ours.

    Args:
        cfg: Config.
        name: Name of the metric.
        option: Option that names it, for the message.

    Raises:
        ConfigError: It cannot, or the metrics' options are wrong.
    """
    sections = cfg.get("val_evaluator") or ()
    sections = [sections] if isinstance(sections, Mapping) else sections
    if not sections or not all(_names_our_metric(each) for each in sections):
        return
    with refuse_config_errors():
        metrics = [METRICS.build({**each, "ann_file": None}) for each in sections]
    names = [known for each in metrics for known in each.list_names()]
    is_of_class = any(each.class_wise for each in metrics) and name.partition(" of ")[0] in names
    if name not in names and not is_of_class:
        raise ConfigError(f"{option} {name}: the validation has no such metric: choose one of {', '.join(names)}.")


def _names_our_metric(section: Mapping[str, Any]) -> bool:
    kind = section.get("type")
    if isinstance(kind, str):
        kind = METRICS.get(kind) if kind.startswith(f"{METRICS.scope}.") else None
    return isinstance(kind, type) and issubclass(kind, CocoMetric)


def _check_best_metrics(cfg: Config) -> None:
    """Check the metrics by which the best checkpoints are kept."""
    wanted = ((cfg.get("default_hooks") or {}).get("checkpoint") or {}).get("save_best")
    names = [wanted] if isinstance(wanted, str) else wanted if isinstance(wanted, list) else []
    for name in names:
        if name != "auto" and cfg.get("val_dataloader"):
            check_metric_name(cfg, name, "default_hooks.checkpoint.save_best:")


def check_optimizer(cfg: Config) -> None:
    """Check that the optimizer of a config is known, for MMEngine would call None.

    Raises:
        ConfigError: It is not.
    """
    name = ((cfg.get("optim_wrapper") or {}).get("optimizer") or {}).get("type")
    if isinstance(name, str) and OPTIMIZERS.get(name) is None:
        near = get_close_matches(name, OPTIMIZERS.module_dict, n=3)
        hint = f"; the nearest: {', '.join(near)}" if near else ""
        raise ConfigError(f"optim_wrapper.optimizer.type={name!r}: the optimizer is unknown{hint}.")


def check_teacher(hook: Mapping[str, Any]) -> None:
    """Check that the config and the checkpoint of a ``DistillationHook`` exist, without a download.

    Raises:
        UserError: One is missing.
    """
    load_config(hook["config"])
    check_checkpoint_exists(hook["checkpoint"])
