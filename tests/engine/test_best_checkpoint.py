"""The best checkpoint is kept and named, and training ends early when AP stops growing, also when resumed."""

import os
import signal

import pytest
import torch

from rtmo_plugin.engine.hooks.best_checkpoint import read_best
from rtmo_plugin.errors import ConfigError, InterruptedRun
from tests.faults import toy_training
from tests.faults.toy_training import DoAtStep, describe, load, run


@pytest.fixture
def scores(monkeypatch):
    """Let validations report given APs, in order."""
    values = []
    monkeypatch.setattr(toy_training.ToyMetric, "compute_metrics", lambda *_: {"AP .5": 1.0, "AP": values.pop(0)})
    return values


def validate_always(max_epochs=6, **changes):
    cfg = describe(max_epochs=max_epochs, **changes)
    cfg.train_cfg.val_interval = 1
    return cfg


def test_best_is_the_validated_weights_of_its_epoch(tmp_path, scores, capsys):
    scores[:] = [0.1, 0.3, 0.2, 0.3, 0.25, 0.1]
    result = run(tmp_path, validate_always())
    out = capsys.readouterr().out
    assert result.best is not None
    assert (result.best.path, result.best.ap, result.best.epoch) == (tmp_path / "best.pth", 0.3, 2)
    assert out.count("The best checkpoint so far is ") == 2
    assert f"best:           {tmp_path / 'best.pth'} (AP 0.300 after epoch 2)" in str(result)
    assert result.describe()["best"] == {"checkpoint": str(tmp_path / "best.pth"), "AP": 0.3, "epoch": 2}
    best, then = load(tmp_path / "best.pth"), load(tmp_path / "epoch_2.pth")
    assert all(torch.equal(value, then["state_dict"][name]) for name, value in best["state_dict"].items())
    assert not torch.equal(best["state_dict"]["weight"], load(tmp_path / "epoch_6.pth")["state_dict"]["weight"])
    assert "optimizer" not in best
    assert read_best(tmp_path / "best.pth") == result.best


@pytest.mark.parametrize("values", [[-1.0, -1.0], [float("nan"), float("nan")]])
def test_no_value_is_not_the_best(tmp_path, scores, values):
    scores[:] = values
    assert run(tmp_path, validate_always(2)).best is None
    assert not (tmp_path / "best.pth").exists()


def test_without_validation_there_is_none(tmp_path):
    assert run(tmp_path, describe(1), validate=False).best is None


def test_resumed_run_keeps_an_earlier_best(tmp_path, scores):
    scores[:] = [0.1, 0.5, 0.2]
    run(tmp_path, validate_always(3))
    scores[:] = [0.2, 0.3, 0.4]  # the last validation comes after its checkpoint, and is repeated
    assert run(tmp_path, validate_always(5), resume=True).best.epoch == 2
    scores[:] = [0.4, 0.6]
    assert run(tmp_path, validate_always(6), resume=True).best.epoch == 6


def test_best_of_later_epochs_does_not_bind_a_resumed_run(tmp_path, scores):
    scores[:] = [0.1, 0.2, 0.3, 0.9]
    run(tmp_path, validate_always(4))
    scores[:] = [0.3, 0.25]
    result = run(tmp_path, validate_always(4), resume=tmp_path / "epoch_3.pth", overwrite=True)
    assert (result.best.epoch, result.best.ap) == (3, 0.3)


def test_new_run_does_not_replace_it_by_surprise(tmp_path, scores):
    scores[:] = [0.5, 0.1]
    run(tmp_path, validate_always(1))
    (tmp_path / "epoch_1.pth").unlink()
    with pytest.raises(ConfigError, match=r"holds the checkpoints of an earlier run \(best\.pth"):
        run(tmp_path, validate_always(1))
    assert run(tmp_path, validate_always(1), overwrite=True).best.ap == 0.1


def test_interrupted_run_names_the_best(tmp_path, scores, monkeypatch):
    scores[:] = [0.5, 0.1]
    cfg = validate_always(2)
    cfg.custom_hooks = [*cfg.custom_hooks, {"type": "rtmo_plugin.DoAtStep", "step": 6}]
    monkeypatch.setattr(DoAtStep, "action", lambda _: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(InterruptedRun, match=r"last\.pth, the best is .*best\.pth \(AP 0\.500 after epoch 1\)"):
        run(tmp_path, cfg)


PLATEAU = [0.1, 0.4, 0.4, 0.35, 0.40005, 0.6]


def test_training_ends_after_validations_without_a_higher_ap(tmp_path, scores, capsys):
    scores[:] = PLATEAU
    result = run(tmp_path, validate_always(), patience=3)
    out = capsys.readouterr().out
    assert scores == [0.6]
    assert "the monitored metric did not improve in the last 3 records" in " ".join(out.split())
    assert "training stopped early, after epoch 5 of 6" in out
    assert "stopped early:  after epoch 5 of 6\n" in str(result)
    assert result.best.epoch == 5
    assert result.checkpoint.name == "epoch_5.pth"


@pytest.mark.parametrize("kind", ["--patience", "MMEngine's hook"])
def test_resumed_run_continues_to_count(tmp_path, scores, capsys, kind):
    scores[:] = PLATEAU
    first, second, options = validate_always(4), validate_always(6), {"patience": 3}
    if kind == "MMEngine's hook":
        hook = {"type": "EarlyStoppingHook", "monitor": "toy/AP", "rule": "greater", "patience": 3, "min_delta": 1e-4}
        first.custom_hooks = second.custom_hooks = [*first.custom_hooks, hook]
        options = {}
    run(tmp_path, first, **options)
    scores[:] = PLATEAU[3:]  # the last validation comes after its checkpoint, and is repeated
    run(tmp_path, second, resume=True, **options)
    assert "training stopped early, after epoch 5 of 6" in capsys.readouterr().out
    assert scores == [0.6]


def test_patience_without_validation_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="--patience counts validations, and this training has none"):
        run(tmp_path, describe(), validate=False, patience=3)
