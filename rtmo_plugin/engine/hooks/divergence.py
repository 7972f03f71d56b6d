"""Diagnostics of a diverged run: its last batch, as tensors and as a plot, and the last good checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from rtmo_plugin.checkpoints.reading import read_note
from rtmo_plugin.engine.hooks.batch_plots import write_batch_plot
from rtmo_plugin.files import replace_file
from rtmo_plugin.models.heads.loss_check import LossCheck
from rtmo_plugin.registry import HOOKS

_FOLDER = "diverged"


@HOOKS.register_module()
class DivergenceHook(Hook):
    """Keep the batch of the last step for ``explain``, and refuse to save non-finite weights.

    The losses of a step may be checked when the next one begins (see ``LateLossCheck``). So the check is finished
    before another batch is kept, before a checkpoint is written, and at the end of an epoch and of a run.
    """

    def __init__(self) -> None:
        self._batch: Mapping[str, Any] = {}
        self._iteration, self._epoch = 1, 1
        self._check = LossCheck()

    def before_train(self, runner: Runner) -> None:
        """Find the check of the model's head."""
        head = getattr(getattr(runner.model, "module", runner.model), "head", None)
        self._check = getattr(head, "loss_check", self._check)
        self._iteration, self._epoch = runner.iter + 1, runner.epoch + 1

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Finish the check of the step before, and keep this batch until the next one."""
        self._check.finish()
        self._batch = data_batch if isinstance(data_batch, dict) else {}
        self._iteration, self._epoch = runner.iter + 1, runner.epoch + 1

    def after_train_epoch(self, runner: Runner) -> None:
        """Finish the check before the epoch is counted, saved and validated."""
        self._check.finish()

    def before_val(self, runner: Runner) -> None:
        """Finish the check where a validation comes between two steps."""
        self._check.finish()

    def after_train(self, runner: Runner) -> None:
        """Finish the check of the last step."""
        self._check.finish()

    def before_save_checkpoint(self, runner: Runner, checkpoint: Mapping[str, Any]) -> None:
        """Stop the run instead of saving non-finite weights, which could replace a good checkpoint.

        Raises:
            FloatingPointError: A loss of the last step or a weight is NaN or infinite.
        """
        self._check.finish()
        for name, value in checkpoint["state_dict"].items():
            if value.is_floating_point() and not value.isfinite().all():
                raise FloatingPointError(f"{name} is not finite, so this checkpoint was not written.")

    @contextmanager
    def explain(self, runner: Runner) -> Iterator[None]:
        """Write the batch into the folder ``diverged`` if training stops because of a non-finite number.

        Raises:
            FloatingPointError: The error of training, with step, files and last checkpoint added to the message.
        """
        try:
            yield
        except FloatingPointError as error:
            folder = self._dump(Path(runner.work_dir) / _FOLDER, runner)
            noted = read_note(Path(runner.work_dir))
            good = f"The last good checkpoint is {noted}" if noted and noted.is_file() else "No checkpoint was written"
            raise FloatingPointError(
                f"at iteration {self._iteration} (epoch {self._epoch}): {error} The batch is in {folder}. {good}."
            ) from error

    def _dump(self, folder: Path, runner: Runner) -> Path:
        """Write the input batch to ``batch.pth`` (tensors and plain values) and plot it; return the folder."""
        folder = folder / f"rank_{get_rank()}" if get_rank() else folder
        folder.mkdir(parents=True, exist_ok=True)
        samples = self._batch.get("data_samples", ())
        content = {
            "iteration": self._iteration,
            "epoch": self._epoch,
            "images": [str(sample.metainfo.get("img_path")) for sample in samples],
            "inputs": list(self._batch.get("inputs", ())),
            "targets": [
                {name: value for name, value in labels.items() if isinstance(value, Tensor)}
                for labels in (sample.get("gt_instance_labels", {}) for sample in samples)
            ],
        }
        with replace_file(folder / "batch.pth") as draft:
            torch.save(content, draft)
        if samples:
            write_batch_plot(folder / "batch.jpg", self._batch, runner.train_dataloader.dataset.metainfo)
        return folder
