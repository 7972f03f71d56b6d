"""Gradient accumulation that ends with each epoch, so that a checkpoint misses no gradients."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner

from rtmo_plugin.registry import HOOKS


@HOOKS.register_module()
class AccumulationHook(Hook):
    """Restart gradient accumulation with each epoch.

    MMEngine counts batches over the whole run: if the batches of an epoch are not a multiple of the
    batches of a step, a checkpoint would miss the gradients of an unfinished step.  So the last step
    of an epoch has fewer batches, as the last batch of an epoch has fewer images.
    """

    priority = "BELOW_NORMAL"  # after TrainingStageHook has built the dataloader

    def before_train_epoch(self, runner: Runner) -> None:
        """Make the optimizer wrapper count the batches of this epoch only."""
        first = getattr(runner.train_loop, "first_batch", 0)  # not 0 if the run was resumed within this epoch
        runner.optim_wrapper.initialize_count_status(runner.model, first, len(runner.train_loop.dataloader))
