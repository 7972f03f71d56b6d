"""The moving average is MMPose's to the last bit, in few operators, and reads and writes its state."""

import copy

import pytest
import torch
from mmpose.engine.hooks import ExpMomentumEMA
from torch import nn

from rtmo_plugin.engine.moving_average import ForeachEMA
from tests.operators import count_operators, select_waits_and_copies

OPTIONS = {"momentum": 0.01, "gamma": 20}


def make_model():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1), nn.BatchNorm2d(2))
    model.register_buffer("constant", torch.ones(2), persistent=False)
    return model


def take_steps(model, averages, num_steps):
    """Change the weights and buffers of a model, and update averages after each step."""
    for step in range(num_steps):
        generator = torch.Generator().manual_seed(step)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
        model(torch.randn(2, 3, 6, 6, generator=generator))
        for average in averages:
            average.update_parameters(model)


def assert_equal_states(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


@pytest.mark.parametrize("update_buffers", [True, False])
@pytest.mark.parametrize("interval", [1, 3])
def test_a_hundred_steps_give_mmposes_average(update_buffers, interval):
    model = make_model()
    options = {**OPTIONS, "update_buffers": update_buffers, "interval": interval}
    theirs, ours = ExpMomentumEMA(model, **options), ForeachEMA(model, **options)
    take_steps(model, [theirs, ours], 100)
    assert_equal_states(theirs.state_dict(), ours.state_dict())
    assert not torch.equal(ours.module[0].weight, model[0].weight)


def test_each_reads_the_state_of_the_other():
    model = make_model()
    theirs, ours = (kind(model, **OPTIONS, update_buffers=True) for kind in (ExpMomentumEMA, ForeachEMA))
    take_steps(model, [theirs], 5)
    ours.load_state_dict(theirs.state_dict())
    take_steps(model, [theirs, ours], 5)
    assert_equal_states(theirs.state_dict(), ours.state_dict())
    back = ExpMomentumEMA(model, **OPTIONS, update_buffers=True)
    back.load_state_dict(ours.state_dict())
    assert int(back.steps) == 10


def test_weights_that_move_to_another_memory_format_are_averaged_on():
    model = make_model()
    theirs, ours = (kind(copy.deepcopy(model), **OPTIONS, update_buffers=True) for kind in (ExpMomentumEMA, ForeachEMA))
    model.to(memory_format=torch.channels_last)
    take_steps(model, [theirs, ours], 3)
    assert_equal_states(theirs.state_dict(), ours.state_dict())


def test_an_update_is_a_few_operators_that_wait_for_nothing():
    model = make_model()
    average = ForeachEMA(model, **OPTIONS, update_buffers=True)
    average.update_parameters(model)
    counts = count_operators(average.update_parameters, model)
    assert counts.total() <= 5
    assert select_waits_and_copies(counts).total() == 0


@pytest.mark.parametrize("options", [{"momentum": 0.0}, {"momentum": 1.5}, {"gamma": 0}])
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match=r"The (momentum|gamma) of a moving average"):
        ForeachEMA(make_model(), **options)
