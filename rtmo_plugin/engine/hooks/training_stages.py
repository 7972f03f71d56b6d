"""The hook that puts the head into the training stage of the epoch, after a resume as well."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.dataset import Compose
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn

from rtmo_plugin.engine.schedule import find_dataset, find_stage, read_schedule
from rtmo_plugin.errors import ConfigError, UnknownKeyError
from rtmo_plugin.registry import HOOKS
from rtmo_plugin.wording import count


@HOOKS.register_module()
class TrainingStageHook(Hook):
    """Enter the head's training stages, and change the training data, when the schedule says so.

    What a stage means stands in the head (``head.stages``), when it begins stands here.  The stage
    follows from the epoch alone and is applied before training starts and before each epoch, so a
    run resumed anywhere is in the stage it would have been in.  Paper section 3.3.

    Args:
        schedule: ``{name: dict(begin=epoch, dataset=..., pipeline=...)}``, epochs counted from 0, or
            a list of such dicts that name their ``stage``.  ``dataset`` replaces the training
            dataset, ``pipeline`` its transforms; both hold for the stages after as well.

    Raises:
        ConfigError: See ``read_schedule``; and when training starts, if the loop does not count
            epochs, the model's head has no stages, or the dataloader was not given as config.
        UnknownKeyError: When training starts, if the head does not know one of the stages.
    """

    # The new dataloader must be there for DistSamplerSeedHook (NORMAL, 50), which seeds its sampler.
    priority = 48

    def __init__(self, schedule: Mapping[str, Mapping[str, Any]] | Sequence[Mapping[str, Any]]) -> None:
        self._stages = read_schedule(schedule)
        self._name: str | None = None
        self._data: Mapping[str, Any] = {}

    def before_train(self, runner: Runner) -> None:
        """Check all stages now rather than after days of training, then enter the current one."""
        self._check_run(runner)
        for stage in self._stages:
            _enter_stage(runner.model, stage.name)
            Compose(stage.data.get("pipeline"))
        self._enter_current_stage(runner)

    def before_train_epoch(self, runner: Runner) -> None:
        """Enter the stage of the epoch that is about to begin."""
        self._enter_current_stage(runner)

    def _check_run(self, runner: Runner) -> None:
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            raise ConfigError("TrainingStageHook needs train_cfg.by_epoch=True: its schedule counts epochs.")
        if any(stage.data for stage in self._stages) and not isinstance(runner.cfg.get("train_dataloader"), dict):
            raise ConfigError("TrainingStageHook can change the data only of a train_dataloader given as config.")
        for stage in self._stages:
            if stage.begin >= runner.max_epochs:
                runner.logger.warning(
                    f"Training stage {stage.name!r} begins at epoch {stage.begin}, but training ends after "
                    f"{count(runner.max_epochs, 'epoch')}: it will not be reached."
                )

    def _enter_current_stage(self, runner: Runner) -> None:
        stage = find_stage(self._stages, runner.epoch)
        _enter_stage(runner.model, stage.name)
        if stage.name != self._name:
            runner.logger.info(f"Training stage {stage.name!r} (since epoch {stage.begin}) at epoch {runner.epoch}.")
        if stage.data != self._data:
            runner.train_loop.dataloader = _build_dataloader(runner, stage.data)
            runner.logger.info(f"New training dataloader for stage {stage.name!r}.")
        self._name, self._data = stage.name, stage.data


def _enter_stage(model: nn.Module, name: str) -> None:
    """Let the head of ``model`` enter a stage, seen through wrappers for distributed training."""
    module = model.module if is_model_wrapper(model) else model
    head = getattr(module, "head", None)
    if not hasattr(head, "enter_stage"):
        raise ConfigError(
            "TrainingStageHook needs a model whose head has training stages, as rtmo_plugin.RTMOHead; "
            f"got {type(module).__name__} with head {type(head).__name__}."
        )
    try:
        head.enter_stage(name)
    except KeyError as error:
        raise UnknownKeyError(f"schedule: {error.args[0]}") from error


def _build_dataloader(runner: Runner, data: Mapping[str, Any]) -> Any:
    """Build the training dataloader with what ``data`` replaces, seeded as the runner's own."""
    config = copy.deepcopy(runner.cfg.train_dataloader)
    config.dataset = find_dataset(config.dataset, data)
    diff_rank_seed = runner.cfg.get("randomness", {}).get("diff_rank_seed", False)
    return runner.build_dataloader(config, seed=runner.seed, diff_rank_seed=diff_rank_seed)
