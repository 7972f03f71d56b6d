"""Descriptions of configs and checkpoints for ``rtmo info``: nothing is built, and no data are needed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rtmo_plugin.checkpoints.reading import check_resumable, locate_checkpoint, read_checkpoint
from rtmo_plugin.checkpoints.zoo import CATALOGUE
from rtmo_plugin.config.config_files import load_config
from rtmo_plugin.config.sections import walk_sections
from rtmo_plugin.config.static import COMPUTED, read_static_config
from rtmo_plugin.errors import CheckpointError, ConfigError
from rtmo_plugin.keypoints.metainfo import read_names
from rtmo_plugin.shipped_configs import FOLDER, locate_config

_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


def describe_config(config: str | Path) -> dict[str, Any]:
    """Return a description of a config, as plain values by name.

    A shipped config is read as it is.  Code in any other is not run: a value that it computes is ``"computed"``.

    Args:
        config: File, or name of a shipped config.

    Raises:
        MissingFileError: The file or name does not exist.
        ConfigError: It cannot be read.
    """
    path = locate_config(config)
    is_shipped = path.resolve().is_relative_to(FOLDER.resolve())
    cfg: Mapping[str, Any] = load_config(path)._cfg_dict if is_shipped else read_static_config(path)
    model = _take_dict(cfg, "model")
    if not model and cfg.get("model") != COMPUTED:
        raise ConfigError(f"{path} describes no model: pass one of the files in configs/.")
    head, loader = _take_dict(model, "head"), _take_dict(cfg, "train_dataloader")
    published = CATALOGUE.get(path.stem) if is_shipped else None
    schedule = _take_dict(_take_dict(_take_dict(cfg, "default_hooks"), "training_stages"), "schedule")
    pipeline = _take_dict(_take_dict(cfg, "test_dataloader"), "dataset").get("pipeline", [])
    inputs = [step["input_size"] for step in walk_sections(pipeline) if "input_size" in step]
    return {
        "config": str(path),
        **{part: _take_dict(model, part).get("type") for part in ("backbone", "neck", "head") if part in model},
        "keypoints": head.get("keypoints"),
        "classes": head.get("num_classes", 1),
        "input": tuple(size if isinstance(size, str) else "x".join(map(str, size)) for size in inputs),
        "epochs": _take_dict(cfg, "train_cfg").get("max_epochs"),
        "stages": tuple(f"{name} from {_take_dict(schedule, name).get('begin', 0)}" for name in schedule),
        "images_a_step": _take_dict(cfg, "auto_scale_lr").get("base_batch_size"),
        "batch_size": loader.get("batch_size"),
        "training_labels": _list_labels(loader),
        "test_labels": _list_labels(_take_dict(cfg, "test_dataloader")),
        "published_ap": f"{published.ap} on {published.ap_on} (rtmo zoo list)" if published else None,
    }


def _take_dict(section: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a part of a config; an empty one where it is missing, or computed."""
    value = section.get(name)
    return value if isinstance(value, Mapping) else {}


def _list_labels(loader: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the annotation files, or the kinds of datasets that need none, each once."""
    datasets = [
        each for each in walk_sections(loader.get("dataset", {})) if "pipeline" in each and "datasets" not in each
    ]
    return tuple(dict.fromkeys(each.get("ann_file") or str(each.get("type")) for each in datasets))


def describe_checkpoint(checkpoint: str | Path) -> dict[str, Any]:
    """Return a description of a checkpoint, as plain values by name.

    Args:
        checkpoint: File, URL, or published name.

    Raises:
        MissingFileError: The file does not exist, or cannot be downloaded.
        CheckpointError: It is not a checkpoint.
    """
    path = locate_checkpoint(checkpoint)
    content = read_checkpoint(path)
    state, meta = content["state_dict"], content.get("meta") or {}
    data = meta.get("dataset_meta") or {}
    classes = data.get("classes") or data.get("CLASSES") or ()  # names, or MMPose's categories of COCO
    numbers = [value.numel() for name, value in state.items() if not name.endswith(_BUFFERS)]
    is_resumable = False
    with suppress(CheckpointError):
        check_resumable(content, path)
        is_resumable = True
    return {
        "checkpoint": str(path),
        "megabytes": round(path.stat().st_size / 1e6, 1),
        "parameters_millions": round(sum(numbers) / 1e6, 2),
        "is_rtmo": any(name.startswith("head.dcc.") for name in state),
        "trained_as": meta.get("experiment_name"),
        "time": meta.get("time"),
        "epoch": meta.get("epoch"),
        "seed": meta.get("seed"),
        "can_be_resumed": is_resumable,
        "has_moving_average": "ema_state_dict" in content,
        "classes": tuple(str(each["name"] if isinstance(each, Mapping) else each) for each in classes),
        "keypoints": read_names(data) or (),
        "mmengine": _cut_revision(meta.get("mmengine_version")),
    }


def _cut_revision(version: str | None) -> str | None:
    """Return a version without the revision that MMEngine appends to it, of whatever repository the run was in.

    Examples:
        >>> _cut_revision("0.10.77cc7c2f"), _cut_revision("0.10.7"), _cut_revision("0.10.7unknown")
        ('0.10.7', '0.10.7', '0.10.7')
    """
    number, stage = r"\d{1,3}(?:\.\d{1,3})+?", r"(?:(?:a|b|rc|\.dev|\.post)\d{1,2})?"
    found = re.fullmatch(rf"({number}{stage})(?:[0-9a-f]{{7}}|[0-9a-f]{{40}}|unknown)?", str(version or ""))
    return found[1] if found else version
