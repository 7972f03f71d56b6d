"""What a training notes of its levels and sigmas, beside what the head's own parts say."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from rtmo_plugin.engine.hooks import DiagnosticsHook
from rtmo_plugin.engine.hooks.diagnostics import FILE_NAME, read_diagnostics
from rtmo_plugin.models.heads.dense import decode_dense
from rtmo_plugin.models.heads.training_targets import collect_people
from tests.small_head import SIZE_WH, build_ours, make_batch


@pytest.fixture
def runner(tmp_path):
    """Return what the hook sees of a runner whose model has a small head."""
    model = nn.Module()
    model.head = build_ours()
    return SimpleNamespace(model=model, work_dir=str(tmp_path), epoch=0)


@torch.no_grad()
def count_by_hand(head, batches):
    """Return the positives of each stride and the mean sigmas, from the assigner and the classifier themselves."""
    counts, sigmas = {"16": 0, "32": 0}, []
    for feats, samples in batches:
        predictions = decode_dense(head.head_module(feats, with_proxy=True), head.strides)
        people = collect_people(samples, 1, 17, predictions.boxes.dtype)
        image, prior = (head.assigner.assign(predictions, people, head.sigmas).person >= 0).nonzero(as_tuple=True)
        for stride in counts:
            counts[stride] += int((predictions.priors.strides[prior] == int(stride)).sum())
        sigmas.append(head.classify_coordinates(predictions, image, prior, SIZE_WH).sigmas)
    return counts, torch.cat(sigmas).mean(0)


def test_an_epoch_is_noted_with_its_stage(runner):
    head, hook = runner.model.head, DiagnosticsHook()
    batches = [make_batch((3, 1), seed=1)[:2], make_batch((2, 0), seed=2)[:2]]
    hook.before_train(runner)
    expected = []
    for runner.epoch, (stage, bias) in enumerate({"warmup": -1.0, "refine": -30.0}.items()):
        head.enter_stage(stage)
        nn.init.constant_(head.head_module.out_cls[0].bias, bias)  # the finer level answers no longer
        expected.append(count_by_hand(head, batches))
        hook.before_train_epoch(runner)
        for feats, samples in batches:
            head.loss(feats, samples)
        hook.after_train_epoch(runner)
    hook.after_train(runner)
    head.loss(*batches[0])  # the hook is removed
    for epoch, (entry, (counts, sigmas)) in enumerate(zip(read_diagnostics(runner.work_dir), expected), 1):
        assert (entry["epoch"], entry["stage"]) == (epoch, ("warmup", "refine")[epoch - 1])
        assert (entry["images"], entry["positives"]) == (4, counts)
        assert list(entry["sigmas"].values()) == pytest.approx(sigmas.tolist(), abs=2e-6)
        assert list(entry["sigmas"])[:2] == ["nose", "left_eye"]
    assert expected[0][0]["16"] > 0 < expected[1][0]["32"]


def test_an_epoch_without_people_is_not_an_error(runner):
    hook = DiagnosticsHook()
    hook.before_train(runner)
    hook.before_train_epoch(runner)
    runner.model.head.loss(*make_batch((0, 0))[:2])
    hook.after_train_epoch(runner)
    (entry,) = read_diagnostics(runner.work_dir)
    assert entry["positives"] == {"16": 0, "32": 0}
    assert set(entry["sigmas"].values()) == {0}


def test_a_foreign_model_leaves_no_file(tmp_path):
    runner = SimpleNamespace(model=nn.Linear(1, 1), work_dir=str(tmp_path), epoch=0)
    hook = DiagnosticsHook()
    for method in (hook.before_train, hook.before_train_epoch, hook.after_train_epoch, hook.after_train):
        method(runner)
    assert not (tmp_path / FILE_NAME).exists()
    assert read_diagnostics(tmp_path) == []
