"""Optional transforms, which ``--augment`` adds to a training pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.config import Config

from rtmo_plugin.errors import ConfigError

_TRANSFORMS = {"copy-paste": "rtmo_plugin.CopyPaste", "occlusion": "rtmo_plugin.OccludePeople"}
_MIXING = ("copy-paste",)  # load another image as well
_AFFINE, _MOSAIC = "BottomupRandomAffine", "Mosaic"


def add_augmentations(cfg: Config, names: str | Sequence[str] | None) -> None:
    """Add optional transforms to the training pipeline, after the affine; the last training stage keeps its own.

    Args:
        cfg: Config to edit.
        names: ``copy-paste`` or ``occlusion``, as a sequence or separated by commas. Transforms that the pipeline has
            already stay as they are. Default: none.

    Raises:
        ConfigError: A name is unknown, or the training pipeline has no ``BottomupRandomAffine``.
    """
    if names is None:
        return
    wanted = [name.strip() for name in (names.split(",") if isinstance(names, str) else names)]
    unknown = [name for name in wanted if name not in _TRANSFORMS]
    if unknown or not wanted:
        raise ConfigError(f"--augment {','.join(wanted)!r} is unknown: choose among {', '.join(_TRANSFORMS)}.")
    pipeline = list(cfg.train_dataloader.dataset.get("pipeline") or ())
    kinds = [str(step["type"]).rpartition(".")[2] for step in pipeline]
    if _AFFINE not in kinds:
        raise ConfigError(f"--augment adds transforms after {_AFFINE}, and the training pipeline has none.")
    place = kinds.index(_AFFINE) + 1
    num_loading = min(kinds.index(kind) for kind in (_AFFINE, _MOSAIC) if kind in kinds)
    added: list[dict[str, Any]] = []
    for name in (name for name in _TRANSFORMS if name in wanted):
        if _TRANSFORMS[name].rpartition(".")[2] not in kinds:
            load = {"pre_transform": [dict(step) for step in pipeline[:num_loading]]} if name in _MIXING else {}
            added.append({"type": _TRANSFORMS[name], **load})
    cfg.train_dataloader.dataset.pipeline = [*pipeline[:place], *added, *pipeline[place:]]
