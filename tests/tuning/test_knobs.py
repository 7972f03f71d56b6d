"""Numbers that a tuning varies: where they are in a config, their ranges, and the values of each trial."""

import pytest

from rtmo_plugin.config.config_files import load_config, set_options
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.tuning.knobs import Knob, draw_trials, find_knobs, find_value


@pytest.fixture(scope="module")
def cfg():
    return load_config("rtmo-s_custom").to_dict()


def test_the_four_knobs_of_a_recipe(cfg):
    found = {knob.name: (knob.low, knob.start, knob.high) for knob in find_knobs(cfg)}
    assert found == {
        "lr": (2.5e-4 / 8, 2.5e-4, 1e-3),
        "weight_decay": (0.005, 0.05, 0.2),
        "ema_momentum": (1e-3, 2e-3, 5e-2),
        "scale": (pytest.approx(0.3), 0.75, 0.9375),
    }


def test_values_reach_the_config_and_the_rates_of_the_schedule_follow(cfg):
    config = load_config("rtmo-s_custom")
    knobs = find_knobs(cfg)
    for knob, value in zip(knobs, (5e-4, 0.1, 1e-3, 0.5)):
        set_options(config, knob.find_options(value))
    assert config.optim_wrapper.optimizer.lr == 5e-4
    assert config.optim_wrapper.optimizer.weight_decay == 0.1
    assert [each.get("eta_min") for each in config.param_scheduler] == [None, 2.5e-5, None, 2.5e-5, None]
    assert [hook.momentum for hook in config.custom_hooks if hook.type == "EMAHook"] == [1e-3]
    assert config.train_dataloader.dataset.pipeline[2].scale_factor == [0.5, 1.0]
    untouched = load_config("rtmo-s_custom")
    for knob in knobs:
        set_options(untouched, knob.find_options(knob.start))
    assert untouched.to_dict()["param_scheduler"] == cfg["param_scheduler"]


def test_a_range_and_a_number_of_the_config(cfg):
    rate, norm = find_knobs(cfg, ["lr=1e-4,1e-2", "optim_wrapper.clip_grad.max_norm=0.05,0.2"])
    assert (rate.low, rate.high, rate.is_wide) == (1e-4, 1e-2, True)
    assert (norm.start, norm.find_options(0.1), norm.is_wide) == (0.1, {"optim_wrapper.clip_grad.max_norm": 0.1}, False)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (["speed"], "--knob speed is not a number of the config"),
        (["model"], "--knob model is not a number"),
        (["train_cfg.by_epoch=0,1"], "--knob train_cfg.by_epoch is not a number"),
        (["optim_wrapper.clip_grad.max_norm"], "needs a range"),
        (["lr=1"], "two numbers, the lower one first"),
        (["lr=2,1"], "two numbers, the lower one first"),
        (["lr=nan,1"], "two numbers"),
        (["lr=0,1"], "lr must be above 0"),
        (["lr", "lr=1e-4,1e-2"], "--knob lr is given twice"),
    ],
)
def test_wrong_knobs_are_refused(cfg, wanted, words):
    with pytest.raises(ConfigError, match=words):
        find_knobs(cfg, wanted)


def test_a_config_without_any_knob_says_so():
    with pytest.raises(ConfigError, match="The config has none of lr, weight_decay"):
        find_knobs({"model": {}})
    with pytest.raises(ConfigError, match="--knob lr: the config has no number for it"):
        find_knobs({"model": {}}, ["lr"])


def test_trials_begin_with_the_config_and_spread_over_the_ranges(cfg):
    knobs = find_knobs(cfg)
    trials = draw_trials(knobs, 28, seed=0)
    assert trials[0] == {knob.name: knob.start for knob in knobs}
    assert draw_trials(knobs, 5, seed=0) == trials[:5]
    assert draw_trials(knobs, 5, seed=1)[1:] != trials[1:5]
    for knob in knobs:
        values = sorted(trial[knob.name] for trial in trials[1:])
        assert knob.low <= values[0] <= knob.place(0.1)
        assert knob.place(0.9) <= values[-1] <= knob.high
    assert draw_trials(knobs, 1, seed=0) == trials[:1]


def test_values_that_do_not_follow_keep_their_own():
    knob = Knob("scale", 0.3, 0.9, 0.75, {"a.scale_factor": (0.75, 1.0)})
    assert knob.find_options(0.6) == {"a.scale_factor": [0.6, 1.0]}


def test_find_value():
    assert find_value({"a": [{"b": 3}]}, "a.0.b") == 3
    assert find_value({"a": [{"b": 3}]}, "a.1.b") is None
    assert find_value({"a": 3}, "a.b") is None
