"""A run whose losses are read one step late: the same weights, the same stop, and the right batch as evidence."""

import math
import warnings

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.logging import MessageHub

from rtmo_plugin.api import train
from rtmo_plugin.checkpoints.reading import read_checkpoint
from rtmo_plugin.engine import training_loop
from rtmo_plugin.engine.hooks.no_wait import NoWaitHook
from rtmo_plugin.models.heads.rtmo_head import RTMOHead
from rtmo_plugin.registry import HOOKS
from tests.engine.test_optim_wrapper import make
from tests.engine.test_optim_wrapper import train as train_linear
from tests.engine.test_resume import find_different

LATE = {"type": "rtmo_plugin.NoWaitHook", "device_types": ("cpu", "cuda")}


@pytest.fixture
def run(config, data_root, tmp_path, monkeypatch):
    """Return a function that trains the tiny model, in two steps an epoch, with some hooks."""
    monkeypatch.setattr(training_loop, "CurvesHook", Hook)  # whose plots take longer than the training

    def train_with(*hooks, name="run", epochs=1, **options):
        values = {"train_cfg.max_epochs": epochs, "custom_hooks": list(hooks)}
        return train(
            config, work_dir=tmp_path / name, data_root=data_root, validate=False, seed=0, cfg_options=values, **options
        )

    return train_with


@pytest.fixture
def spoil(monkeypatch):
    """Return a function that makes a loss of the ``number``-th batch NaN, and gives the paths of every batch."""
    loss, batches = RTMOHead.loss, []

    def spoil_batch(number):
        def compute(head, feats, samples, train_cfg=None):
            batches.append([str(sample.metainfo["img_path"]) for sample in samples])
            criterion = head.criterion.forward
            if len(batches) == number:
                head.criterion.forward = lambda *args: {**criterion(*args), "loss_vis": torch.tensor(math.nan)}
            try:
                return loss(head, feats, samples, train_cfg)
            finally:
                head.criterion.forward = criterion

        monkeypatch.setattr(RTMOHead, "loss", compute)
        return batches

    return spoil_batch


@pytest.mark.parametrize("amp", [False, True])
def test_weights_are_those_of_a_run_that_waits(run, amp):
    plain, late = run(name="plain", epochs=3, amp=amp), run(LATE, name="late", epochs=3, amp=amp)
    expected, found = (read_checkpoint(each.checkpoint) for each in (plain, late))
    for part in ("state_dict", "optimizer"):
        assert find_different(found[part], expected[part], part) == []


def read_history(name):
    return MessageHub.get_current_instance().get_scalar(name).data[0].tolist()


def test_losses_and_norms_are_logged_one_step_late(run):
    run(name="plain", epochs=2, amp=True)
    plain = {name: read_history(f"train/{name}") for name in ("loss", "loss_mle", "grad_norm")}
    run(LATE, name="late", epochs=2, amp=True)
    for name, expected in plain.items():
        assert len(expected) == 4
        assert read_history(f"train/{name}") == pytest.approx([expected[0], *expected[:-1]], rel=1e-5)


@pytest.mark.parametrize("number", [1, 2, 3])  # seen by the next step, the end of an epoch, the next epoch's step
@pytest.mark.parametrize("hooks", [(), (LATE,)], ids=["at once", "late"])
def test_diverged_run_names_its_batch_and_writes_no_checkpoint_after_it(run, spoil, tmp_path, number, hooks):
    batches = spoil(number)
    with pytest.raises(FloatingPointError) as error:
        run(*hooks, epochs=2)
    images, epoch = batches[number - 1], (number + 1) // 2
    assert str(error.value).startswith(
        f"at iteration {number} (epoch {epoch}): loss_vis is not finite for the batch of "
    )
    assert f"of {', '.join(images)}: lower the learning rate" in str(error.value)
    evidence = torch.load(tmp_path / "run/diverged/batch.pth", weights_only=True)
    assert (evidence["iteration"], evidence["epoch"]) == (number, epoch)
    assert evidence["images"] == images
    assert (tmp_path / "run/diverged/batch.jpg").is_file()
    kept = sorted(path.name for path in (tmp_path / "run").glob("*.pth"))
    assert kept == ["epoch_1.pth"][: epoch - 1]
    assert len(batches) == number  # no batch is assigned to weights that may be NaN


class SaveAtOnceHook(Hook):
    """Saves a checkpoint after each step."""

    def after_train_iter(self, runner, *_, **__):
        runner.save_checkpoint(runner.work_dir, "now.pth")


def test_checkpoint_within_an_epoch_is_not_written_after_a_bad_loss(run, spoil, tmp_path, monkeypatch):
    spoil(1)
    monkeypatch.setattr(training_loop, "CurvesHook", SaveAtOnceHook)
    with pytest.raises(FloatingPointError, match="at iteration 1 "):
        run(LATE)
    assert not (tmp_path / "run/now.pth").exists()


def test_accumulated_batches_are_checked_each(run, spoil):
    spoil(2)
    with pytest.raises(FloatingPointError, match="at iteration 2 "):
        run(LATE, total_batch=4)


def test_nothing_is_late_on_the_cpu_unless_asked(run, spoil):
    batches = spoil(1)
    with pytest.raises(FloatingPointError, match="at iteration 1 "):
        run({"type": "rtmo_plugin.NoWaitHook"})
    assert len(batches) == 1


def test_norm_of_gradients_is_logged_one_step_late():
    plain, late = (make(clip_grad={"max_norm": 0.1}) for _ in range(2))
    late[1].reads_late = True
    norms = []
    for model, wrapper in (plain, late):
        norms.append([])
        for _ in range(3):
            train_linear(model, wrapper, 1)
            norms[-1].append(wrapper.message_hub.get_scalar("train/grad_norm").current())
    assert norms[1] == [norms[0][0], *norms[0][:2]]
    assert torch.equal(plain[0].weight, late[0].weight)


class WarnOfWaitsHook(Hook):
    """Lets PyTorch warn of each wait for the GPU in the second step; the first one makes streams and priors."""

    priority = "LOWEST"

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 1:
            torch.cuda.set_sync_debug_mode("warn")

    def after_train_iter(self, *_, **__):
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
@pytest.mark.parametrize("amp", [False, True])
def test_a_step_waits_only_where_people_are_counted(run, monkeypatch, amp):
    monkeypatch.setattr(training_loop, "CurvesHook", WarnOfWaitsHook)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run({"type": "rtmo_plugin.NoWaitHook"}, amp=amp)
    places = [f"{each.filename}:{each.lineno}" for each in caught if "called a synchronizing" in str(each.message)]
    # The data of this test are not pinned, so that their copies wait; and the log of the second step, the last one of
    # its epoch, reads the peak of the memory.
    others = ("packed_batch", "preprocessor", "mmengine/device")
    assert len([place for place in places if not any(name in place for name in others)]) <= 1, places


def test_it_is_a_hook_for_configs():
    assert isinstance(HOOKS.build({"type": "rtmo_plugin.NoWaitHook"}), NoWaitHook)
