"""Progress bars with the time left on terminals; logs keep MMEngine's lines."""

from __future__ import annotations

from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from tqdm import tqdm

from rtmo_plugin.progress_bar import is_terminal, show_progress
from rtmo_plugin.registry import HOOKS

_SHOWN = {"loss": "train/loss", "lr": "train/lr"}


@HOOKS.register_module()
class ProgressBarHook(Hook):
    """Show a progress bar for the whole training and one for each evaluation.

    Bars are drawn on stderr, only by the main process and only if stderr is a terminal.
    """

    priority = "VERY_LOW"  # after the hooks that compute the values shown

    def __init__(self) -> None:
        self._train_bar: tqdm[Any] | None = None
        self._eval_bar: tqdm[Any] | None = None

    def before_train(self, runner: Runner) -> None:
        """Open the training bar, at the current step of a resumed run."""
        self._train_bar = _open_bar("training", runner.max_iters, runner.iter)

    def after_train_iter(self, runner: Runner, batch_idx: int, *_: Any, **__: Any) -> None:
        """Advance the training bar and show epoch, loss and learning rate."""
        if self._train_bar is not None:
            self._train_bar.set_description(f"epoch {runner.epoch + 1}/{runner.max_epochs}", refresh=False)
            scalars = runner.message_hub.log_scalars
            shown = {label: f"{scalars[name].current():.3g}" for label, name in _SHOWN.items() if name in scalars}
            self._train_bar.set_postfix(shown, refresh=False)
            self._train_bar.update()

    def after_train(self, runner: Runner) -> None:
        """Close the training bar."""
        self.close()

    def close(self) -> None:
        """Close the open bars, so that nothing redraws them."""
        for bar in filter(None, (self._train_bar, self._eval_bar)):
            bar.close()
        self._train_bar = self._eval_bar = None

    def before_val_epoch(self, runner: Runner) -> None:
        """Open a bar for this validation."""
        self._eval_bar = _open_bar("validating", len(runner.val_dataloader))

    def before_test_epoch(self, runner: Runner) -> None:
        """Open a bar for this test."""
        self._eval_bar = _open_bar("testing", len(runner.test_dataloader))

    def after_val_iter(self, *_: Any, **__: Any) -> None:
        """Advance the bar of the validation."""
        self._advance_evaluation()

    def after_test_iter(self, *_: Any, **__: Any) -> None:
        """Advance the bar of the test."""
        self._advance_evaluation()

    def _advance_evaluation(self) -> None:
        """Advance the evaluation bar, and close it after the last batch, before metrics are printed."""
        if self._eval_bar is not None:
            self._eval_bar.update()
            if self._eval_bar.n >= self._eval_bar.total:
                self._eval_bar.close()
                self._eval_bar = None


def is_bar_shown() -> bool:
    """Return whether this process shows progress bars: the main process on a terminal."""
    return is_terminal() and is_main_process()


def _open_bar(what: str, total: int, done: int = 0) -> tqdm[Any] | None:
    if not is_bar_shown():
        return None
    return show_progress(desc=what, total=total, initial=done, leave=what == "training", unit="batch")
