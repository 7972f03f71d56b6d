"""Memory for decoded images, for all of a config's training pipelines at once."""

from __future__ import annotations

from mmengine.config import Config

from rtmo_plugin.config.sections import walk_sections
from rtmo_plugin.errors import ConfigError

LOADER = "rtmo_plugin.LoadImage"


def set_image_cache(cfg: Config, gigabytes: float) -> None:
    """Keep decoded training images in memory.

    Args:
        cfg: Config to edit.
        gigabytes: Largest amount of memory in 10**9 bytes, for all training processes of a machine with their workers.

    Raises:
        ConfigError: No training pipeline loads images with ``rtmo_plugin.LoadImage``.
    """
    loaders = [part for part in walk_sections(cfg.train_dataloader) if part.get("type") == LOADER]
    if not loaders:
        raise ConfigError(f"Images cannot be cached: no transform of the training pipeline is a {LOADER}.")
    for loader in loaders:
        loader["cache_bytes"] = int(gigabytes * 10**9)
