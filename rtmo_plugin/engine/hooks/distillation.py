"""Training by a teacher: a trained model whose predictions a smaller one learns beside the labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn

from rtmo_plugin.errors import ConfigError
from rtmo_plugin.models.heads.dense import PriorCache, decode_dense
from rtmo_plugin.models.heads.rtmo_head import RTMOHead
from rtmo_plugin.models.heads.taught_criterion import TaughtCriterion, find_teacher_misfit
from rtmo_plugin.registry import HOOKS, MODELS
from rtmo_plugin.structures import DensePredictions


@HOOKS.register_module()
class DistillationHook(Hook):
    """Train with the three losses of ``DistillationLoss`` beside those of the head.

    The teacher computes the same images as the student, in the same precision, without gradients. It is neither part of
    checkpoints nor of the moving average.

    Args:
        config: Config of the teacher: file or shipped name.
        checkpoint: Checkpoint of the teacher: path, URL or a name such as ``rtmo-l_body7``.
        loss: Options of ``DistillationLoss`` that differ from its defaults.

    Raises:
        UserError: The teacher cannot be read, see ``load_model``.
    """

    priority = 100  # LOWEST: after hooks that replace how features are computed

    def __init__(self, config: str | Path, checkpoint: str | Path, loss: Mapping[str, Any] | None = None) -> None:
        from rtmo_plugin.engine.loaded_model import load_model  # which needs the console, and the console these hooks

        self._name = str(checkpoint)
        self._teacher: Any = load_model(config, checkpoint, device="cpu").model.requires_grad_(False)
        self._loss = MODELS.build({"type": "rtmo_plugin.DistillationLoss", **(loss or {})})
        self._priors: PriorCache = {}
        self._images: Tensor | None = None

    def check(self, model: nn.Module) -> None:
        """Check that the teacher can teach a model.

        Args:
            model: Student, without the wrapper of distributed training.

        Raises:
            ConfigError: Either is not an RTMO model, or they differ in keypoints, classes, priors, bins or colors.
        """
        heads = [getattr(each, "head", None) for each in (model, self._teacher)]
        for head, whose in zip(heads, ("the model", f"the teacher {self._name}")):
            if not isinstance(head, RTMOHead):
                raise ConfigError(f"--teacher: {whose} has no RTMOHead, whose predictions could be compared.")
        difference = find_teacher_misfit(*heads)  # type: ignore[arg-type]
        colors = [describe_colors(each.data_preprocessor) for each in (model, self._teacher)]
        if difference is None and colors[0] != colors[1]:
            difference = f"colors of images: {colors[0]}, {colors[1]}"
        if difference is not None:
            raise ConfigError(f"The model and the teacher {self._name} differ in {difference}: choose another teacher.")

    def before_train(self, runner: Runner) -> None:
        """Let the head learn from the teacher, too.

        Raises:
            ConfigError: See ``check``.
        """
        model: Any = getattr(runner.model, "module", runner.model)
        self.check(model)
        self._teacher.to(next(model.parameters()).device)
        extract = model.extract_feat

        def extract_and_remember(images: Tensor) -> Any:
            self._images = images
            return extract(images)

        model.extract_feat = extract_and_remember
        model.head.criterion = TaughtCriterion(model.head.criterion, self._loss, self._teacher.head, self._predict)

    def after_train(self, runner: Runner) -> None:
        """Give the model back its own way to compute features and losses."""
        model: Any = getattr(runner.model, "module", runner.model)
        vars(model).pop("extract_feat", None)
        if isinstance(model.head.criterion, TaughtCriterion):
            model.head.criterion = model.head.criterion.criterion
        self._images = None

    @torch.no_grad()
    def _predict(self) -> tuple[DensePredictions, tuple[int, int]]:
        """Return the teacher's predictions of the student's images, and their width and height."""
        assert self._images is not None
        head = self._teacher.head
        maps = head.head_module(self._teacher.extract_feat(self._images))
        height, width = self._images.shape[2:]
        return decode_dense(maps, head.strides, self._priors), (width, height)


def describe_colors(preprocessor: Any) -> tuple[list[float], list[float], bool]:
    """Return mean, deviation and whether red and blue change places: what a data preprocessor does to colors."""
    mean, std = (getattr(preprocessor, name, None) for name in ("mean", "std"))
    return (
        [0.0] * 3 if mean is None else mean.flatten().tolist(),
        [1.0] * 3 if std is None else std.flatten().tolist(),
        bool(preprocessor._channel_conversion),
    )
