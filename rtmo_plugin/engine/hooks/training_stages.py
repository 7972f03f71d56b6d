"""The hook that switches the head to the training stage of each epoch, also after resuming."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from mmengine.dataset import Compose
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn

from rtmo_plugin.engine.schedule import ScheduledStage, find_dataset, find_stage, read_schedule
from rtmo_plugin.errors import ConfigError, UnknownKeyError
from rtmo_plugin.registry import HOOKS
from rtmo_plugin.wording import count


@HOOKS.register_module()
class TrainingStageHook(Hook):
    """Switch the head's training stages and the training data according to a schedule.

    The head defines what a stage means (``head.stages``); this hook says when it begins.  The stage
    depends on the epoch alone and is applied before training and before each epoch, so a resumed run
    is in the same stage as an uninterrupted one.  Paper section 3.3.

    Args:
        schedule: ``{name: dict(begin=epoch, dataset=..., pipeline=...)}`` with epochs counted from 0, or
            a list of such dicts with their ``stage``.  ``dataset`` replaces the training dataset,
            ``pipeline`` its transforms; both also apply to later stages.

    Raises:
        ConfigError: The schedule is invalid (see ``read_schedule``); or, when training starts, the loop does
            not count epochs, the model's head has no stages, or the dataloader is not given as a config.
        UnknownKeyError: When training starts, if the head does not know a stage.
    """

    # Before DistSamplerSeedHook (NORMAL, 50), which seeds the sampler of the new dataloader.
    priority = 48

    def __init__(self, schedule: Mapping[str, Mapping[str, Any]] | Sequence[Mapping[str, Any]]) -> None:
        self._stages = read_schedule(schedule)
        self._name: str | None = None
        self._data: Mapping[str, Any] = {}

    def before_train(self, runner: Runner) -> None:
        """Check all stages, since an error would otherwise show after days of training; then enter the current one."""
        self._check_run(runner)
        for stage in self._stages:
            _enter_stage(runner.model, stage.name)
            Compose(stage.data.get("pipeline"))
        self._enter_current_stage(runner)

    def before_train_epoch(self, runner: Runner) -> None:
        """Enter the stage of the epoch that is about to begin."""
        self._enter_current_stage(runner)

    def list_data_changes(self, epoch: int) -> list[ScheduledStage]:
        """Return the stages after that of ``epoch`` (counted from 0) whose data differ from those of the one before."""
        left = [find_stage(self._stages, epoch), *(stage for stage in self._stages if stage.begin > epoch)]
        return [stage for before, stage in pairwise(left) if stage.data != before.data]

    def _check_run(self, runner: Runner) -> None:
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            raise ConfigError("TrainingStageHook needs train_cfg.by_epoch=True: its schedule counts epochs.")
        if any(stage.data for stage in self._stages) and not isinstance(runner.cfg.get("train_dataloader"), dict):
            raise ConfigError("TrainingStageHook can change the data only of a train_dataloader given as config.")
        for stage in self._stages:
            if stage.begin >= runner.max_epochs:
                runner.logger.warning(
                    f"Training stage {stage.name!r} begins at epoch {stage.begin}, but training ends after "
                    f"{count(runner.max_epochs, 'epoch')}: this stage will not be reached."
                )

    def _enter_current_stage(self, runner: Runner) -> None:
        stage = find_stage(self._stages, runner.epoch)
        _enter_stage(runner.model, stage.name)
        if stage.name != self._name:
            runner.logger.info(f"Training stage {stage.name!r} (since epoch {stage.begin}) at epoch {runner.epoch}.")
        if stage.data != self._data:
            config = copy.deepcopy(runner.cfg.train_dataloader)
            config.dataset = find_dataset(config.dataset, stage.data)
            diff_rank_seed = runner.cfg.get("randomness", {}).get("diff_rank_seed", False)
            loader = runner.build_dataloader(config, seed=runner.seed, diff_rank_seed=diff_rank_seed)
            runner.train_loop.dataloader = loader
            runner.logger.info(f"New training dataloader for stage {stage.name!r}.")
        self._name, self._data = stage.name, stage.data


def _enter_stage(model: nn.Module, name: str) -> None:
    """Put the head of ``model`` into a stage; the model may be wrapped for distributed training."""
    module = model.module if is_model_wrapper(model) else model
    head: Any = getattr(module, "head", None)
    if not hasattr(head, "enter_stage"):
        raise ConfigError(
            "TrainingStageHook needs a model whose head has training stages, as rtmo_plugin.RTMOHead; "
            f"got {type(module).__name__} with head {type(head).__name__}."
        )
    try:
        head.enter_stage(name)
    except KeyError as error:
        raise UnknownKeyError(f"schedule: {error.args[0]}") from error
