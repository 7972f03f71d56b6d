"""Merged parameter groups: the recipe's rate and decay for each parameter, the same steps, and the same checkpoints."""

import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper

from rtmo_plugin.api import train
from rtmo_plugin.checkpoints.optimizer_state import is_merged, list_parameters, merge_checkpoint, split_checkpoint
from rtmo_plugin.checkpoints.reading import read_checkpoint
from tests.operators import count_operators
from tests.oracle import build_model, load_ours
from tests.tiny import shrink

THEIRS = "mmpose.ForceDefaultOptimWrapperConstructor"


def build_both(model, options):
    """Return the optimizer of MMPose's constructor and ours, for copies of a model."""
    theirs, ours = copy.deepcopy(model), copy.deepcopy(model)
    return (
        theirs,
        build_optim_wrapper(theirs, {**options, "constructor": THEIRS}).optimizer,
        ours,
        build_optim_wrapper(ours, options).optimizer,
    )


def list_options(model, optimizer):
    """Return the rate and decay of each parameter by name."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


@pytest.fixture(scope="module")
def small():
    """Return a narrow RTMO and the optimizer's config of a recipe with three rates."""
    cfg = load_ours("rtmo-t_synthetic")
    cfg.model = shrink(cfg.model)
    return build_model(cfg), cfg.optim_wrapper


@pytest.mark.parametrize("recipe", ["rtmo-t_synthetic", "rtmo-s_coco"])
def test_each_parameter_has_the_rate_and_decay_of_the_recipe(recipe):
    cfg = load_ours(recipe)
    model = build_model(cfg)
    for parameter in list(model.backbone.stem.parameters()):
        parameter.requires_grad_(False)
    theirs, their_optimizer, ours, our_optimizer = build_both(model, cfg.optim_wrapper)
    expected = list_options(theirs, their_optimizer)
    assert list_options(ours, our_optimizer) == expected
    assert len(expected) == len(list(model.parameters())) == len(their_optimizer.param_groups)
    assert len(set(expected.values())) <= len(our_optimizer.param_groups) <= 8
    assert [p is q for p, q in zip(list_parameters(our_optimizer), ours.parameters())] == [True] * len(expected)


def step_all(models, optimizers, seed):
    """Give all models the same gradients, and step their optimizers."""
    for model, optimizer in zip(models, optimizers):
        generator = torch.Generator().manual_seed(seed)
        for parameter in model.parameters():
            gradient = torch.randn(parameter.shape, generator=generator)
            parameter.grad = torch.empty_like(parameter).copy_(gradient)  # in the weight's memory order, as autograd's
        optimizer.step()


def test_a_hundred_steps_lead_to_the_same_weights(small):
    theirs, their_optimizer, ours, our_optimizer = build_both(*small)
    for seed in range(100):
        step_all((theirs, ours), (their_optimizer, our_optimizer), seed)
    for (name, expected), got in zip(theirs.named_parameters(), ours.parameters()):
        torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-6, msg=name)


@pytest.mark.parametrize("order", [torch.channels_last, torch.contiguous_format])
def test_a_loaded_state_gets_the_memory_order_of_the_weights(small, order):
    """A fused step reads weights, gradients and state in memory order, whatever the order in the file."""
    theirs, their_optimizer, ours, our_optimizer = build_both(*small)
    other = torch.contiguous_format if order is torch.channels_last else torch.channels_last
    theirs.to(memory_format=other)
    step_all([theirs], [their_optimizer], seed=0)
    checkpoint = {"optimizer": copy.deepcopy(their_optimizer.state_dict())}
    merge_checkpoint(checkpoint, our_optimizer)
    ours.load_state_dict(theirs.state_dict())
    ours.to(memory_format=order)
    our_optimizer.load_state_dict(checkpoint["optimizer"])
    assert our_optimizer.param_groups[0]["fused"]
    for weight, state in our_optimizer.state.items():
        assert state["exp_avg"].stride() == state["exp_avg_sq"].stride() == weight.stride()
    step_all((theirs, ours), (their_optimizer, our_optimizer), seed=1)
    for (name, expected), got in zip(theirs.named_parameters(), ours.parameters(), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-6, msg=name)


