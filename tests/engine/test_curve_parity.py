"""The fast parts of a training change nothing that it computes: losses, weights and averages beside MMPose's parts."""

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook

from rtmo_plugin.api import train
from rtmo_plugin.checkpoints.reading import read_checkpoint
from rtmo_plugin.engine import training_loop
from rtmo_plugin.engine.hooks.curves import read_scalars
from tests.tiny_runs import make_tiny

EPOCHS = 6  # of two steps, two epochs in each stage
RESIZE = {"type": "rtmo_plugin.BatchRandomResize", "random_size_range": (64, 128), "interval": 2}


def make_config() -> Config:
    """Return a tiny recipe that logs each step."""
    cfg = make_tiny("rtmo-t_coco")
    cfg.model.data_preprocessor.batch_augments = [RESIZE]
    cfg.train_cfg.update(max_epochs=EPOCHS, val_interval=EPOCHS + 1)
    cfg.default_hooks.training_stages.schedule.refine.begin = EPOCHS // 3
    cfg.default_hooks.training_stages.schedule.finish.begin = 2 * EPOCHS // 3
    cfg.optim_wrapper.optimizer.lr = 2e-5  # random weights of this size lose their way at the rate of the recipe
    cfg.default_hooks.logger.interval = 1
    cfg.log_processor.window_size = 1
    return cfg


def use_parts_of_mmpose(cfg: Config) -> None:
    """Replace packed batches, merged groups and the average by foreach operators by what MMEngine and MMPose have."""
    cfg.train_dataloader.collate_fn = {"type": "pseudo_collate"}
    cfg.model.data_preprocessor.type = "PoseDataPreprocessor"
    cfg.optim_wrapper.constructor = "ForceDefaultOptimWrapperConstructor"
    (average,) = (hook for hook in cfg.custom_hooks if hook.type == "EMAHook")
    average.ema_type = "ExpMomentumEMA"


class DoublePrecisionHook(Hook):
    """Computes in float64, in which the order of sums does not show after some steps; in float32 it soon does."""

    priority = "VERY_HIGH"  # before EMAHook copies the model

    def before_run(self, runner):
        runner.model.double()
        runner.model.backbone.register_forward_pre_hook(lambda _, inputs: (inputs[0].double(),))


@pytest.fixture
def run(data_root, tmp_path, monkeypatch):
    """Return a function that trains a config, and returns what each step logged and the last checkpoint."""
    monkeypatch.setattr(training_loop, "CurvesHook", DoublePrecisionHook)  # curves take longer than the training

    def train_config(name, cfg):
        result = train(cfg, work_dir=tmp_path / name, data_root=data_root, seed=0, validate=False)
        return read_scalars(tmp_path / name), read_checkpoint(result.checkpoint)

    return train_config


@pytest.mark.slow
def test_curves_are_those_of_the_slow_parts(run):
    fast, slow = make_config(), make_config()
    use_parts_of_mmpose(slow)
    (scalars, state), (expected, expected_state) = run("fast", fast), run("slow", slow)
    assert len(scalars) == len(expected) == 2 * EPOCHS
    for entry, other in zip(scalars, expected):
        names = [name for name in other if name.startswith("loss") or name == "lr"]
        assert len(names) == 8  # seven of the loss and its parts
        assert [entry[name] for name in names] == pytest.approx([other[name] for name in names], rel=1e-7)
    for part in ("state_dict", "ema_state_dict"):
        assert state[part].keys() == expected_state[part].keys()
        for name, value in expected_state[part].items():  # each step moves a weight by 2e-5
            torch.testing.assert_close(state[part][name], value, rtol=1e-7, atol=1e-8)
