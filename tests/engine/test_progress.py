"""The progress bar: on terminals only, from where a resumed run stands, closed before metrics print."""

import io
import sys
from types import SimpleNamespace

import pytest
from mmengine.logging import HistoryBuffer

from rtmo_plugin.engine.hooks.progress import ProgressBarHook


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def runner():
    scalars = {"train/loss": HistoryBuffer([3.25], [1]), "train/lr": HistoryBuffer([0.004], [1])}
    return SimpleNamespace(
        epoch=1,
        iter=2,
        max_epochs=5,
        max_iters=10,
        message_hub=SimpleNamespace(log_scalars=scalars),
        val_dataloader=range(3),
        test_dataloader=range(2),
    )


def run(runner):
    hook = ProgressBarHook()
    hook.before_train(runner)
    for index in range(8):
        hook.after_train_iter(runner, index, data_batch=None, outputs=None)
    hook.before_val_epoch(runner)
    for index in range(3):
        hook.after_val_iter(runner, index, data_batch=None, outputs=None)
    hook.after_train(runner)
    hook.before_test_epoch(runner)
    for index in range(2):
        hook.after_test_iter(runner, index, data_batch=None, outputs=None)


def test_bar_shows_epoch_loss_and_rate_up_to_the_end(runner, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    run(runner)
    shown = terminal.getvalue()
    assert "| 2/10 [" in shown  # where it began
    assert "epoch 2/5: 100%" in shown
    assert "loss=3.25, lr=0.004]" in shown
    assert "validating:" in shown
    assert "testing:" in shown


def test_nothing_is_drawn_into_a_file(runner, capsys):
    run(runner)
    assert capsys.readouterr() == ("", "")
