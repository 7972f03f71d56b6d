"""Checkpoints are there after a kill, belong to one run, and a resumed run does what its config says."""

import contextlib
import multiprocessing
import os
import shutil
import time

import pytest
from mmengine.runner import Runner

from rtmo_plugin.engine.resuming import find_resumable
from rtmo_plugin.engine.work_folder import claim_work_dir
from rtmo_plugin.errors import CheckpointError, ConfigError, UserError
from tests.engine.test_resume import find_different
from tests.faults.toy_training import describe, load, read_rate, run

KEEP_ONE = {"checkpoint": {"type": "CheckpointHook", "interval": 1, "max_keep_ckpts": 1}}
KEEP_BEST = {"checkpoint": {**KEEP_ONE["checkpoint"], "save_best": "toy/AP", "rule": "less"}}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return the folder of a run that ended."""
    folder = tmp_path_factory.mktemp("finished")
    run(folder)
    return folder


@pytest.fixture
def folder(finished, tmp_path):
    """Return a copy of the folder of a run that ended."""
    return shutil.copytree(finished, tmp_path / "run")


def stop_at_epoch(folder, epoch):
    """Leave what a run would have that was killed after so many epochs."""
    for path in folder.glob("epoch_*.pth"):
        if int(path.stem[6:]) > epoch:
            path.unlink()


def names(folder):
    return sorted(path.name for path in folder.glob("*.pth*") if path.name != "best.pth")


@contextlib.contextmanager
def disk_full_at_save(number):
    """Let the writing of a checkpoint fail half-way at the ``number``-th time."""
    save, calls = Runner.save_checkpoint, []

    def fail(runner, out_dir, filename, *args, **kwargs):
        calls.append(sorted(name for name in os.listdir(out_dir) if name.endswith(".pth")))
        if len(calls) == number:
            with open(os.path.join(out_dir, filename), "wb") as file:
                file.write(b"half")
            raise OSError(28, "No space left on device")
        save(runner, out_dir, filename, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Runner, "save_checkpoint", fail)
        yield calls


@pytest.mark.parametrize("hooks", [KEEP_ONE, KEEP_BEST])
@pytest.mark.parametrize("number", [2, 3, 4, 5])
def test_only_checkpoint_is_there_while_the_next_is_written(tmp_path, hooks, number):
    with disk_full_at_save(number) as calls, pytest.raises(UserError, match="cannot be written: No space left"):
        run(tmp_path, describe(default_hooks=hooks, max_epochs=9))
    assert "epoch_" in "".join(calls[-1])
    assert all(load(tmp_path / name) for name in names(tmp_path))
    assert not list(tmp_path.glob(".*.part.pth"))
    before = find_resumable(tmp_path)
    assert before is not None
    run(tmp_path, describe(default_hooks=hooks, max_epochs=9), resume="auto")
    assert [name for name in names(tmp_path) if name.startswith("epoch")] == ["epoch_9.pth"]


def test_best_checkpoint_is_replaced_last(tmp_path):
    run(tmp_path, describe(default_hooks=KEEP_BEST, max_epochs=4))
    assert names(tmp_path) == ["best_toy_AP_epoch_4.pth", "epoch_4.pth"]


def test_copied_folder_resumes_the_furthest_epoch(folder):
    for path in sorted(folder.glob("epoch_*.pth"), reverse=True):  # a copy may write the files in any order
        os.utime(path, (2_000_000_000 - int(path.stem[6:]),) * 2)
    assert find_resumable(folder).name == "epoch_4.pth"


def hold(folder, ready):
    with claim_work_dir(describe(work_dir=str(folder))):
        ready.set()
        time.sleep(600)


def test_second_run_in_a_folder_is_refused_until_the_first_is_gone(tmp_path):
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=hold, args=(tmp_path, ready))
    process.start()
    try:
        assert ready.wait(60)
        words = rf"Another training runs in .* \(process {process.pid} on .*--work-dir"
        with pytest.raises(ConfigError, match=words):
            run(tmp_path)
    finally:
        process.kill()
        process.join()
    (tmp_path / ".epoch_1.0123456789ab.part.pth").write_bytes(b"half")
    run(tmp_path, describe(max_epochs=1))
    assert names(tmp_path) == ["epoch_1.pth"]


def test_finished_checkpoints_are_not_replaced_unasked(folder):
    before = {path: path.read_bytes() for path in folder.glob("*.pth")}
    with pytest.raises(ConfigError, match=r"holds the checkpoints of an earlier run \(epoch_1.pth, .*--overwrite"):
        run(folder, describe(max_epochs=2))
    with pytest.raises(ConfigError, match=r"from which this run is to start: name another --work-dir"):
        run(folder, load_from=folder / "epoch_3.pth", overwrite=True)
    with pytest.raises(
        ConfigError, match=r"holds checkpoints of later epochs than .*epoch_2.pth \(epoch_3.pth, epoch_4"
    ):
        run(folder, resume=folder / "epoch_2.pth")
    assert {path: path.read_bytes() for path in folder.glob("*.pth")} == before
    run(folder, describe(max_epochs=2), overwrite=True)
    assert names(folder) == ["epoch_1.pth", "epoch_2.pth"]


def test_wrong_config_removes_nothing_though_it_may_overwrite(folder):
    with pytest.raises(ConfigError):
        run(folder, describe(optim_wrapper={"optimizer": {"type": "NoSuch", "lr": 1.0}}), overwrite=True)
    assert len(names(folder)) == 4


def test_earlier_checkpoint_can_be_resumed_when_asked(folder, finished):
    run(folder, resume=folder / "epoch_2.pth", overwrite=True)
    for part in ("state_dict", "ema_state_dict", "optimizer", "param_schedulers"):
        found, expected = (load(each / "epoch_4.pth")[part] for each in (folder, finished))
        assert find_different(found, expected, part) == []


def test_changed_rate_is_followed_and_reported(folder, tmp_path, capsys):
    cfg = describe(optim_wrapper={"optimizer": {"type": "AdamW", "lr": 0.01, "weight_decay": 0.2}})
    run(tmp_path / "straight", cfg)
    stop_at_epoch(folder, 2)
    capsys.readouterr()
    run(folder, cfg, resume="auto")
    out = " ".join(capsys.readouterr().out.split())
    assert "the config's are followed: the learning rate is 0.0075 (checkpoint: 0.075)" in out
    for epoch in (3, 4):
        found, expected = (load(each / f"epoch_{epoch}.pth") for each in (folder, tmp_path / "straight"))
        assert find_different(found["param_schedulers"], expected["param_schedulers"], "schedule") == []
        assert find_different(found["optimizer"]["param_groups"], expected["optimizer"]["param_groups"], "groups") == []


@pytest.mark.parametrize(("batch_size", "steps"), [(4, 2), (1, 8), (3, 3)])
def test_changed_batch_size_is_followed_and_reported(folder, tmp_path, capsys, batch_size, steps):
    stop_at_epoch(folder, 2)
    run(folder, describe(batch_size=batch_size), resume="auto")
    printed = capsys.readouterr().out
    assert f"An epoch has {steps} steps, and had 4: epoch 3 begins at step {2 * steps}." in printed
    assert f"A step has {batch_size} images, and had 2" in printed
    assert "-1 day" not in printed
    run(tmp_path / "straight", describe(batch_size=batch_size))
    assert load(folder / "epoch_4.pth")["meta"]["iter"] == 4 * steps
    assert read_rate(folder / "epoch_4.pth") == read_rate(tmp_path / "straight/epoch_4.pth")


def test_changed_total_batch_is_reported(folder, capsys):
    stop_at_epoch(folder, 2)
    run(folder, total_batch=4, resume="auto")
    assert "A step has 4 images, and had 2" in capsys.readouterr().out


def test_another_optimizer_is_refused(folder):
    with pytest.raises(CheckpointError, match=r"optimizer is not of the kind .*--load-from"):
        run(folder, describe(optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}}), resume="auto")


def test_unchanged_config_says_nothing_and_ends_as_the_unbroken_run(folder, finished, capsys):
    stop_at_epoch(folder, 3)
    capsys.readouterr()
    run(folder, resume="auto")
    assert "WARNING" not in capsys.readouterr().out
    for part in ("state_dict", "ema_state_dict", "optimizer", "param_schedulers"):
        found, expected = (load(each / "epoch_4.pth")[part] for each in (folder, finished))
        assert find_different(found, expected, part) == []


@pytest.mark.parametrize("epoch", [2, 4])
def test_run_killed_between_checkpoint_and_validation_is_validated(folder, finished, epoch, capsys):
    stop_at_epoch(folder, epoch)
    result = run(folder, describe(max_epochs=epoch), resume="auto")
    expected = float(load(finished / f"epoch_{epoch}.pth")["state_dict"]["weight"][0])
    assert result.metrics["toy/AP"] == pytest.approx(expected)
    assert "not validated" not in str(result)


def test_epoch_without_validation_is_not_validated_on_resume(folder, capsys):
    stop_at_epoch(folder, 3)
    capsys.readouterr()
    run(folder, resume="auto")
    assert capsys.readouterr().out.count("Epoch(val)") == 1
