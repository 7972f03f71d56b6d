"""What our Runner does differently from MMEngine's."""

import time

import pytest
import torch
from mmengine.model import BaseModel

from rtmo_plugin.engine import runner
from rtmo_plugin.engine.runner import QuietRunner


class Model(BaseModel):
    def forward(self, inputs, mode):
        raise NotImplementedError


def test_runs_of_the_same_second_keep_to_themselves(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1.7e9)
    runs = [QuietRunner(Model(), tmp_path / name, experiment_name="same") for name in "ab"]
    for number, run in enumerate(runs):
        run.logger.info(f"This is run {number}.")
        run.message_hub.update_info("number", number)
    for number, run in enumerate(runs):
        (log,) = (tmp_path / "ab"[number]).glob("*/*.log")
        assert f"This is run {number}." in log.read_text()
        assert f"This is run {1 - number}." not in log.read_text()
        assert run.message_hub.get_info("number") == number


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_deterministic_runs_on_gpus_do_without_fused_attention(tmp_path, monkeypatch, algorithms_kept, device):
    """Its backward pass is deterministic only where an operation without such a form is an error."""
    monkeypatch.setattr(runner, "get_device", lambda: device)
    flags = ("flash_sdp_enabled", "mem_efficient_sdp_enabled", "cudnn_sdp_enabled", "math_sdp_enabled")
    read = [getattr(torch.backends.cuda, flag) for flag in flags if hasattr(torch.backends.cuda, flag)]
    assert all(is_enabled() for is_enabled in read)
    QuietRunner(Model(), tmp_path, experiment_name="usual", randomness={"seed": 1})
    assert all(is_enabled() for is_enabled in read)
    QuietRunner(Model(), tmp_path, experiment_name="same", randomness={"seed": 1, "deterministic": True})
    expected = [device == "cpu"] * (len(read) - 1)
    assert [is_enabled() for is_enabled in read] == [*expected, True]
    assert torch.is_deterministic_algorithms_warn_only_enabled()
