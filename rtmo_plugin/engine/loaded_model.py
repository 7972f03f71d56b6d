"""The model of a config with the weights of a checkpoint: loaded here for prediction, export and studies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, MODELS
from torch import nn

from rtmo_plugin.checkpoints.fit import load_weights
from rtmo_plugin.checkpoints.name_checks import check_model_names
from rtmo_plugin.checkpoints.reading import find_training_ap, locate_checkpoint, read_checkpoint
from rtmo_plugin.config.config_files import load_config, set_options
from rtmo_plugin.config.custom_data import fill_keypoints_from_data
from rtmo_plugin.engine.console import suppress_library_noise
from rtmo_plugin.errors import ConfigError, refuse_config_errors


@dataclass(frozen=True)
class LoadedModel:
    """A trained model in evaluation mode.

    Attributes:
        model: Model with the weights of the checkpoint, on its device.
        cfg: Config of the model; keypoints that it leaves to its annotation file are filled in.
        metainfo: MMPose's metainfo of the test data; empty if the config has none.
        classes: Class names by label: those of the test data, or ``person`` or numbers where they have none.
        training_ap: AP of the last validation before the checkpoint was written, or the published AP of a published
            name; None if neither is known.
    """

    model: Any
    cfg: Config
    metainfo: Mapping[str, Any]
    classes: tuple[str, ...]
    training_ap: float | None


def load_model(
    config: str | Path | Config,
    checkpoint: str | Path,
    *,
    device: str | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    check: Callable[[nn.Module, Config], None] | None = None,
) -> LoadedModel:
    """Build the model of a config and load the weights of a checkpoint, every one and no other.

    Args:
        config: Path of a config file, name of a shipped config, checkpoint that carries its config, or a config.
        checkpoint: Path or URL of a checkpoint, or a name such as ``rtmo-s_body7``.
        device: Device in torch's notation. Default: a GPU if there is one.
        cfg_options: Values to change in the config, by dotted key.
        check: Function that refuses a model before the checkpoint is compared with it.

    Raises:
        MissingFileError: The config or the checkpoint does not exist.
        ConfigError: The config cannot be read or built, an option is wrong, its test data have other keypoints than
            its model, or the device cannot be used.
        CheckpointError: The checkpoint cannot be read, or has other sizes, keypoints or classes than the model.
        NonFiniteError: A weight is NaN or infinite.
    """
    cfg = load_config(config)
    set_options(cfg, cfg_options)
    place = choose_device(device)
    fill_keypoints_from_data(cfg)
    path = locate_checkpoint(checkpoint)
    content = read_checkpoint(path)
    init_default_scope(cfg.get("default_scope", "mmpose"))
    with suppress_library_noise(), refuse_config_errors():
        dataset = (cfg.get("test_dataloader") or {}).get("dataset")
        metainfo = DATASETS.build({**dataset, "lazy_init": True}).metainfo if dataset else {}
        model = MODELS.build(cfg.model)
    if check is not None:
        check(model, cfg)
    check_model_names(model, metainfo, "test_dataloader", cfg.get("test_evaluator"))
    classes = list_class_names(metainfo, getattr(getattr(model, "head", None), "num_classes", 1))
    load_weights(model, content, path, {"classes": classes, **metainfo})
    return LoadedModel(model.to(place).eval(), cfg, metainfo, classes, find_training_ap(content, str(checkpoint)))


def choose_device(device: str | None) -> torch.device:
    """Return a device that can be used.

    Args:
        device: Device in torch's notation. Default: a GPU if there is one.

    Raises:
        ConfigError: The device does not exist, or torch was built without it.
    """
    try:
        chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:  # torch built without CUDA asserts
        raise ConfigError(f"--device {device} cannot be used here: {str(error).splitlines()[0]}") from error
    return chosen


def list_class_names(metainfo: Mapping[str, Any], num_classes: int) -> tuple[str, ...]:
    """Return the class names of a metainfo; ``person`` or numbers where it does not name that many."""
    classes = tuple(metainfo.get("classes") or ())
    if len(classes) == num_classes:
        return classes
    return ("person",) if num_classes == 1 else tuple(f"class {index}" for index in range(num_classes))
