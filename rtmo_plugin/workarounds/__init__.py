"""The only room that changes MMEngine, MMCV, MMDetection and MMPose, by one explicit call: ``workarounds.apply()``.

Afterwards ``mmpose.models``, ``mmpose.visualization`` and ``mmdet.models`` import, with compiled mmcv or with
mmcv-lite, with or without torchvision and xtcocotools, and MMEngine reads checkpoints with ``weights_only=True`` on
every supported torch.  Each work-around is one function that states its reason and does nothing where upstream works.
docs/other-projects.md lists all of them.  Importing this room changes nothing.
"""

from __future__ import annotations

import warnings

from rtmo_plugin.workarounds.stand_ins import make_importable

__all__ = ["apply", "make_importable"]


def apply() -> None:
    """Apply every work-around; further calls change nothing.

    Call it before the first import of ``mmpose.models``, ``mmpose.apis`` or ``mmdet.models``.
    """
    # Imports MMEngine and torch.  MMEngine comes first, because make_importable changes what it has loaded.
    from rtmo_plugin.workarounds.config_text import format_configs_once
    from rtmo_plugin.workarounds.weights_only import protect_checkpoints

    make_importable()
    format_configs_once()
    protect_checkpoints()
    # Upstream backbones call deprecated functions of PyTorch, which users cannot change.
    pattern = r"`torch\.cuda\.amp\."
    if not any(message is not None and message.pattern == pattern for _, message, *_ in warnings.filters):
        warnings.filterwarnings("ignore", pattern, FutureWarning, module=r"mm(cv|det|engine|pose)\.")
