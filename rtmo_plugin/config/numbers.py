"""Range checks of the numbers in a config, by their keys."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

from rtmo_plugin.errors import ConfigError
from rtmo_plugin.number_ranges import AMOUNT, BATCH_SIZE, COUNT, FRACTION, NUMBER, POSITIVE, SEED, NumberRange

_INTERVAL = NumberRange(-1, 10**9)  # -1: never, or all
_RANGES = {
    "accumulative_counts": COUNT,
    "base_batch_size": POSITIVE,
    "batch_size": BATCH_SIZE,
    "deepen_factor": POSITIVE,
    "flip_ratio": FRACTION,
    "interval": _INTERVAL,
    "keypoint_score_thr": FRACTION,
    "lr": AMOUNT,  # 0 leaves parameters as they are
    "max_epochs": COUNT,
    "max_iters": COUNT,
    "max_keep_ckpts": _INTERVAL,
    "max_norm": POSITIVE,
    "momentum": FRACTION,
    "nms_pre": COUNT,
    "nms_thr": FRACTION,
    "num_classes": COUNT,
    "num_workers": NUMBER,
    "patience": COUNT,
    "prefetch_factor": COUNT,
    "prob": FRACTION,
    "rotate_prob": FRACTION,
    "scale_prob": FRACTION,
    "score_thr": FRACTION,
    "seed": SEED,
    "shear_prob": FRACTION,
    "shift_prob": FRACTION,
    "val_interval": COUNT,
    "weight_decay": AMOUNT,
    "widen_factor": POSITIVE,
}


def check_numbers(cfg: Config) -> None:
    """Check the numbers of a config; what is not a number is left to the class that reads it.

    Raises:
        ConfigError: A number is outside its range, or NaN; the message names its key.
    """
    for path, key, value in _walk_numbers(cfg._cfg_dict, ""):
        if math.isnan(value):
            raise ConfigError(f"{path} of the config is not a number (nan).")
        if key in _RANGES:
            _RANGES[key].check(f"{path} of the config", value)


def _walk_numbers(value: Any, path: str, key: str = "") -> Iterator[tuple[str, str, float]]:
    """Yield path, last key and value of each number; items of a list have the key of the list."""
    if isinstance(value, dict):
        for name, child in value.items():
            yield from _walk_numbers(child, f"{path}.{name}" if path else str(name), str(name))
    elif isinstance(value, (list, tuple)):
        for index, child in enumerate(value):
            yield from _walk_numbers(child, f"{path}.{index}", key)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield path, key, value
