"""One image cache for all training processes of a machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import all_gather_object, get_rank

from rtmo_plugin.config.sections import walk_sections
from rtmo_plugin.data.transforms.image_cache import ImageCache, use_cache
from rtmo_plugin.errors import ConfigError


def share_image_cache(cfg: Config) -> None:
    """Give the training processes of each machine one image cache; every process of the run has to call it.

    Without this call each process has a cache of its own. The epochs distribute the images over the processes again, so
    that each of them would have to cache all images.

    Args:
        cfg: Config whose training loaders have ``cache_bytes``.

    Raises:
        ConfigError: A machine has no room for the cache, or a process cannot open it.
    """
    sizes = {part.get("cache_bytes") for part in walk_sections(cfg.get("train_dataloader") or {})}
    for max_bytes in sorted(size for size in sizes if size):
        machine = _describe_machine()
        machines: list[Any] = all_gather_object(machine)
        first = machines.index(machine)
        cache, problem = None, ""
        if first == get_rank():
            try:
                cache = ImageCache(max_bytes)
            except ConfigError as error:  # which the others have to know before they wait for an address
                problem = str(error)
        addresses: list[Any] = all_gather_object(cache.address if cache else problem)
        if cache is None and not addresses[first].startswith("/proc/"):
            raise ConfigError(addresses[first])
        use_cache(cache or ImageCache.join(addresses[first], max_bytes))


def _describe_machine() -> tuple[str, ...]:
    """Return what processes share that can open each other's files: the running system and its process numbers."""
    if not Path("/proc/self/ns/pid").exists():
        return ("this system has no shared cache", str(get_rank()))
    return (Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"), os.readlink("/proc/self/ns/pid"))
