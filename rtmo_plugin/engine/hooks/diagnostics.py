"""``diagnostics.jsonl``: the number of positive priors per level and the sigma of each keypoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn

from rtmo_plugin.registry import HOOKS

FILE_NAME = "diagnostics.jsonl"


@HOOKS.register_module()
class DiagnosticsHook(Hook):
    """Write statistics of the inputs of the criterion of an ``RTMOHead`` to a file in the work folder, once per epoch.

    The sums are computed on the device and read at the end of the epoch, so no step waits for them.
    With several processes, the first one writes the statistics of its own share.  For other heads, such as
    MMPose's, no file is written.
    """

    priority = "LOW"

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._num_images = 0
        self._handle: Any = None

    def before_train(self, runner: Runner) -> None:
        """Register a forward hook on the criterion; the moving average has copied the model before."""
        head = _find_head(runner.model)
        criterion = getattr(head, "criterion", None)
        if isinstance(criterion, nn.Module):
            self._handle = criterion.register_forward_hook(self._add)

    def before_train_epoch(self, runner: Runner) -> None:
        """Reset the sums: each epoch has one training stage."""
        self._sums, self._num_images = {}, 0

    def _add(self, criterion: nn.Module, inputs: tuple[Any, ...], losses: Any) -> None:
        predictions, targets, distribution, *_ = inputs
        strides = predictions.priors.strides
        # Read from the device once per epoch, later from the names of the sums.
        known = [int(name.split()[1]) for name in self._sums if name.startswith("stride ")]
        levels = known or [int(stride) for stride in torch.unique(strides).tolist()]
        values = {
            "sigmas": distribution.sigmas.detach().sum(0),
            "num_positives": targets.prior.new_full((), len(targets.prior)),
            **{f"stride {stride}": (strides[targets.prior] == stride).sum() for stride in levels},
        }
        self._sums = {name: self._sums.get(name, 0) + value for name, value in values.items()}
        self._num_images += len(predictions.boxes)

    @master_only  # type: ignore[untyped-decorator]  # MMEngine has no types
    def after_train_epoch(self, runner: Runner) -> None:
        """Append the line of this epoch to the file."""
        if not self._num_images:
            return
        sums = {name: value.tolist() for name, value in self._sums.items()}
        count = max(1, sums["num_positives"])
        head = _find_head(runner.model)
        entry = {
            "epoch": runner.epoch + 1,
            "stage": head.stage_name,
            "images": self._num_images,
            "positives": {name.split()[1]: value for name, value in sums.items() if name.startswith("stride ")},
            "sigmas": dict(zip(head.schema.names, (round(value / count, 6) for value in sums["sigmas"]))),
        }
        with Path(runner.work_dir, FILE_NAME).open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def after_train(self, runner: Runner) -> None:
        """Remove the forward hook."""
        if self._handle is not None:
            self._handle.remove()


def _find_head(model: nn.Module) -> Any:
    """Return the head of a model, wrapped for distributed training or not; None without a head."""
    return getattr(getattr(model, "module", model), "head", None)


def read_diagnostics(work_dir: str | Path) -> list[dict[str, Any]]:
    """Return the statistics of the runs in a work folder, one entry per epoch; a resumed run replaces older entries."""
    path = Path(work_dir, FILE_NAME)
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    entries = [json.loads(line) for line in lines if line.endswith("}")]  # an interruption may truncate the last one
    by_epoch = {entry["epoch"]: entry for entry in entries}
    return [by_epoch[epoch] for epoch in sorted(by_epoch)]
