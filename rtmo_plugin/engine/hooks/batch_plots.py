"""Plots of training batches with their targets: the input of the model, after all transforms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from rtmo_plugin.engine.hooks.prediction_plots import tile_images
from rtmo_plugin.keypoints.metainfo import find_skeletons, read_links
from rtmo_plugin.media.drawing import Image, draw_people
from rtmo_plugin.media.image_files import write_image
from rtmo_plugin.registry import HOOKS

_NUM_IMAGES = 16


@HOOKS.register_module()
class FirstBatchHook(Hook):
    """Plot the first batch of a run as ``first_batch.jpg``, and the first batch of each new dataloader.

    Plots after the first epoch have the epoch in their name: ``first_batch_epoch_581.jpg``.
    """

    def __init__(self) -> None:
        self._plotted: object = None

    @master_only  # type: ignore[untyped-decorator]  # MMEngine has no types
    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Plot the batch if the dataloader is new."""
        loader = runner.train_loop.dataloader
        if self._plotted is loader or not isinstance(data_batch, dict):
            return
        self._plotted = loader
        name = f"first_batch_epoch_{runner.epoch + 1}" if runner.epoch else "first_batch"
        write_batch_plot(Path(runner.work_dir) / f"{name}.jpg", data_batch, loader.dataset.metainfo)


def write_batch_plot(path: Path, batch: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
    """Plot up to sixteen images of a batch with their targets.

    Args:
        path: Output path of the plot.
        batch: Batch of a dataloader with B ``inputs`` of shape (3, H, W) and B ``data_samples``.
        meta: Metainfo of the dataset.
    """
    pairs = list(zip(batch["inputs"], batch["data_samples"]))[:_NUM_IMAGES]
    write_image(path, tile_images([_draw_targets(values, sample, meta) for values, sample in pairs]))


def _draw_targets(values: Tensor, sample: Any, meta: Mapping[str, Any]) -> Image:
    """Return (3, H, W) values in 0..255 as an (H, W, 3) image with the targets drawn."""
    image = np.ascontiguousarray(values.float().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy())
    labels = sample.get("gt_instance_labels", {})
    if "keypoints" not in labels:
        return image
    keypoints, visible = (np.asarray(labels.get(name)) for name in ("keypoints", "keypoints_visible"))
    _, flip_pairs = read_links(meta)
    skeletons = find_skeletons(meta, np.asarray(labels.get("labels", np.zeros(len(keypoints), int))).tolist())
    canvas = draw_people(image, keypoints, visible, skeletons, flip_pairs=flip_pairs)
    for x1, y1, x2, y2 in np.asarray(labels.get("bboxes")).round().clip(-(2**15), 2**15).astype(int).tolist():
        cv2.rectangle(canvas, (x1, y1), (x2, y2), (255, 255, 255), 1)
    return canvas
