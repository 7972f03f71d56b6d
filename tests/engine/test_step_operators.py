"""Tensor operators of a training step around the network: loading, hooks, losses, and the optimizer wrapper.

The limits are the numbers of today, and smaller ones are welcome. Weights are left out: their number, and what an
optimizer does to each, depend on the model and on the version of PyTorch.
"""

from collections import Counter

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch.utils.data.dataloader import _BaseDataLoaderIter

from rtmo_plugin.api import train
from rtmo_plugin.engine.optim_wrapper import NoWaitOptimWrapper
from rtmo_plugin.models.heads.criterion import RTMOCriterion
from rtmo_plugin.packed_batch import pack_samples
from tests.operators import CallCounter, count_operators, select_waits_and_copies
from tests.oracle import build_model, load_ours, make_samples

# Operators that wait for the device where there is one.
# A number that becomes a tensor (``lift_fresh``) waits, too: its copy is from memory that is not pinned.
WAITS = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "lift_fresh")


@pytest.fixture(scope="module")
def calls(tmp_path_factory, config, data_root):
    """Return the operators of each call in a run of three epochs, one a stage, of two batches: two images and one."""
    return count_calls(tmp_path_factory.mktemp("counted"), config, data_root)


@pytest.fixture(scope="module")
def late_calls(tmp_path_factory, config, data_root):
    """Return the operators of each call in a run of one epoch that reads late, as on GPUs."""
    hook = {"type": "rtmo_plugin.NoWaitHook", "device_types": ("cpu",)}
    return count_calls(tmp_path_factory.mktemp("late"), config, data_root, hook, epochs=1)


def count_calls(work_dir, config, data_root, *hooks, epochs=3):
    cfg = Config.fromfile(config)
    cfg.train_cfg.max_epochs = epochs
    kept = [hook for hook in cfg.custom_hooks if hook["type"] != "EMAHook"]  # some for each weight
    cfg.custom_hooks = [*kept, *hooks]
    with pytest.MonkeyPatch.context() as patch:
        counter = CallCounter(patch)
        counter.watch(Runner, "call_hook", lambda runner, point, **_: point)
        counter.watch(_BaseDataLoaderIter, "__next__", lambda *_: "data")
        counter.watch(BaseModel, "train_step")
        counter.watch(BaseModel, "_run_forward", lambda model, data, mode: mode)
        counter.watch(OptimWrapper, "update_params")
        counter.watch(NoWaitOptimWrapper, "_clip_grad")
        counter.watch(RTMOCriterion, "forward", lambda *_: "criterion")
        train(cfg, work_dir=work_dir, data_root=data_root, seed=0)
    return counter.calls


def count_waits(counts):
    return sum(counts[name] for name in WAITS)


def test_a_batch_is_loaded_with_few_operators(calls):
    first, second, *_ = calls["data"]
    # Packing is among them, which takes place in a worker where there is one, and spares the step as many.
    assert first.total() <= 93
    assert second.total() <= 64
    waits = Counter({"_local_scalar_dense": 4, "_to_copy": 1})  # on the CPU: of checks for NaN, the range of labels
    assert select_waits_and_copies(second) <= waits


def test_hooks_of_a_step_only_read_the_losses_for_the_log(calls):
    assert [counts.total() for counts in calls["before_train_iter"][1:4]] == [0, 0, 0]  # the first one draws the batch
    for counts in calls["after_train_iter"]:
        assert counts <= Counter({"_local_scalar_dense": 7})


def test_a_step_around_network_and_optimizer_has_few_operators(calls):
    for step, *parts in zip(*(calls[name] for name in ("train_step", "loss", "update_params"))):
        rest = step - parts[0] - parts[1]
        assert rest.total() <= 13
        assert select_waits_and_copies(rest) <= Counter({"_to_copy": 1})
    for counts in calls["_clip_grad"]:
        assert select_waits_and_copies(counts) <= Counter({"_local_scalar_dense": 1})


def test_a_step_that_reads_late_waits_once_and_only_before_the_backward_pass(late_calls):
    """For the number of positives; the optimizer on the CPU reads its own step counts."""
    steps = [late_calls[name] for name in ("train_step", "loss", "update_params", "_clip_grad")]
    assert [len(counts) for counts in steps] == [2, 2, 2, 2]
    for step, loss, update, clip in zip(*steps):
        assert count_waits(loss) <= 1
        assert count_waits(step) - count_waits(update) == count_waits(loss)
        assert count_waits(clip) == 0
    for counts in late_calls["after_train_iter"]:
        assert count_waits(counts) == 0


def test_losses_have_few_operators_and_wait_for_nothing(calls):
    totals = [counts.total() for counts in calls["criterion"]]
    assert max(totals[:2]) <= 155
    assert max(totals[2:]) <= 180
    for counts in calls["criterion"]:
        assert select_waits_and_copies(counts) <= Counter({"_to_copy": 1})


def test_a_prediction_waits_for_people_and_for_two_checks(calls):
    for counts in calls["predict"]:
        assert select_waits_and_copies(counts) <= Counter({"nonzero": 1, "clone": 1, "_local_scalar_dense": 2})


def test_a_checkpoint_is_checked_without_a_copy_of_its_weights(calls):
    for counts in calls["before_save_checkpoint"]:
        assert select_waits_and_copies(counts).keys() <= {"_local_scalar_dense"}


def test_the_loss_of_a_batch_is_half_as_many_operators_as_it_was():
    """Assignment, targets, classifier and losses of eight images with 18 people were 1,236, and waited three times."""
    torch.manual_seed(0)
    size_wh = (256, 192)
    model = build_model(load_ours("rtmo-s_coco")).train()
    records = make_samples([3, 1, 0, 5, 2, 4, 1, 2], size_wh=size_wh)
    batch = pack_samples(records)
    feats = model.extract_feat(torch.rand(len(batch), 3, *size_wh[::-1]) * 255)
    model.head.loss(feats, batch)  # lays out the priors, once for each size
    network = count_operators(lambda: model.head.head_module(feats, with_proxy=True))
    counts = count_operators(model.head.loss, feats, batch) - network
    assert counts.total() <= 600
    assert count_waits(counts) <= 2
    assert count_operators(model.head.loss, feats, records).total() - network.total() <= 660
