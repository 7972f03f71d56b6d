"""A checkpoint that MMPose's own RTMO-t wrote in a real MMEngine run serves in every way that ours do."""

import pickle

import numpy as np
import pytest
import torch
from mmengine.runner import Runner

from rtmo_plugin.api import evaluate, predict, train
from rtmo_plugin.config.config_files import load_config
from rtmo_plugin.config.data_paths import set_data_root
from rtmo_plugin.config.pretrained import drop_pretrained
from tests.edited import edit_copy
from tests.oracle import load_official, load_ours
from tests.tiny_runs import simplify_data

COMPLAINTS = ("do not match exactly", "unexpected key", "missing keys", "size mismatch")


@pytest.fixture(scope="module")
def recipe(data_root):
    """Return RTMO-t at full width for two epochs, which keeps predictions from a model that knows nothing."""
    cfg = edit_copy(drop_pretrained, edit_copy(set_data_root, load_ours("rtmo-t_coco"), data_root))
    cfg.train_cfg = {"by_epoch": True, "max_epochs": 2}
    cfg.model.test_cfg = {"score_thr": 0.0, "nms_thr": 0.65}
    simplify_data(cfg)
    for name in ("val_dataloader", "val_evaluator", "val_cfg"):
        cfg[name] = None
    return cfg


@pytest.fixture(scope="module")
def official(recipe, tmp_path_factory):
    """Return the config with MMPose's model, and the checkpoint of its first epoch."""
    cfg = load_config(recipe)
    cfg.model = edit_copy(drop_pretrained, load_official("rtmo-t_body7")).model
    cfg.model.test_cfg = recipe.model.test_cfg
    cfg.model.data_preprocessor.batch_augments = None
    cfg.default_hooks.pop("training_stages")
    cfg.train_cfg.max_epochs = 1
    cfg.merge_from_dict({"randomness": {"seed": 0}, "work_dir": str(tmp_path_factory.mktemp("mmpose"))})
    Runner.from_cfg(cfg).train()
    return cfg, f"{cfg.work_dir}/epoch_1.pth"


def read_log(log_dir):
    return next(log_dir.glob("*.log")).read_text()


def load(path):
    return torch.load(path, weights_only=True)


def test_file_is_what_mmpose_publishes_and_more(official):
    content = load(official[1])
    assert {"meta", "state_dict", "message_hub", "optimizer", "param_schedulers", "ema_state_dict"} <= content.keys()
    assert {"head.dcc.x_bins", "head.loss_oks.sigmas", "neck.sincos_pos_enc.dim_t"} <= content["state_dict"].keys()


def test_evaluation_equals_mmposes(official, recipe, tmp_path):
    cfg, checkpoint = official
    dumps = [tmp_path / "ours.pkl", tmp_path / "theirs.pkl"]
    metrics = evaluate(recipe, checkpoint, work_dir=tmp_path / "ours", dump=dumps[0])
    log = read_log(next((tmp_path / "ours").glob("2*")))
    assert not [words for words in COMPLAINTS if words in log]

    dump = {"type": "DumpResults", "out_file_path": str(dumps[1])}
    theirs = load_config(cfg)
    theirs.test_evaluator = [cfg.test_evaluator, dump]
    theirs.merge_from_dict({"load_from": checkpoint, "work_dir": str(tmp_path / "theirs")})
    assert metrics == pytest.approx(Runner.from_cfg(theirs).test(), abs=1e-6)

    results = [pickle.loads(dump.read_bytes()) for dump in dumps]
    assert len(results[0]) == 3
    for ours, theirs in zip(*([sample["pred_instances"] for sample in result] for result in results)):
        assert len(ours["keypoints"]) > 0
        np.testing.assert_allclose(ours["bbox_scores"], theirs["bbox_scores"], atol=1e-5)
        np.testing.assert_allclose(ours["keypoints"], theirs["keypoints"], atol=0.01)


def test_training_starts_from_it(official, recipe, tmp_path):
    result = train(recipe, load_from=official[1], work_dir=tmp_path, cfg_options={"train_cfg.max_epochs": 1})
    log = read_log(result.log_dir)
    assert not [words for words in COMPLAINTS if words in log]


def test_training_continues_with_its_optimizer_and_average(official, recipe, tmp_path):
    # Without learning, what is saved after another epoch must be what was loaded.
    still = {"optim_wrapper.optimizer.lr": 0.0, "optim_wrapper.optimizer.weight_decay": 0.0}
    before = load(official[1])
    for group in before["optimizer"]["param_groups"]:
        group.update(lr=0.0, initial_lr=0.0, weight_decay=0.0)
    for scheduler in before["param_schedulers"]:
        scheduler.update(base_values=[0.0] * len(scheduler["base_values"]), eta_min=0.0)
    torch.save(before, tmp_path / "still.pth")
    result = train(recipe, resume=tmp_path / "still.pth", work_dir=tmp_path / "run", cfg_options=still)
    log, after = read_log(result.log_dir), load(result.checkpoint)
    assert "resumed epoch: 1, iter: 2" in log
    assert not [words for words in COMPLAINTS if words in log]
    assert result.checkpoint.name == "epoch_2.pth"
    assert len(after["optimizer"]["state"]) == len(before["optimizer"]["state"])
    steps = [int(state["step"]) for state in after["optimizer"]["state"].values()]
    assert steps.count(4) == len(steps) - 2  # two biases that softmax ignores are not trained here
    assert int(after["ema_state_dict"]["steps"]) == 4
    trained = "backbone.stem.conv.conv.weight"
    assert torch.equal(after["ema_state_dict"]["module." + trained], before["ema_state_dict"]["module." + trained])


def test_prediction_takes_it(official, recipe, data_root, tmp_path):
    results = predict(official[1], data_root / "coco/val2017", out=tmp_path, config=recipe, score_thr=0.0)
    assert [len(result.people) > 0 for result in results] == [True] * 3
