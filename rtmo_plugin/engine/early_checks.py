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
from rtmo_plugin.engine.hooks.freezing import check_parts, find_frozen_parts
from rtmo_plugin.errors import ConfigError, refuse_config_errors

_DISTILLATION_HOOK = "rtmo_plugin.DistillationHook"


def check_named_parts(cfg: Config) -> None:
    """Check the optimizer, the image cache, the teacher and the frozen parts of a training.

    Args:
        cfg: Config that ``prepare_config`` returned.

    Raises:
        UserError: The optimizer is unknown, the memory has no room for the cache, the files of the teacher are missing,
            or the model has no such part.
    """
    check_optimizer(cfg)
    for size in {part["cache_bytes"] for part in walk_sections(cfg.train_dataloader) if part.get("cache_bytes")}:
        choose_cache_folder(size)
    for hook in cfg.get("custom_hooks") or ():
        if isinstance(hook, Mapping) and hook.get("type") == _DISTILLATION_HOOK:
            check_teacher(hook)
    if names := find_frozen_parts(cfg):
        init_default_scope(cfg.get("default_scope", "mmpose"))
        with suppress_library_noise(), refuse_config_errors():
            check_parts(MODELS.build(cfg.model), names)


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
