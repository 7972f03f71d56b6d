"""What a config or a checkpoint is, in a few lines for ``rtmo info``: nothing is built, and no data are looked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from rtmo_plugin.apis.checkpoints import check_resumable, locate_checkpoint, read_checkpoint
from rtmo_plugin.apis.configuration import load_config, walk_sections
from rtmo_plugin.errors import CheckpointError
from rtmo_plugin.shipped_configs import locate_config
from rtmo_plugin.zoo import CATALOGUE

_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


def describe_config(config: str | Path) -> dict[str, Any]:
    """Return what a config describes, as plain values by name.

    Args:
        config: A file, or the name of a shipped one.

    Raises:
        MissingFileError: There is no such file or name.
        ConfigError: It cannot be read.
    """
    path, cfg = locate_config(config), load_config(config)
    head = cfg.model.get("head", {})
    loader = cfg.get("train_dataloader") or {}
    published = CATALOGUE.get(path.stem)
    return {
        "config": str(path),
        **{part: cfg.model[part].get("type") for part in ("backbone", "neck", "head") if part in cfg.model},
        "keypoints": head.get("keypoints"),
        "classes": head.get("num_classes", 1),
        "input": _find_inputs(cfg),
        "epochs": (cfg.get("train_cfg") or {}).get("max_epochs"),
        "stages": _find_stages(cfg),
        "images_a_step": (cfg.get("auto_scale_lr") or {}).get("base_batch_size"),
        "batch_size": loader.get("batch_size"),
        "training_labels": _list_labels(loader),
        "test_labels": _list_labels(cfg.get("test_dataloader") or {}),
        "published_ap": f"{published.ap} on {published.ap_on} (rtmo zoo list)" if published else None,
    }


def _find_inputs(cfg: Config) -> tuple[str, ...]:
    """Return the sizes that test images are brought to, width first."""
    steps = walk_sections((cfg.get("test_dataloader") or {}).get("dataset", {}).get("pipeline", []))
    return tuple("{}x{}".format(*step["input_size"]) for step in steps if "input_size" in step)


def _find_stages(cfg: Config) -> tuple[str, ...]:
    """Return the training stages with their first epochs, from 0."""
    schedule = (cfg.get("default_hooks") or {}).get("training_stages", {}).get("schedule", {})
    return tuple(f"{name} from {stage.get('begin', 0)}" for name, stage in schedule.items())


def _list_labels(loader: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the annotation files, or the kinds of datasets that need none, each once."""
    datasets = [
        each for each in walk_sections(loader.get("dataset", {})) if "pipeline" in each and "datasets" not in each
    ]
    return tuple(dict.fromkeys(each.get("ann_file") or str(each.get("type")) for each in datasets))


def describe_checkpoint(checkpoint: str | Path) -> dict[str, Any]:
    """Return what a checkpoint holds, as plain values by name.

    Args:
        checkpoint: A file, a URL, or a published name.

    Raises:
        MissingFileError: There is no such file, or it cannot be downloaded.
        CheckpointError: It is none.
    """
    path = locate_checkpoint(checkpoint)
    content = read_checkpoint(path)
    state, meta = content["state_dict"], content.get("meta") or {}
    data = meta.get("dataset_meta") or {}
    numbers = [value.numel() for name, value in state.items() if not name.endswith(_BUFFERS)]
    return {
        "checkpoint": str(path),
        "megabytes": round(path.stat().st_size / 1e6, 1),
        "parameters_millions": round(sum(numbers) / 1e6, 2),
        "is_rtmo": any(name.startswith("head.dcc.") for name in state),
        "trained_as": meta.get("experiment_name"),
        "time": meta.get("time"),
        "epoch": meta.get("epoch"),
        "seed": meta.get("seed"),
        "can_be_resumed": _is_resumable(content, path),
        "has_moving_average": "ema_state_dict" in content,
        "classes": _name_classes(data.get("classes") or data.get("CLASSES") or ()),
        "keypoints": tuple((data.get("keypoint_id2name") or {}).values()),
        "mmengine": _cut_revision(meta.get("mmengine_version")),
    }


def _cut_revision(version: str | None) -> str | None:
    """Return a version without the revision that MMEngine appends to it, of whatever repository the run was in.

    Examples:
        >>> _cut_revision("0.10.77cc7c2f"), _cut_revision("0.10.7"), _cut_revision("0.10.7unknown")
        ('0.10.7', '0.10.7', '0.10.7')
    """
    number, stage = r"\d{1,3}(?:\.\d{1,3})+?", r"(?:(?:a|b|rc|\.dev|\.post)\d{1,2})?"
    found = re.fullmatch(rf"({number}{stage})(?:[0-9a-f]{{7}}|unknown)?", str(version or ""))
    return found[1] if found else version


def _name_classes(classes: Iterable[Any]) -> tuple[str, ...]:
    """Return the names of classes, which MMPose keeps as COCO's categories, or as names."""
    return tuple(str(each["name"] if isinstance(each, Mapping) else each) for each in classes)


def _is_resumable(content: Mapping[str, Any], path: Path) -> bool:
    try:
        check_resumable(content, path)
    except CheckpointError:
        return False
    return True
