"""The loop of a training: plots and curves while it runs, and the reason when it ends early."""

from __future__ import annotations

from pathlib import Path

from rtmo_plugin.engine.hooks.batch_plots import FirstBatchHook
from rtmo_plugin.engine.hooks.best_checkpoint import BestCheckpointHook
from rtmo_plugin.engine.hooks.curves import CurvesHook
from rtmo_plugin.engine.hooks.divergence import DivergenceHook
from rtmo_plugin.engine.hooks.expected_time import ExpectedTimeHook
from rtmo_plugin.engine.hooks.prediction_plots import PictureHook
from rtmo_plugin.engine.hooks.progress import ProgressBarHook
from rtmo_plugin.engine.interruption import describe_kept
from rtmo_plugin.engine.runner import QuietRunner
from rtmo_plugin.errors import InterruptedRun, pass_on_interruptions


def run_loop(runner: QuietRunner, show_dir: str | Path | None) -> None:
    """Train with plots of the run, and close the progress bar before an early end is reported.

    Args:
        runner: Runner of ``build_training_runner``.
        show_dir: Folder for plots of the predictions during validation.

    Raises:
        InterruptedRun: Ctrl-C was pressed, or SIGTERM came.
        FloatingPointError: A loss is not finite.
    """
    divergence = DivergenceHook()
    hooks = [BestCheckpointHook(), CurvesHook(), ExpectedTimeHook(), FirstBatchHook(), divergence]
    for hook in (*hooks, *([PictureHook(show_dir)] if show_dir else [])):
        runner.register_hook(hook)
    try:
        with pass_on_interruptions(), divergence.explain(runner):
            runner.train()
    except InterruptedRun:
        raise
    except KeyboardInterrupt as error:
        raise InterruptedRun(describe_kept(runner)) from error
    finally:
        for hook in runner.hooks:
            if isinstance(hook, ProgressBarHook):
                hook.close()
    loop = runner.train_loop
    if getattr(loop, "stop_training", False) and runner.epoch < runner.max_epochs:
        print(f"training stopped early, after epoch {runner.epoch} of {runner.max_epochs}")
