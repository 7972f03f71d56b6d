"""Mixed precision on this device, and on GPUs the scaler that float16 needs."""

from pathlib import Path

import pytest
import torch
from mmengine.device import get_device
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from torch import nn

from rtmo_plugin.engine import optim_wrapper
from rtmo_plugin.engine.optim_wrapper import AutocastOptimWrapper, has_fast_bfloat16
from rtmo_plugin.registry import OPTIM_WRAPPERS


def make(wrapper=AutocastOptimWrapper, **options):
    torch.manual_seed(0)
    model = nn.Linear(4, 3).to(get_device())
    return model, wrapper(optimizer=torch.optim.AdamW(model.parameters(), lr=0.01), **options)


def train(model, wrapper, num_steps=3):
    inputs = torch.arange(8.0, device=get_device()).reshape(2, 4) / 8
    for _ in range(num_steps):
        with wrapper.optim_context(model):
            outputs = model(inputs)
        wrapper.update_params((outputs.float() - 1).square().mean())
    return outputs


def test_forward_is_in_half_precision_and_weights_are_not():
    model, wrapper = make()
    assert train(model, wrapper).dtype == torch.bfloat16
    assert model.weight.dtype == torch.float32
    assert not wrapper.loss_scaler.is_enabled()


@pytest.mark.parametrize("is_fast", [True, False])
def test_a_processor_without_bfloat16_is_named(monkeypatch, is_fast):
    monkeypatch.setattr(optim_wrapper, "get_device", lambda: "cpu")
    monkeypatch.setattr(optim_wrapper, "has_fast_bfloat16", lambda: is_fast)
    said = []
    monkeypatch.setattr(optim_wrapper, "print_log", lambda words, **_: said.append(words))
    make()
    assert ["train without --amp, which is faster here" in each for each in said] == ([] if is_fast else [True])


@pytest.mark.skipif(get_device() != "cpu", reason="this machine has a GPU")
def test_the_faster_precision_is_known():
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    if "avx2" in flags and "avx512" not in flags:
        assert not has_fast_bfloat16()
    if "amx_bf16" in flags:
        assert has_fast_bfloat16()


def test_it_learns_nearly_as_in_full_precision():
    (half, half_wrapper), (full, full_wrapper) = make(), make(OptimWrapper)
    train(half, half_wrapper, 20)
    train(full, full_wrapper, 20)
    torch.testing.assert_close(half.weight, full.weight, rtol=0.05, atol=0.01)


def test_gradients_are_accumulated_and_clipped():
    model, wrapper = make(accumulative_counts=2, clip_grad={"max_norm": 1e-9})
    before = model.weight.detach().clone()
    wrapper.initialize_count_status(model, 0, 4)
    train(model, wrapper, 1)
    assert torch.equal(model.weight, before)
    train(model, wrapper, 1)
    assert not torch.equal(model.weight, before)
    assert wrapper.message_hub.get_scalar("train/grad_norm").current() > 1e-9


def test_config_finds_it_by_name():
    _, wrapper = make()
    built = OPTIM_WRAPPERS.build({"type": "rtmo_plugin.AutocastOptimWrapper", "optimizer": wrapper.optimizer})
    assert type(built) is AutocastOptimWrapper


@pytest.mark.parametrize("dtype", ["float64", "half"])
def test_other_precisions_are_refused(dtype):
    with pytest.raises(ValueError, match=f"bfloat16 and float16, got dtype='{dtype}'"):
        make(dtype=dtype)


@pytest.mark.skipif(get_device() == "cuda", reason="this machine has a GPU")
def test_float16_without_gpu_is_refused():
    with pytest.raises(ValueError, match="float16 needs a GPU, and the device is cpu: choose dtype='bfloat16'"):
        make(dtype="float16")


def test_state_passes_between_wrappers_with_and_without_a_scaler():
    model, wrapper = make()
    train(model, wrapper)
    state = wrapper.state_dict()
    assert "loss_scaler" not in state
    for other in (AutocastOptimWrapper, OptimWrapper):
        _, loaded = make(other)
        loaded.load_state_dict({**state, "loss_scaler": {"scale": 3.0}} if other is AutocastOptimWrapper else state)
        assert torch.equal(loaded.state_dict()["state"][0]["exp_avg"], state["state"][0]["exp_avg"])


@pytest.mark.gpu
def test_float16_scales_the_loss_and_skips_overflows():
    model, wrapper = make(dtype="float16", clip_grad={"max_norm": 0.1}, loss_scale={"init_scale": 2.0**40})
    before = model.weight.detach().clone()
    assert train(model, wrapper, 1).dtype == torch.float16
    assert torch.equal(model.weight, before)  # overflowed: no step, but a smaller scale
    assert wrapper.loss_scaler.get_scale() == 2.0**39
    train(model, wrapper, 40)
    assert not torch.equal(model.weight, before)


@pytest.mark.gpu
def test_scaler_state_is_mmengines_both_ways():
    model, wrapper = make(dtype="float16", loss_scale={"init_scale": 8.0})
    train(model, wrapper)
    _, theirs = make(AmpOptimWrapper)
    theirs.load_state_dict(wrapper.state_dict())
    assert theirs.loss_scaler.get_scale() == 8.0
    _, again = make(dtype="float16")
    again.load_state_dict(theirs.state_dict())
    assert again.loss_scaler.get_scale() == 8.0