def test_a_step_of_all_parameters_is_few_operators():
    cfg = load_ours("rtmo-s_coco")
    model = build_model(cfg)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    step_all([model], [optimizer], 0)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    assert len(list(model.parameters())) > 270
    assert count_operators(optimizer.step).total() <= 80


def make_checkpoint(optimizer):
    schedulers = [{"base_values": [group["lr"] for group in optimizer.param_groups], "last_step": 3}]
    return {"optimizer": optimizer.state_dict(), "param_schedulers": schedulers}


def test_a_checkpoint_is_as_mmengine_writes_it(small):
    theirs, their_optimizer, ours, our_optimizer = build_both(*small)
    step_all((theirs, ours), (their_optimizer, our_optimizer), 0)
    expected, got = make_checkpoint(their_optimizer), make_checkpoint(our_optimizer)
    split_checkpoint(got)
    assert got["param_schedulers"] == expected["param_schedulers"]
    options = ("lr", "weight_decay", "betas", "eps", "params", "fused", "foreach")
    for group, other in zip(got["optimizer"]["param_groups"], expected["optimizer"]["param_groups"], strict=True):
        assert [group[name] for name in options] == [other[name] for name in options]
    states = got["optimizer"]["state"], expected["optimizer"]["state"]
    assert list(states[0]) == list(states[1])
    for index, values in states[1].items():
        assert {name: value.shape for name, value in values.items()} == {
            name: value.shape for name, value in states[0][index].items()
        }
        torch.testing.assert_close(states[0][index]["exp_avg"], values["exp_avg"], rtol=1e-6, atol=1e-7)
    their_optimizer.load_state_dict(copy.deepcopy(got["optimizer"]))
    step_all((theirs, ours), (their_optimizer, our_optimizer), 1)
    for expected_weight, weight in zip(theirs.parameters(), ours.parameters()):
        torch.testing.assert_close(weight, expected_weight, rtol=1e-6, atol=1e-6)


def test_a_checkpoint_with_a_group_per_parameter_is_taken_over(small):
    theirs, their_optimizer, ours, our_optimizer = build_both(*small)
    step_all((theirs, ours), (their_optimizer, our_optimizer), 0)
    checkpoint = make_checkpoint(their_optimizer)
    fresh = build_both(small[0], small[1])[3]
    merge_checkpoint(checkpoint, fresh)
    fresh.load_state_dict(checkpoint["optimizer"])
    assert is_merged(fresh)
    assert checkpoint["param_schedulers"][0]["base_values"] == [group["lr"] for group in our_optimizer.param_groups]
    assert [group.get("fused") for group in fresh.param_groups] == [g.get("fused") for g in our_optimizer.param_groups]
    for mine, other in zip(list_parameters(fresh), list_parameters(their_optimizer)):
        torch.testing.assert_close(fresh.state[mine]["exp_avg"], their_optimizer.state[other]["exp_avg"])


@pytest.mark.parametrize("writer", [THEIRS, None])
def test_either_kind_of_run_resumes_the_other(config, data_root, tmp_path, capsys, writer):
    """Both go on from one checkpoint; a step later, rounding has not led them apart."""

    def run(folder, num_epochs, constructor, **options):
        cfg = Config.fromfile(config)
        if constructor:
            cfg.optim_wrapper.constructor = constructor
        cfg.train_cfg.max_epochs = num_epochs
        cfg.train_dataloader.batch_size = 4  # one step an epoch
        return train(cfg, work_dir=tmp_path / folder, data_root=data_root, seed=0, validate=False, **options).checkpoint

    first = run("first", 2, writer)
    theirs, ours = (
        read_checkpoint(run(folder, 3, constructor, resume=first))
        for folder, constructor in (("theirs", THEIRS), ("ours", None))
    )
    assert "differ" not in capsys.readouterr().out  # options and schedule are those of the config
    assert len(theirs["optimizer"]["param_groups"]) == len(ours["optimizer"]["param_groups"]) > 200
    for name, value in theirs["state_dict"].items():
        torch.testing.assert_close(ours["state_dict"][name], value, rtol=1e-4, atol=1e-5, msg=name)
    for index, values in theirs["optimizer"]["state"].items():
        assert float(values["step"]) == float(ours["optimizer"]["state"][index]["step"]) == 3
    for expected, got in zip(theirs["param_schedulers"], ours["param_schedulers"]):
        assert got["base_values"] == expected["base_values"]
