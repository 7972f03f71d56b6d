"""Ctrl-C and SIGTERM: what was learned is kept, the terminal says how to go on, and nothing is lost by it."""

import contextlib
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config
from torch.utils.data import BatchSampler, DataLoader
from tqdm import tqdm

from rtmo_plugin.cli.command import Command, run_command
from rtmo_plugin.cli.train import COMMAND, list_resuming_arguments
from rtmo_plugin.engine.interruption import skip_batches
from rtmo_plugin.errors import InterruptedRun, report_user_errors
from rtmo_plugin.registry import METRICS
from rtmo_plugin.wording import count
from tests.engine.test_resume import find_different
from tests.faults.toy_training import DoAtStep, ToyMetric, describe, load, read_rate, run


def send(number):
    return lambda *_: os.kill(os.getpid(), number)


@METRICS.register_module()
class StoppedMetric(ToyMetric):
    """Presses Ctrl-C in the first batch of a validation."""

    is_on = True

    def process(self, data_batch, data_samples):
        super().process(data_batch, data_samples)
        if StoppedMetric.is_on:
            os.kill(os.getpid(), signal.SIGINT)


def describe_stop(step, **changes):
    cfg = describe(**changes)
    cfg.custom_hooks = [*cfg.custom_hooks, {"type": "rtmo_plugin.DoAtStep", "step": step}]
    cfg.default_hooks.checkpoint.interval = 4
    return cfg


def interrupt(folder, cfg, monkeypatch, number=signal.SIGINT, **options):
    monkeypatch.setattr(DoAtStep, "action", send(number))
    with pytest.raises(InterruptedRun) as error:
        run(folder, cfg, **options)
    monkeypatch.setattr(DoAtStep, "action", None)
    return error.value


@pytest.mark.parametrize(
    ("number", "step", "epochs", "workers"),
    [
        (signal.SIGINT, 1, 0, 0),
        (signal.SIGINT, 4, 1, 0),
        (signal.SIGTERM, 6, 1, 0),
        pytest.param(signal.SIGINT, 6, 1, 2, marks=pytest.mark.slow),  # workers take ten seconds to end
        (signal.SIGHUP, 15, 3, 0),
    ],
)
def test_interrupted_run_ends_as_the_unbroken_one(tmp_path, monkeypatch, capfd, number, step, epochs, workers):
    cfg = describe_stop(step)
    cfg.train_dataloader.num_workers, cfg.train_dataloader.persistent_workers = workers, workers > 0
    before = signal.getsignal(number)
    error = interrupt(tmp_path / "run", cfg, monkeypatch, number)
    assert signal.getsignal(number) is before
    assert error.exit_code == 128 + number
    best = f", the best is {tmp_path}/run/best.pth (AP " if (tmp_path / "run/best.pth").is_file() else ""
    assert str(error).partition("0.")[0] == (
        f"interrupted after {epochs} of 4 epochs ({count(step, 'step')}): "
        f"the last checkpoint is {tmp_path}/run/last.pth{best}"
    )
    assert "stopping after this step" in capfd.readouterr().err
    assert (load(tmp_path / "run/last.pth")["meta"]["epoch"], load(tmp_path / "run/last.pth")["meta"]["iter"]) == (
        epochs,
        step,
    )
    run(tmp_path / "run", cfg, resume="auto")
    run(tmp_path / "straight", cfg)
    found, expected = (load(tmp_path / f"{name}/epoch_4.pth") for name in ("run", "straight"))
    for part in ("state_dict", "ema_state_dict", "optimizer", "param_schedulers"):
        assert find_different(found[part], expected[part], part) == []
    assert not (tmp_path / "run/last.pth").exists()


def test_accumulated_gradients_are_not_lost(tmp_path, monkeypatch):
    """Steps of six images: a signal in their middle waits for the third batch."""
    cfg = describe_stop(5, length=16)  # eight batches an epoch
    error = interrupt(tmp_path / "run", cfg, monkeypatch, total_batch=6)
    assert "(6 steps)" in str(error)
    run(tmp_path / "run", cfg, total_batch=6, resume="auto")
    run(tmp_path / "straight", cfg, total_batch=6)
    found, expected = (load(tmp_path / f"{name}/epoch_4.pth") for name in ("run", "straight"))
    for part in ("state_dict", "ema_state_dict", "optimizer", "param_schedulers"):
        assert find_different(found[part], expected[part], part) == []


def test_epoch_begins_again_where_the_batches_are_others(tmp_path, monkeypatch, capsys):
    interrupt(tmp_path, describe_stop(6), monkeypatch)
    run(tmp_path, describe(batch_size=1), resume="auto")
    assert "epoch 2 begins at step 8" in capsys.readouterr().out
    assert load(tmp_path / "epoch_4.pth")["meta"]["iter"] == 32


def test_interruption_of_a_validation_loses_nothing(tmp_path, monkeypatch):
    cfg = describe_stop(99, val_evaluator={"type": "rtmo_plugin.StoppedMetric"})
    with pytest.raises(InterruptedRun, match=r"interrupted after 2 of 4 epochs \(8 steps\): .*last\.pth"):
        run(tmp_path / "run", cfg)
    monkeypatch.setattr(StoppedMetric, "is_on", False)
    assert 0 < run(tmp_path / "run", cfg, resume="auto").metrics["toy/AP"] < 1
    run(tmp_path / "straight", cfg)
    found, expected = (load(tmp_path / f"{name}/epoch_4.pth") for name in ("run", "straight"))
    for part in ("state_dict", "ema_state_dict", "optimizer", "param_schedulers"):
        assert find_different(found[part], expected[part], part) == []


