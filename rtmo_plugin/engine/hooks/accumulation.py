"""Gradient accumulation that ends with each epoch, so that a checkpoint holds all there is."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner

from rtmo_plugin.registry import HOOKS


@HOOKS.register_module()
class AccumulationHook(Hook):
    """Begin to accumulate gradients with each epoch.

    MMEngine counts batches through the whole run: where their number in an epoch is not a multiple of
    those in a step, a checkpoint would miss the gradients of an unfinished step.  So the last step
    of an epoch has fewer batches, as the last batch of an epoch has fewer images.
    """

    priority = "BELOW_NORMAL"  # after the stage's dataloader is there

    def before_train_epoch(self, runner: Runner) -> None:
        """Let the optimizer wrapper count from the first batch of this epoch to the last."""
        first = getattr(runner.train_loop, "first_batch", 0)  # not 0 where a run resumes within an epoch
        runner.optim_wrapper.initialize_count_status(runner.model, first, len(runner.train_loop.dataloader))
