"""A signal to any of several processes stops all of them after one step, and they resume to the same weights."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from rtmo_plugin.engine.hooks.process_buffers import ProcessBuffersHook
from rtmo_plugin.errors import report_user_errors
from tests.conftest import ROOT
from tests.engine.test_distribution import start
from tests.engine.test_freezing import describe_parts
from tests.engine.test_resume import find_different
from tests.faults.toy_training import DoAtStep, load, run

STEP = {"type": "rtmo_plugin.DoAtStep"}


def train_rank(rank, folder, signaled, step, options):
    """Train in one of two processes; those in ``signaled`` get a signal after a step, some of them twice."""
    folder.mkdir(exist_ok=True)
    sys.stdout = sys.stderr = (folder / f"console_{rank}.txt").open("a", buffering=1)
    os.dup2(sys.stderr.fileno(), 2)
    cfg = describe_parts(length=16, batch_size=2)  # four steps an epoch
    cfg.default_hooks.checkpoint.interval = 4
    cfg.custom_hooks = [*cfg.custom_hooks, {**STEP, "step": step}]
    DoAtStep.action = lambda _: [os.kill(os.getpid(), signal.SIGTERM) for _ in range(signaled.count(rank))]
    with report_user_errors():
        run(folder, cfg, validate=False, launcher="pytorch", **options)


def train_together(folder, signaled=(), step=0, **options):
    codes = start(train_rank, folder, signaled, step, options)
    return codes, [(folder / f"console_{rank}.txt").read_text() for rank in range(2)]


def assert_same(folder, straight):
    found, expected = (load(each / "epoch_4.pth") for each in (folder, straight))
    for part in ("state_dict", "ema_state_dict", "optimizer", "param_schedulers"):
        assert find_different(found[part], expected[part], part) == []


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    folder = tmp_path_factory.mktemp("straight")
    codes, consoles = train_together(folder)
    assert codes == [0, 0], consoles
    return folder


@pytest.mark.parametrize(
    ("signaled", "step", "epochs", "steps"),
    [
        ((1,), 5, 1, 6),  # one process alone
        ((0, 1, 0, 1), 5, 1, 6),  # the terminal's signal and that of the launcher
        ((0,), 7, 2, 8),  # where the epoch is over before the others know
    ],
)
def test_processes_stop_after_the_same_step_and_resume_to_the_same_weights(
    straight, tmp_path, signaled, step, epochs, steps
):
    codes, consoles = train_together(tmp_path, signaled, step)
    assert codes == [143, 143], consoles
    kept = f"interrupted after {epochs} of 4 epochs ({steps} steps): the last checkpoint is {tmp_path}/last.pth"
    assert [kept in console for console in consoles] == [True, True]
    assert consoles[0].count("stopping after this step") == (0 in signaled)
    assert "stopping after this step" not in consoles[1]
    last = load(tmp_path / "last.pth")
    assert ("process_buffers" in last) == ("batch" in last["meta"]) == (steps % 4 > 0)
    assert train_together(tmp_path, resume="auto")[0] == [0, 0]
    assert_same(tmp_path, straight)


def test_one_process_continues_what_two_began(straight, tmp_path):
    """With twice the images at a time, as the same steps; statistics of batch norm are of other batches then."""
    train_together(tmp_path, (0, 1), 5)
    cfg = describe_parts(length=16, batch_size=4)
    result = run(tmp_path, cfg, validate=False, resume="auto")
    assert load(result.checkpoint)["meta"]["iter"] == 16


def test_buffers_of_another_number_of_processes_are_left(tmp_path):
    hook = ProcessBuffersHook()
    hook.after_load_checkpoint(None, {"process_buffers": [{}, {}]})
    hook.before_train(None)  # would fail without a runner


@pytest.mark.slow
def test_torchrun_passes_its_signal_on(config, data_root, tmp_path):
    """The real model: the launcher is terminated in the middle of an epoch, and started again."""

    def launch(folder, *options):
        launcher = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
        tool = [
            ROOT / "tools/train.py",
            config,
            "--launcher",
            "pytorch",
            "--data-root",
            data_root,
            "--work-dir",
            folder,
        ]
        epochs = ["--cfg-options", "train_cfg.max_epochs=12", "default_hooks.checkpoint.interval=12"]
        more = ["--no-validate", "--seed", "0", *epochs, "train_dataloader.batch_size=1", *options]
        environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
        command = [*map(str, [*launcher, *tool, *more])]
        return subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True)

    def wait_for_steps(folder, number):
        for _ in range(1200):
            lines = sum(path.read_text().count("Epoch(train)") for path in folder.glob("*/*.log"))
            if lines >= number:
                return
            time.sleep(0.1)

    assert launch(tmp_path / "straight").wait(600) == 0
    process = launch(tmp_path / "run")
    wait_for_steps(tmp_path / "run", 3)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert "of 12 epochs" in errors
    assert "to go on: start the processes again with the arguments" in errors
    assert (tmp_path / "run/last.pth").is_file()
    assert launch(tmp_path / "run", "--resume").wait(600) == 0
    found, expected = (torch.load(tmp_path / f"{each}/epoch_12.pth", weights_only=True) for each in ("run", "straight"))
    for part in ("state_dict", "ema_state_dict", "optimizer"):
        assert find_different(found[part], expected[part], part) == []
