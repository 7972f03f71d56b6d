"""Steps per epoch and images per step of a run, noted in its checkpoints and compared on resume."""

from __future__ import annotations

from typing import Any

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from rtmo_plugin.engine.interruption import ResumableTrainLoop
from rtmo_plugin.engine.resumed_schedule import PlannedSchedule, find_last_step

_STEPS, _IMAGES, _EPOCHS = "steps_an_epoch", "images_a_step", "max_epochs"


def describe_steps(runner: Any) -> dict[str, int]:
    """Return the steps in an epoch of the run's first data, the images in an optimizer step, and the epochs."""
    loaded = (runner.train_dataloader.batch_size or 0) * get_world_size()
    return {
        _STEPS: runner.steps_an_epoch,
        _IMAGES: loaded * getattr(runner.optim_wrapper, "_accumulative_counts", 1),
        _EPOCHS: runner.max_epochs,
    }


def continue_as_configured(runner: Any, planned: PlannedSchedule) -> None:
    """Make a resumed run follow its config, and log what differs from the checkpoint.

    Args:
        runner: Runner whose ``resumed`` has the notes of the checkpoint.
        planned: Optimizer options and schedule of the config.

    Raises:
        CheckpointError: The config's schedule cannot be continued.
    """
    loop, notes, now, warn = runner.train_loop, runner.resumed, describe_steps(runner), runner.logger.warning
    steps, num_batches = _find_steps(runner), int(notes.get("batch", 0))
    has_other_steps = steps not in (0, now[_STEPS])
    is_rewound = num_batches > 0 and (has_other_steps or notes.get(_IMAGES) != now[_IMAGES])
    if is_rewound:
        loop._iter, num_batches = loop.iter - num_batches, 0
    if has_other_steps:
        loop._iter = round(loop.iter * now[_STEPS] / steps)
        warn(f"An epoch has {now[_STEPS]} steps, and had {steps}: epoch {loop.epoch + 1} begins at step {loop.iter}.")
    if notes.get(_IMAGES) and notes[_IMAGES] != now[_IMAGES]:
        again = f" Epoch {loop.epoch + 1} begins again." if is_rewound else ""
        warn(f"A step has {now[_IMAGES]} images, and had {notes[_IMAGES]} before this run was resumed.{again}")
    if notes.get(_EPOCHS) and notes[_EPOCHS] != now[_EPOCHS]:
        warn(
            f"This run ends after epoch {now[_EPOCHS]}, and was to end after {notes[_EPOCHS]}: from here on learning "
            f"rate and training stages are those of {now[_EPOCHS]} epochs."
        )
    if isinstance(loop, ResumableTrainLoop):
        loop.first_batch = num_batches
    is_changed = planned.differs(notes.get("num_schedulers", 0))
    if not (has_other_steps or is_changed or (is_rewound and not planned.follows_metrics)):
        return
    before = runner.optim_wrapper.param_groups[0]["lr"]
    planned.apply(loop.epoch, loop.iter, num_batches)
    after = runner.optim_wrapper.param_groups[0]["lr"]
    if has_other_steps or is_changed:
        warn(
            "Optimizer options and schedule of the config differ from those of the checkpoint, and the config's are "
            f"followed: the learning rate is {after:.3g} (checkpoint: {before:.3g})."
        )


def _find_steps(runner: Any) -> int:
    """Return the steps in an epoch of the run that wrote the checkpoint, or 0 if it cannot be told."""
    notes = runner.resumed
    if _STEPS in notes:
        return int(notes[_STEPS])
    stages = (runner.cfg.get("default_hooks") or {}).get("training_stages") or {}
    is_whole = notes.get("epoch") and notes["iter"] % notes["epoch"] == 0
    if (
        "dataset" in str(stages.get("schedule"))
        or not is_whole
        or not isinstance(runner.train_loop, EpochBasedTrainLoop)
    ):
        return 0
    return int(notes["iter"] // notes["epoch"])


class ScheduleEndHook(Hook):
    """Warns before training if epochs and schedule end at different steps, or if nothing is left to train."""

    priority = "VERY_HIGH"

    def before_train(self, runner: Runner) -> None:
        """Compare the ends."""
        loop = runner.train_loop
        if not isinstance(loop, EpochBasedTrainLoop):
            return
        if loop.epoch >= loop.max_epochs:
            runner.logger.warning(
                f"Nothing is left to train: {loop.epoch} epochs are done, and train_cfg.max_epochs is "
                f"{loop.max_epochs}."
            )
        steps = runner.steps_an_epoch
        end = find_last_step(runner.param_schedulers, steps)
        if end is not None and end < loop.max_epochs * steps:
            runner.logger.warning(
                f"The schedule ends after epoch {end / steps:g}, and training after epoch {loop.max_epochs}: from "
                "there on the learning rate stays as it is."
            )
