"""A dry run: what it measures, says and leaves behind."""

import json
import re
import shutil
from dataclasses import replace

import pytest
import torch
from mmengine.config import Config

from rtmo_plugin.api import train
from rtmo_plugin.cli.main import main
from rtmo_plugin.engine.hooks.training_stages import TrainingStageHook
from rtmo_plugin.errors import ConfigError, InterruptedRun, MissingFileError
from rtmo_plugin.speed import dry_run
from rtmo_plugin.speed.dry_run import StepTimer, StepTimes, TrainingSetup, advise

CPU = TrainingSetup("cpu", 16, 1, num_workers=2, num_cores=4, has_amp=False, has_cache=False)
GPU = TrainingSetup("cuda", 32, 1, 8, 16, has_amp=True, has_cache=False, gpu_mib=70_000, gpu_total_mib=100_000)
WAITS, WORKS = StepTimes((0.3, 0.3), (0.1, 0.1)), StepTimes((0.001, 0.001), (0.1, 0.1))


def list_files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_dry_run_says_what_a_training_will_take_and_leaves_nothing(config, data_root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = train(config, data_root=data_root, work_dir="work/deep/run", seed=0, dry_run=True)
    assert list_files(tmp_path) == []
    assert found.num_steps == 1  # two steps an epoch, of which the first is not measured
    assert found.schedule == "3 epochs, 6 steps"
    assert found.hours == pytest.approx(6 * found.step_seconds / 3600)
    assert found.images_per_second == pytest.approx(2 / found.step_seconds)
    assert found.left_out == (
        "validation on 3 images",
        "stage finish from epoch 3 has other data, counted at this speed",
    )
    assert found.setup.device == "cuda" or found.setup.gpu_mib is None
    assert found.peak_memory_mib > 100
    text = str(found)
    assert "speed:" in text
    assert "whole training: " in text
    assert "faster by:" in text
    assert ("GPU memory:" in text) == torch.cuda.is_available()


def test_dry_run_of_an_existing_folder_keeps_its_files_and_refuses_what_a_training_would(
    config, data_root, trained, tmp_path
):
    folder = shutil.copytree(trained.checkpoint.parent, tmp_path / "run")
    before = {name: (folder / name).stat().st_mtime_ns for name in list_files(folder)}
    options = {"data_root": data_root, "work_dir": folder, "dry_run": True, "validate": False}
    with pytest.raises(ConfigError, match="holds the checkpoints of an earlier run"):
        train(config, **options)
    train(config, **options, overwrite=True)
    resumed = train(config, **options, resume=folder / "epoch_2.pth", overwrite=True)
    assert resumed.schedule == "1 epoch, 2 steps"
    assert resumed.left_out == ()
    after = {name: (folder / name).stat().st_mtime_ns for name in list_files(folder) if name != ".lock"}
    assert after == {name: time for name, time in before.items() if name != ".lock"}


def test_dry_run_checks_what_a_training_checks(config, data_root, tmp_path):
    with pytest.raises(MissingFileError):
        train(config, data_root=tmp_path / "nowhere", work_dir=tmp_path / "run", dry_run=True)
    options = {"optim_wrapper.optimizer.type": "AdmW"}
    with pytest.raises(ConfigError, match="the optimizer is unknown"):
        train(config, data_root=data_root, work_dir=tmp_path / "run", dry_run=True, cfg_options=options)
    assert list_files(tmp_path) == []


def test_command_prints_json_alone(config, data_root, tmp_path, capsys):
    main(["train", str(config), "--data-root", str(data_root), "--work-dir", str(tmp_path / "run"), "--dry-run",
          "--batch-size", "1", "--total-batch", "2", "--json"])  # fmt: skip
    printed = json.loads(capsys.readouterr().out)
    assert (printed["batch_size"], printed["num_steps"]) == (1, 2)  # of three steps in an epoch
    assert printed["wait_share"] < 1
    assert list_files(tmp_path) == []


def test_result_of_a_training_is_json_too(trained):
    assert json.loads(json.dumps(trained.describe())) == {
        "metrics": dict(trained.metrics),
        "checkpoint": str(trained.checkpoint),
        "log_dir": str(trained.log_dir),
        "epochs": 3,
        "early_stop": None,
        "frozen": [],
        "best": {"checkpoint": str(trained.best.path), "AP": trained.best.ap, "epoch": trained.best.epoch},
    }


def test_interrupted_dry_run_has_nothing_to_resume(config, data_root, tmp_path, capsys, monkeypatch):
    def interrupt(*_):
        raise InterruptedRun("the dry run was interrupted, and nothing is kept", 15)

    monkeypatch.setattr(dry_run, "_train_steps", interrupt)
    with pytest.raises(SystemExit) as error:
        main(["train", str(config), "--data-root", str(data_root), "--work-dir", str(tmp_path / "run"), "--dry-run"])
    assert error.value.code == 143
    assert capsys.readouterr().err == "\nthe dry run was interrupted, and nothing is kept\n"
    assert list_files(tmp_path) == []


class Clock:
    """Marks from a list of times."""

    def __init__(self, times):
        self._times = iter(times)

    def __call__(self):
        return next(self._times)


def test_waits_are_between_steps_and_the_first_steps_do_not_count(monkeypatch):
    begin, steps = 100.0, [(5.0, 9.0), (1.0, 2.0), (1.0, 2.0), (2.0, 2.0), (2.0, 4.0), (0.0, 2.0)]
    times = [begin]
    for wait, work in steps:
        times += [times[-1] + wait, times[-1] + wait + work]
    monkeypatch.setattr(dry_run, "_mark", Clock(times))
    timer = StepTimer(6, None)
    runner = Config({"iter": 7, "train_loop": {"dataloader": range(100)}})
    timer.before_train_epoch(runner)
    for number in range(6):
        timer.before_train_iter(runner, number)
        if number < 5:
            timer.after_train_iter(runner, number)
    with pytest.raises(dry_run._EnoughSteps):
        timer.after_train_iter(runner, 5)
    timer.close()
    assert timer.first_step == 7
    assert timer.read(0) == StepTimes((1, 1, 2, 2, 0), (2, 2, 2, 4, 2))
    prefetched = timer.read(2)
    assert prefetched == StepTimes((1, 2, 2, 0), (2, 2, 4, 2))
    assert timer.read(100) == StepTimes((2, 2, 0), (2, 4, 2))  # half of the steps count in any case
    assert (prefetched.wait, prefetched.work, prefetched.total) == (1.25, 2, 3.25)
    assert prefetched.wait_share == pytest.approx(1.25 / 3.25)


def test_timer_stops_before_the_end_of_an_epoch_and_when_it_takes_long():
    runner = Config({"iter": 0, "train_loop": {"dataloader": range(3)}})
    timer = StepTimer(50, None)
    timer.before_train_epoch(runner)
    timer.before_train_iter(runner, 2)
    with pytest.raises(dry_run._EnoughSteps):
        timer.after_train_iter(runner, 2)
    runner.train_loop.dataloader = range(100)
    slow = StepTimer(50, -1.0)
    slow.before_train_epoch(runner)
    for number in range(dry_run._LEAST_STEPS - 1):
        slow.before_train_iter(runner, number)
        slow.after_train_iter(runner, number)
    slow.before_train_iter(runner, 5)
    with pytest.raises(dry_run._EnoughSteps):
        slow.after_train_iter(runner, 5)


@pytest.mark.parametrize(
    ("times", "setup", "advice"),
    [
        (WAITS, replace(CPU, num_workers=0), "raise num_workers to 3 .*num_workers=3.: 75 % of the time waits"),
        (WAITS, CPU, "raise num_workers to 4 "),
        (WAITS, replace(CPU, num_workers=4), "--cache-gb: 75 % .*, there are 4 workers on 4 cores"),
        (WAITS, replace(CPU, num_workers=4, has_cache=True), "more cores: 75 % of the time waits for data with 4 work"),
        (WAITS, replace(GPU, num_processes=8, num_workers=1), "--cache-gb"),  # 16 cores for 8 processes
        (WORKS, CPU, "--amp: 99 % of the time is computing"),
        (WORKS, replace(CPU, has_amp=True), "nothing: 99 % of the time is computing, and --amp is on"),
        (WORKS, GPU, "nothing: 99 %"),
        (WORKS, replace(GPU, has_amp=False), "--amp: 99 %"),
        (WORKS, replace(GPU, gpu_mib=20_000), r"a larger batch \(--batch-size auto\): 20 % of the GPU's memory"),
        (WORKS, replace(GPU, gpu_mib=95_000), "nothing, but 95 % of the GPU's memory is in use: a smaller batch"),
    ],
)
def test_advice_follows_from_the_numbers(times, setup, advice):
    assert re.match(advice, advise(times, setup))


def test_stages_with_other_data_are_those_to_come():
    hook = TrainingStageHook(
        {"warmup": {"begin": 0}, "refine": {"begin": 3}, "finish": {"begin": 5, "pipeline": []}, "last": {"begin": 7}}
    )
    assert [stage.name for stage in hook.list_data_changes(0)] == ["finish"]
    assert [stage.name for stage in hook.list_data_changes(4)] == ["finish"]
    assert hook.list_data_changes(5) == []