def test_second_signal_stops_at_once(tmp_path, monkeypatch):
    def press_twice(runner):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(DoAtStep, "action", press_twice)
    with pytest.raises(InterruptedRun, match="no checkpoint was written"):
        run(tmp_path, describe_stop(2))
    assert not list(tmp_path.glob("*.pth"))


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_signal_while_a_config_is_written_as_text_is_not_a_config_error(tmp_path, monkeypatch):
    def write(*_, **__):  # MMEngine turns whatever the formatter raises into a SyntaxError with the whole config
        raise KeyboardInterrupt

    def save(runner):
        monkeypatch.setattr("mmengine.config.config.FormatCode", write)
        runner.save_checkpoint(runner.work_dir, "some.pth")

    monkeypatch.setattr(DoAtStep, "action", save)
    with pytest.raises(InterruptedRun, match="no checkpoint was written"):
        run(tmp_path, Config(describe_stop(2).to_dict()))


def test_signal_before_training_is_not_a_config_error(capsys):
    error = SyntaxError("Failed to format the config file")
    error.__context__ = KeyboardInterrupt()  # as MMEngine raises it
    with pytest.raises(SystemExit) as exit_error, report_user_errors():
        raise error
    assert (exit_error.value.code, capsys.readouterr().err) == (130, "\ninterrupted\n")


def test_bar_is_closed_before_the_last_word(tmp_path, monkeypatch):
    terminal = Terminal()
    with contextlib.redirect_stderr(terminal):
        interrupt(tmp_path, describe_stop(6), monkeypatch)
    assert "epoch 2/4" in terminal.getvalue()
    assert not getattr(tqdm, "_instances", None)  # none is left that would draw itself again


def test_early_stop_is_reported(tmp_path, capsys):
    cfg = describe(max_epochs=9)
    cfg.train_cfg.val_interval = 1
    hook = {"type": "EarlyStoppingHook", "monitor": "toy/AP", "rule": "greater", "patience": 2}
    cfg.custom_hooks = [*cfg.custom_hooks, hook]
    run(tmp_path, cfg)
    out = capsys.readouterr().out
    assert "the monitored metric did not improve in the last 2 records" in " ".join(out.split())
    assert "training stopped early, after epoch 3 of 9" in out


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("rtmo-s_coco --data-root data/ --amp", "rtmo-s_coco --data-root data/ --amp --resume"),
        ("rtmo-s_coco --resume", "rtmo-s_coco --resume"),
        ("rtmo-s_coco --resume a.pth --seed 3", "rtmo-s_coco --seed 3 --resume"),
        ("x.py --load-from=a.pth --overwrite --work-dir w", "x.py --work-dir w --resume"),
        ("x.py --transfer-from a.pth --overwrite", "x.py --resume"),
        ("--over x.py --load a.pth --amp", "x.py --amp --resume"),
        ("x.py --tran=a.pth --data-root -- y", "x.py --data-root -- y --resume"),
    ],
)
def test_command_that_goes_on(given, expected):
    assert list_resuming_arguments(given.split()) == expected.split()


def test_command_is_printed_with_quotes(capsys):
    def stop(**_):
        raise InterruptedRun("interrupted", signal.SIGTERM)

    command = Command("train", (), lambda parser: parser.add_argument("config"), stop, "", list_resuming_arguments)
    with pytest.raises(SystemExit) as error:
        run_command(command, "rtmo train", ["my config.py"])
    assert error.value.code == 143
    assert capsys.readouterr().err == "\ninterrupted\nto go on: rtmo train 'my config.py' --resume\n"


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_skipped_once_without_being_loaded(workers):
    loader = DataLoader(range(10), batch_sampler=BatchSampler(range(10), 2, drop_last=False), num_workers=workers,
                        persistent_workers=workers > 0)  # fmt: skip
    skip_batches(loader, 3)
    assert [batch.tolist() for batch in loader] == [[6, 7], [8, 9]]
    assert len(list(loader)) == len(loader) == 5


def test_process_that_is_terminated_keeps_its_state(tmp_path):
    """The whole way: a process, a real signal, its exit code and what it prints."""
    code = (
        "import os, signal\nfrom rtmo_plugin.errors import report_user_errors\n"
        "from tests.faults.toy_training import DoAtStep, describe, run\n"
        "DoAtStep.action = lambda runner: os.kill(os.getpid(), signal.SIGTERM)\ncfg = describe()\n"
        "cfg.custom_hooks = [*cfg.custom_hooks, dict(type='rtmo_plugin.DoAtStep', step=2)]\n"
        f"with report_user_errors():\n    run({str(tmp_path)!r}, cfg)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=root,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 143, done.stderr
    assert done.stderr.splitlines()[-1].startswith("interrupted after 0 of 4 epochs (2 steps): the last checkpoint is")
    assert "Traceback" not in done.stderr
    assert read_rate(tmp_path / "last.pth") > 0


def test_several_processes_are_started_again_by_what_started_them(capsys):
    def stop(**_):
        raise InterruptedRun("interrupted")

    command = Command("train", (), COMMAND.add_arguments, stop, "", list_resuming_arguments)
    with pytest.raises(SystemExit):
        run_command(command, "rtmo train", ["a.py", "--launcher", "pytorch", "--overwrite"])
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "to go on: start the processes again with the arguments a.py --launcher pytorch --resume"
