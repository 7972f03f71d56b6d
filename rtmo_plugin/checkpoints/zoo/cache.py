"""Where files of weights are kept, and whether one is what it should be.

The folder is torch's own, so that files which MMPose, MMEngine or torch fetched are found, and the
other way round.
"""

from __future__ import annotations

import os
from pathlib import Path

from rtmo_plugin.checkpoints.zoo.catalogue import Weights
from rtmo_plugin.errors import CheckpointError
from rtmo_plugin.files import compute_hash


def get_cache_folder() -> Path:
    """Return torch's folder for checkpoints: below ``TORCH_HOME``, ``XDG_CACHE_HOME`` or ``~/.cache``."""
    caches = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("TORCH_HOME", f"{caches}/torch"), "hub", "checkpoints").expanduser()


def locate(weights: Weights, folder: Path | None = None) -> Path:
    """Return where the file to use is, or will be once it is fetched."""
    return (folder or get_cache_folder()) / weights.model_file


def describe_hash_mismatch(path: Path, expected: str | None) -> str | None:
    """Return how the hash of a file differs from its first digits ``expected``; None if it does not."""
    if expected is None:
        return None
    found = compute_hash(path)
    return None if found.startswith(expected) else f"its SHA-256 begins with {found[:8]}, and not with {expected[:8]}"


def check_hash(path: Path, weights: Weights) -> None:
    """Check that a file that is there already is the published one, as far as its hash is known.

    Raises:
        CheckpointError: It is another one, or damaged.
    """
    mismatch = describe_hash_mismatch(path, weights.sha256)
    if mismatch:
        raise CheckpointError(f"{path} is not the published file: {mismatch}: delete it, and it is fetched again.")
