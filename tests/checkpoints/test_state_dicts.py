"""Checkpoints of another model are refused, by name where they can be told apart."""

from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from rtmo_plugin.checkpoints.fit import check_fits, check_optimizer_fits, describe_model, get_state_dict
from rtmo_plugin.errors import CheckpointError
from tests.oracle import build_model, load_official, load_ours
from tests.tiny import shrink

PATH = Path("some.pth")


def describe(cfg):
    init_default_scope("mmpose")
    with torch.device("meta"):
        return describe_model(MODELS.build(cfg.model).state_dict())


@pytest.mark.parametrize(
    ("recipe", "description"),
    [
        ("rtmo-t_body7", "rtmo-t with 17 keypoints"),
        ("rtmo-s_coco", "rtmo-s with 17 keypoints"),
        ("rtmo-m_coco", "rtmo-m with 17 keypoints"),
        ("rtmo-s_crowdpose", "rtmo-s with 14 keypoints"),
    ],
)
def test_size_and_keypoints_are_read_from_the_weights(recipe, description):
    assert describe(load_ours(recipe)) == description


def test_size_and_keypoints_of_official_files_are_read_likewise():
    assert describe(load_official("rtmo-s_crowdpose")) == "rtmo-s with 14 keypoints"


def test_other_models_are_not_guessed_at():
    assert describe_model(nn.Linear(2, 3).state_dict()) is None


@pytest.fixture(scope="module")
def model():
    cfg = load_ours("rtmo-s_coco")
    cfg.model = shrink(cfg.model)
    return build_model(cfg)


def change(model, **changes):
    state = {**model.state_dict(), **changes}
    return {"state_dict": {name: value for name, value in state.items() if value is not None}}


def test_own_weights_fit_also_from_a_parallel_wrapper(model):
    check_fits(model, {"state_dict": model.state_dict()}, PATH)
    check_fits(model, {"state_dict": {f"module.{n}": v for n, v in model.state_dict().items()}}, PATH)


def test_constants_of_official_files_are_not_missed_and_not_in_the_way(model):
    official = {
        **{f"head.dcc.{name}": torch.zeros(3) for name in ("x_bins", "y_bins", "spe.dim_t")},
        "head.loss_oks.sigmas": torch.zeros(17),
        "neck.sincos_pos_enc.dim_t": torch.zeros(3),
        "data_preprocessor.mean": torch.zeros(3, 1, 1),
        "backbone.stem.conv.bn.num_batches_tracked": None,
    }
    check_fits(model, change(model, **official), PATH)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"head.dcc.x_fc.weight": torch.zeros(2, 3)},
            r"head\.dcc\.x_fc\.weight is \(2, 3\) in the checkpoint and \(16, 16\) in the model\.$",
        ),
        ({"head.dcc.x_fc.weight": None}, r"it has no head\.dcc\.x_fc\.weight\.$"),
        ({"head.extra": torch.zeros(1), "neck.extra": torch.zeros(1)}, r"the model has no head\.extra \(and 1 more"),
    ],
)
def test_any_difference_is_refused(model, changes, message):
    with pytest.raises(CheckpointError, match=r"^some\.pth does not fit the config: " + message):
        check_fits(model, change(model, **changes), PATH)


def test_other_keypoints_are_named(model):
    cfg = load_ours("rtmo-s_crowdpose")
    cfg.model = shrink(cfg.model)
    with pytest.raises(CheckpointError) as error:
        check_fits(build_model(cfg), {"state_dict": model.state_dict()}, PATH)
    width = "an rtmo of width 0.125"
    assert f"checkpoint is {width} with 17 keypoints, config is {width} with 14 keypoints; " in str(error.value)
    assert "head.head_module.out_kpt_reg.0.weight is (34, " in str(error.value)


def test_prefix_is_only_taken_from_the_beginning():
    state = {"module.a.module.b": torch.zeros(1)}
    assert list(get_state_dict({"state_dict": state})) == ["a.module.b"]


def step(*shapes):
    parameters = [nn.Parameter(torch.ones(shape)) for shape in shapes]
    optimizer = torch.optim.AdamW([{"params": [parameter]} for parameter in parameters])
    sum(parameter.sum() for parameter in parameters).backward()
    optimizer.step()
    return optimizer


def test_optimizer_state_must_be_of_the_same_parameters():
    state = step((2, 3), (4,)).state_dict()
    check_optimizer_fits(step((2, 3), (4,)), state)
    with pytest.raises(CheckpointError, match="is of 2 parameters, the model has 3"):
        check_optimizer_fits(step((2, 3), (4,), (5,)), state)
    with pytest.raises(CheckpointError, match=r"state 0 has shape \(2, 3\), its parameter \(3, 2\)"):
        check_optimizer_fits(step((3, 2), (4,)), state)
