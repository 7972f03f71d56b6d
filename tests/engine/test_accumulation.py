"""Small batches that make one step: the weights of large batches, and of a run that was not interrupted."""

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

from rtmo_plugin.config.edits import prepare_config
from rtmo_plugin.config.total_batch import set_total_batch
from rtmo_plugin.errors import ConfigError
from tests.edited import edit_copy
from tests.engine.test_training_stages import Numbers  # noqa: F401  (registered when imported)
from tests.oracle import OUR_CONFIGS


class Line(BaseModel):
    """Learns a factor; the loss is a mean over the batch, and there is no batch norm."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, number, mode="tensor"):
        value = torch.stack(number)
        return {"loss": ((self.weight[0] * value + self.weight[1] - 3) ** 2).mean()}


def describe(batch_size, length=10):
    """Return the config of four epochs of steps with an average of weights."""
    return Config(
        {
            "launcher": "none",
            "train_dataloader": {
                "batch_size": batch_size,
                "num_workers": 0,
                "sampler": {"type": "DefaultSampler", "shuffle": True},
                "dataset": {"type": "rtmo_plugin.Numbers", "length": length},
            },
            "train_cfg": {"by_epoch": True, "max_epochs": 4},
            "optim_wrapper": {"optimizer": {"type": "AdamW", "lr": 0.1}, "clip_grad": {"max_norm": 0.5}},
            "auto_scale_lr": {"base_batch_size": 8},
            "custom_hooks": [{"type": "EMAHook", "ema_type": "ExpMomentumEMA", "momentum": 0.1, "gamma": 5}],
            "default_hooks": {"checkpoint": {"type": "CheckpointHook", "interval": 1}},
            "randomness": {"seed": 5},
            "default_scope": "mmpose",
        }
    )


def train(cfg, work_dir, **options):
    options = {"work_dir": str(work_dir), "experiment_name": str(work_dir), **options}
    Runner(model=Line(), cfg=cfg, **{name: cfg[name] for name in cfg if name in KEYS}, **options).train()
    return torch.load(work_dir / "epoch_4.pth", weights_only=True)


KEYS = (
    *("train_dataloader", "train_cfg", "optim_wrapper", "auto_scale_lr", "custom_hooks", "default_hooks"),
    *("randomness", "default_scope"),
)


def test_two_small_batches_are_a_large_one(tmp_path):
    """Ten numbers: in each epoch two steps of four and one of two."""
    large = train(describe(4), tmp_path / "large")
    small = train(edit_copy(set_total_batch, describe(2), 4), tmp_path / "small")
    assert (large["meta"]["iter"], small["meta"]["iter"]) == (12, 20)
    torch.testing.assert_close(small["ema_state_dict"]["module.weight"], large["ema_state_dict"]["module.weight"])
    other = train(describe(2), tmp_path / "other")
    assert not torch.allclose(other["ema_state_dict"]["module.weight"], large["ema_state_dict"]["module.weight"])


def test_average_of_weights_is_of_steps(tmp_path):
    """It sees a step's weights twice, so it is half a step ahead; without care it would be half as long."""

    def average(cfg, name):
        cfg.optim_wrapper.optimizer.lr = 1e-3  # weights that go one way
        return train(cfg, tmp_path / name)["state_dict"]["weight"]

    large, small = average(describe(4, length=80), "large"), edit_copy(set_total_batch, describe(2, length=80), 4)
    careless = edit_copy(set_total_batch, describe(2, length=80), 4)
    careless.custom_hooks[0] = describe(2).custom_hooks[0]
    differences = [(average(cfg, name) - large).abs().max() for cfg, name in ((small, "small"), (careless, "careless"))]
    assert differences[0] < differences[1] / 4


def test_resumed_run_misses_no_gradient(tmp_path):
    cfg = edit_copy(set_total_batch, describe(2), 4)
    straight = train(cfg, tmp_path / "straight")
    for epoch in (1, 2, 3):
        checkpoint = tmp_path / f"straight/epoch_{epoch}.pth"
        resumed = train(cfg, tmp_path / str(epoch), load_from=str(checkpoint), resume=True)
        assert torch.equal(resumed["ema_state_dict"]["module.weight"], straight["ema_state_dict"]["module.weight"])


def test_learning_rate_is_scaled_by_the_total(tmp_path):
    cfg = edit_copy(set_total_batch, describe(2), 4)
    cfg.auto_scale_lr.enable = True  # for 8 images
    trained = train(cfg, tmp_path)
    assert trained["optimizer"]["param_groups"][0]["lr"] == pytest.approx(0.1 * 4 / 8)


@pytest.mark.parametrize("total", [3, 1, 5])
def test_total_must_be_a_multiple(total):
    message = rf"^--total-batch {total} is not a multiple of the 2 images that are loaded at a time \(1 x train_data"
    with pytest.raises(ConfigError, match=message):
        edit_copy(set_total_batch, describe(2), total)


def test_processes_count(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    cfg = describe(2)
    cfg.launcher = "pytorch"
    assert edit_copy(set_total_batch, cfg, 32).optim_wrapper.accumulative_counts == 4


def test_recipe_on_one_gpu():
    cfg = prepare_config(OUR_CONFIGS / "rtmo-s_coco.py", total_batch=256)
    assert (cfg.train_dataloader.batch_size, cfg.optim_wrapper.accumulative_counts) == (32, 8)
    assert cfg.auto_scale_lr.base_batch_size == 32  # so that --auto-scale-lr changes nothing
    (average,) = (hook for hook in cfg.custom_hooks if hook["type"] == "EMAHook")
    assert average["gamma"] == 8 * 2000
    assert (1 - average["momentum"]) ** 8 == pytest.approx(1 - 2e-4)


def test_config_of_the_caller_is_not_changed():
    cfg = describe(2)
    before = cfg.to_dict()
    edit_copy(set_total_batch, cfg, 8)
    assert cfg.to_dict() == before
